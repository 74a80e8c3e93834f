"""The checks that every backend passes. After ``pip install -e .``, run ``pytest``."""

from typing import Any

from genaug.testing import parametrize_with_checks


@parametrize_with_checks(["small-vae"])
def test_backend(backend: str, check: Any) -> None:
    check(backend)

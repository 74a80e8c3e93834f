"""Data sets that lie beside a checkout, for the tests that read real ones."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("GENAUG_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")

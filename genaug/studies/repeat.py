"""How a study is repeated: the arguments that differ from their defaults, and the call that they make."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import Subset

from genaug.studies.identity import described

# Where results are written and how they are computed: not part of what is measured.
_ELSEWHERE = ("out", "resume", "overwrite", "progress", "workers", "command")


def changed_options(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The keyword arguments whose values differ from the function's defaults, as Python source or a description."""
    options = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name in _ELSEWHERE:
            continue
        value = arguments[name]
        if parameter.default is inspect.Parameter.empty or not _same(value, parameter.default):
            options[name] = _describe(value)
    return options


def python_call(options: Mapping[str, str]) -> str:
    """The call of ``genaug.study`` with these options; its two data sets are the caller's."""
    return f"genaug.study({', '.join(['train_set', 'test_set', *(f'{k}={v}' for k, v in options.items())])})"


def data_name(dataset: Any) -> str:
    """What a data set's class is called, and its folder if it has one; of a ``Subset``, what it selects from."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    root = getattr(dataset, "root", None)
    return type(dataset).__name__ + (f" in {root}" if isinstance(root, str) and root else "")


def _describe(value: Any) -> str:
    """Python source if there is any, else what it is."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_describe(item)}" for key, item in value.items()) + "}"
    if hasattr(value, "sample"):  # a source: its repr may be anything, and nobody can type it in
        return f"<{type(value).__name__}>"
    return value.__qualname__ if inspect.isclass(value) or inspect.isfunction(value) else described(value)


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return list(value) == list(default)
    return type(value) is type(default) and bool(value == default)

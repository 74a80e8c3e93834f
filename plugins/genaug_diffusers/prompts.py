"""The prompts of each class: from a template such as "a photo of a {}", or from a mapping of class to prompts."""

from collections.abc import Sequence

from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug_diffusers.options import Options

DEFAULT_PROMPT = "a photo of a {}"


def class_names(options: Options) -> list[str]:
    """The classes of a text pipeline: ``classes``, or those of a mapping of prompts.

    Raises ``InputError`` if there are neither.
    """
    if isinstance(options.classes, dict):
        raise InputError("classes= must be a list of names here: a text pipeline has no numbered classes.")
    if options.classes is not None:
        return options.classes
    if isinstance(options.prompt, dict) and options.prompt:
        return list(options.prompt)
    raise InputError(
        "this pipeline generates images from text, so it doesn't know your classes. Pass classes=, such as "
        "classes=train_set.classes, or prompt= as a mapping of each class to its prompt."
    )


def prompts_of(options: Options) -> list[list[str]]:
    """The prompts of each class, in the order of ``class_names``.

    Raises ``InputError`` for a template without a place for the class, and for a mapping that lacks a class or has an
    unknown one.
    """
    names = class_names(options)
    prompt = DEFAULT_PROMPT if options.prompt is None else options.prompt
    if isinstance(prompt, str):
        if "{}" not in prompt:
            raise InputError(
                f"prompt={prompt!r} has no {{}} for the name of the class, so all classes would look alike. Expected a "
                f"template such as {DEFAULT_PROMPT!r}, or a mapping of class to prompt."
            )
        return [[prompt.replace("{}", name)] for name in names]
    lacking, unknown = [name for name in names if name not in prompt], [name for name in prompt if name not in names]
    if lacking:
        raise InputError(f"prompt= has no prompt for the class {lacking[0]!r}. Expected one for each of {_few(names)}.")
    if unknown:
        raise InputError(f"prompt= names the class {unknown[0]!r}, which isn't one of classes= ({_few(names)}).")
    return [[value] if isinstance(value, str) else list(value) for value in map(prompt.__getitem__, names)]


def pick(prompts: Sequence[Sequence[str]], label: int, seed: int) -> str:
    """The prompt of one image: of several, each is equally likely."""
    return prompts[label][derive_seed(seed, "prompt") % len(prompts[label])]


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (", …" if len(names) > 12 else "")

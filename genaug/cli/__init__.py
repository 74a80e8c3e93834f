"""The ``genaug`` command. Each command is a function in its own module and imports heavy packages inside."""

import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from genaug.artifacts.paths import as_os_error, explained, user_path
from genaug.cli import (
    anomaly,
    check_backend,
    convert,
    demo,
    evaluate,
    new_plugin,
    plugins,
    pull,
    push,
    recipe,
    sample,
    search,
    study,
    train,
    translate,
    traverse,
)
from genaug.cli.printing import give_up_stdout, say, use_any_console
from genaug.errors import GenaugError, is_out_of_memory
from genaug.escaping import one_line
from genaug.version import __version__

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: an internal error
_INTERRUPTED = 130  # 128 + SIGINT


class _Group(TyperGroup):
    """Ends every failure with one sentence on stderr and an exit code; ``--debug`` prints the traceback before it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):  # typer's own: usage errors, Exit
                raise
            if ctx.params.get("debug"):
                say(traceback.format_exc(), err=True)
            sentence, code = _ending(error)
            if sentence:
                say(f"genaug: {sentence}", err=True)
            raise typer.Exit(code) from error


def _ending(error: BaseException) -> tuple[str, int]:
    """The message for a failure, and the exit code: 1 if the user can do something about it, 70 for a bug in genaug."""
    if isinstance(error, GenaugError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt):
        return "" if error.args else "interrupted.", _INTERRUPTED  # one with a message has been reported already
    if isinstance(error, BrokenPipeError):
        give_up_stdout()
        return "", 1
    if is_out_of_memory(error):
        return f"not enough memory ({one_line(error)[:200]}). Use smaller images, batches or networks, or fewer.", 1
    if os_error := as_os_error(error):
        give_up_stdout()
        return one_line(explained(os_error, "a path, or the output,")), 1
    description = one_line(f"{type(error).__name__}: {error}".removesuffix(": "))[:500]
    return (
        f"unexpected error: {description}. Please report it with the output of `genaug --debug COMMAND …`.",
        _UNEXPECTED,
    )


app = typer.Typer(
    name="genaug",
    cls=_Group,
    help="Generative data augmentation for PyTorch pipelines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: 0.15 s faster than rich's panels
)


def _with_user_paths(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``~`` replaced in its paths; a shell doesn't replace it in ``--out=~/runs``."""

    @wraps(command)
    def run(**options: Any) -> None:
        command(**{name: user_path(value) if isinstance(value, Path) else value for name, value in options.items()})

    return run


for _command in (
    demo.demo,
    plugins.plugins,
    train.train,
    sample.sample,
    translate.translate,
    traverse.traverse,
    study.study,
    search.search,
    evaluate.evaluate,
    anomaly.anomaly,
    recipe.recipe,
    push.push,
    pull.pull,
    convert.convert,
    check_backend.check_backend,
    new_plugin.new_plugin,
):
    app.command()(_with_user_paths(_command))


def _print_version(version: bool) -> None:
    if version:
        say(f"genaug {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GENAUG_DEBUG", help="Also print the traceback of an error.")
    ] = False,
) -> None:
    if debug:
        import logging

        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
        logging.getLogger("genaug").setLevel(logging.DEBUG)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Our own warnings as one line, without a source location, which means nothing to users of a command."""
    if category.__module__.startswith("genaug."):
        return f"genaug: warning: {one_line(message)}\n"
    return _python_format(message, category, filename, lineno, line)


_python_format = warnings.formatwarning


def main() -> None:
    use_any_console()
    warnings.formatwarning = _format_warning
    app()

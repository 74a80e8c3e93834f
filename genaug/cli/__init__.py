"""The ``genaug`` command. Each command is a function in its own module, which imports what is heavy inside it."""

import traceback
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from genaug import __version__
from genaug.access import explained
from genaug.cli import check_backend, demo, evaluate, new_plugin, plugins, pull, push, sample, study, train, traverse
from genaug.cli.printing import give_up_stdout, say, use_any_console
from genaug.errors import GenaugError, is_out_of_memory
from genaug.escaping import one_line

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: an error that nobody foresaw
_INTERRUPTED = 130  # 128 + SIGINT


class _Group(TyperGroup):
    """Ends every failure in one sentence on stderr and an exit code; ``--debug`` shows the traceback before it."""

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
    """What to say of a failure, and the exit code: 1 if something can be done about it, 70 for a fault of genaug."""
    if isinstance(error, GenaugError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt):
        return "" if error.args else "interrupted.", _INTERRUPTED  # one with a message has said it already
    if isinstance(error, BrokenPipeError):
        give_up_stdout()
        return "", 1
    if is_out_of_memory(error):
        return f"not enough memory ({one_line(error)[:200]}). Use smaller images, batches or networks, or fewer.", 1
    if isinstance(error, OSError):
        give_up_stdout()
        return one_line(explained(error, "the output")), 1
    told = one_line(f"{type(error).__name__}: {error}".removesuffix(": "))[:500]
    ask = "Please report it with what `genaug --debug COMMAND …` prints"
    return f"unexpected error: {told}. {ask}; --debug shows the traceback.", _UNEXPECTED


app = typer.Typer(
    name="genaug",
    cls=_Group,
    help="Generative data augmentation for PyTorch pipelines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: 0.15 s faster than rich's panels
)
app.command()(demo.demo)
app.command()(plugins.plugins)
app.command()(train.train)
app.command()(sample.sample)
app.command()(traverse.traverse)
app.command()(study.study)
app.command()(evaluate.evaluate)
app.command()(push.push)
app.command()(pull.pull)
app.command()(check_backend.check_backend)
app.command()(new_plugin.new_plugin)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"genaug {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GENAUG_DEBUG", help="Show the traceback of an error, too.")
    ] = False,
) -> None:
    if debug:
        import logging

        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
        logging.getLogger("genaug").setLevel(logging.DEBUG)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Our own warnings as one line without a source location, which says nothing to users of a command."""
    if category.__module__.startswith("genaug."):
        return f"genaug: warning: {one_line(message)}\n"
    return _python_format(message, category, filename, lineno, line)


_python_format = warnings.formatwarning


def main() -> None:
    use_any_console()
    warnings.formatwarning = _format_warning
    app()

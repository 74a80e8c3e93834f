"""The ``genaug`` command. Each command is a function in its own module, which imports what is heavy inside it."""

import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from genaug import __version__
from genaug.cli import check_backend, demo, evaluate, new_plugin, plugins, pull, push, sample, study, train, traverse
from genaug.cli.streams import prepare_streams
from genaug.errors import GenaugError


class _Group(TyperGroup):
    """Turns an error raised on purpose into one sentence on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GenaugError as error:
            typer.echo(f"genaug: {error}", err=True)
            raise typer.Exit(1) from error


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
        typer.echo(f"genaug {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Our own warnings as one line without a source location, which says nothing to users of a command."""
    if category.__module__.startswith("genaug."):
        return f"genaug: warning: {message}\n"
    return _python_format(message, category, filename, lineno, line)


_python_format = warnings.formatwarning


def main() -> None:
    prepare_streams()
    warnings.formatwarning = _format_warning
    app()

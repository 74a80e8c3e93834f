"""The SOURCE of a command: a generator, a plugin's source, or a folder of images that were generated earlier."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug.cli.reading import read_data
from genaug.cli.settings import parse_settings

if TYPE_CHECKING:
    from genaug.sources.source import Source

SOURCE = "the folder of a run, of a saved generator or of a recipe; a Hub id; or SCHEME:REST of a plugin"

SourceOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of a source SCHEME:REST. May be repeated."),
]


def source_named(
    name: str,
    device: str | None,
    setting: list[str] | None = None,
    *,
    like: Any = None,
    image_size: int | None = None,
    target: str | None = None,
) -> "Source":
    """The source with this name: a ``SamplePool`` of class folders for ``folder:PATH``, of rows with this ``target``
    for ``table:FILE``, of series for ``series:FILE``; otherwise from ``genaug.load``, with the options in ``setting``.

    The pool's images are converted to gray or color, as the images of the dataset ``like``. Raises ``InputError`` for a
    folder of class folders that was named without ``folder:``, and for one where no such dataset is known.
    """
    from genaug.data.datasets import FILES
    from genaug.errors import FormatError, InputError
    from genaug.hub.load import load

    options = parse_settings(setting or [])
    kind, _, rest = name.partition(":")
    if kind in FILES and rest:
        if options:
            raise InputError(f"{name} has no option {next(iter(options))!r} (--set). Leave it out.")
        if like is None:
            contents = {"folder": "images", "table": "rows"}.get(kind, kind)
            raise InputError(f"{name} contains {contents}, not a generator. Pass {SOURCE}.")
        return _pool(name, like, image_size) if kind == "folder" else _rows(name, target)
    from genaug.artifacts.manifest import CONFIG_FILE
    from genaug.artifacts.paths import user_path

    folder = user_path(name)
    for option in {"where", "device"} & options.keys():
        raise InputError(f"{option} is not an option of a source (--set). Leave it out, or pass --device.")
    revision = {"revision": str(options.pop("revision"))} if "revision" in options else {}
    try:
        return load(name, device=device, **revision, **options)
    except FormatError as error:
        if folder.is_dir() and not (folder / CONFIG_FILE).exists() and any(path.is_dir() for path in folder.iterdir()):
            raise InputError(f"{error} For class folders of generated images, pass folder:{name}.") from error
        raise


def _rows(name: str, target: str | None) -> "Source":
    from genaug.sources.pool import SamplePool

    return SamplePool.from_dataset(read_data(name, target=target))


def _pool(name: str, like: Any, image_size: int | None) -> "Source":
    from torchvision.transforms import v2

    from genaug.data.items import read_item
    from genaug.modalities.image import to_uint8
    from genaug.sources.pool import SamplePool

    images, first = read_data(name), read_item(like, 0, "the data")
    example = first[0] if isinstance(first, (tuple, list)) else first
    images.transform = v2.Grayscale() if len(to_uint8(example)) == 1 else v2.RGB()
    return SamplePool.from_dataset(images, image_size=image_size)

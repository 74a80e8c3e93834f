"""The SOURCE of a command: a generator, or a folder of images that were generated earlier."""

from typing import TYPE_CHECKING, Any

from genaug.cli.reading import read_data

if TYPE_CHECKING:
    from genaug.sources.source import Source


def source_named(name: str, like: Any, image_size: int | None, device: str | None) -> "Source":
    """The source with this name: a ``SamplePool`` of class folders for ``folder:PATH``, otherwise from ``genaug.load``.

    The pool's images are converted to gray or color, as the images of the dataset ``like``. Raises ``InputError`` for a
    folder of class folders that was named without ``folder:``.
    """
    from genaug.hub.load import load

    if name.startswith("folder:"):
        from torchvision.transforms import v2

        from genaug.data.items import read_item
        from genaug.modalities.image import to_uint8
        from genaug.sources.pool import SamplePool

        images, first = read_data(name), read_item(like, 0, "the data")
        example = first[0] if isinstance(first, (tuple, list)) else first
        images.transform = v2.Grayscale() if len(to_uint8(example)) == 1 else v2.RGB()
        return SamplePool.from_dataset(images, image_size=image_size)
    from genaug.artifacts.manifest import CONFIG_FILE
    from genaug.artifacts.paths import user_path
    from genaug.errors import FormatError, InputError

    folder = user_path(name)
    try:
        return load(name, device=device)
    except FormatError as error:
        if folder.is_dir() and not (folder / CONFIG_FILE).exists() and any(path.is_dir() for path in folder.iterdir()):
            raise InputError(f"{error} For class folders of generated images, pass folder:{name}.") from error
        raise

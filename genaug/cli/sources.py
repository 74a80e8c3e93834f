"""What a command's SOURCE names: a generator, or a folder of images that were generated before."""

from typing import TYPE_CHECKING, Any

from genaug.cli.reading import read_data

if TYPE_CHECKING:
    from genaug.sources.source import Source


def source_named(name: str, like: Any, image_size: int | None, device: str | None) -> "Source":
    """``folder:PATH`` is a ``SamplePool`` of the images in PATH's class folders, in colour or grey as those of the data
    set ``like``; anything else is what ``load`` takes.

    Raises ``InputError`` for a folder that holds class folders and was named without ``folder:``.
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
            raise InputError(f"{error} If it holds class folders of generated images, say folder:{name}.") from error
        raise

"""``genaug translate``: images of one domain as images of another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.reading import TrainedSize, read_data
from genaug.cli.sample import reporting_interruption
from genaug.cli.threads import Threads, running_on

if TYPE_CHECKING:
    from genaug.data.reading import Samples
    from genaug.sources.generator import Generator


def translate(
    source: Annotated[
        str, typer.Argument(help="A generator that translates: the folder of a run or a saved one, or a Hub id.")
    ],
    data: Annotated[str, typer.Option(help="The images: folder:PATH, digits, or torchvision:NAME with --root.")],
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.png for a grid of images beside their translations; otherwise a folder for class folders of "
            "PNG files, which the same command continues if it was stopped."
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(metavar="DOMAIN", help="The domain to translate into.  [default: the second of its two]"),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder with torchvision's files; nothing is downloaded.")] = None,
    split: Annotated[str, typer.Option(metavar="train|test", help="The images of --data to translate.")] = "train",
    image_size: TrainedSize = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="For a generator with latents.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the grid or the images in --out.")] = False,
) -> None:
    """Translate images in class folders into another domain; they stay in their classes."""
    if split not in ("train", "test"):
        raise typer.BadParameter(f"expected train or test, got {split!r}.", param_hint="--split")
    from genaug.sources.export import claim_samples
    from genaug.sources.translated_files import fill_translations, translation_settings

    if out.suffix.lower() == ".png":
        from genaug.artifacts.folders import resolve
        from genaug.reports.sheet import check_free, save_sheet
        from genaug.sources.translated_files import read_for_translation

        path = resolve(out)
        check_free(path, overwrite)  # before the generator is loaded, since that takes longer
        with running_on(threads, device):
            generator, images, size = _load(source, data, to, root, split, image_size, device)
            samples, labels = read_for_translation(generator, images, to, size)
            save_sheet(path, _draw(generator, samples, labels, to))
        say(f"a grid of images and their translations in {out}")
        return
    settings = {**translation_settings(source, data, to=to, seed=seed), "split": split, "image_size": image_size}
    with claim_samples(out, settings, overwrite) as place, running_on(threads, device):
        generator, images, size = _load(source, data, to, root, split, image_size, device)
        with reporting_interruption(place):
            count = fill_translations(place, generator, images, settings, size, overwrite=overwrite)
    say(f"{count:,} images in {out}")


def _load(
    source: str, data: str, to: str | None, root: Path | None, split: Any, image_size: int | None, device: str | None
) -> "tuple[Generator, Any, int | None]":
    """The generator, the images, with the channels that it takes, and the size to resize them to."""
    from torchvision.transforms import v2

    from genaug.errors import InputError
    from genaug.hub.load import load
    from genaug.sources.generator import Generator

    generator = load(source, device=device)
    if not isinstance(generator, Generator):
        raise InputError(f"{source} is not a generator of genaug, so it can't translate. Pass a pix2pix or a cyclegan.")
    channels = generator.translation(to).conditions[0].sample.shape[0]
    images = read_data(data, split, root=root)
    if channels in (1, 3) and hasattr(images, "transform"):
        images.transform = v2.Grayscale() if channels == 1 else v2.RGB()
    size = generator.training.get("image_size") if image_size is None else image_size
    return generator, images, size if isinstance(size, int) else None


def _draw(generator: "Generator", samples: "Samples", labels: Any, to: str | None) -> Any:
    """A grid of some images of each class beside their translations."""
    from genaug.modalities.distance import first_per_class
    from genaug.reports.translations import COLUMNS, MOST, draw_translations, translation_blocks

    rows = slice(MOST) if samples.labels is None else first_per_class(samples.labels, COLUMNS)
    own, labels = (None if values is None else values[rows] for values in (samples.labels, labels))
    blocks = translation_blocks(generator, samples.x[rows], to=to, labels=labels, rows=own)
    return draw_translations(blocks, samples.spec.sample, samples.spec.class_names)

"""``genaug.fit``: check what was asked for, read the data, and run the training."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch.utils.data import Subset

from genaug import __version__, plugins
from genaug.errors import InputError, TrainingWarning
from genaug.generator import Generator
from genaug.precision import compute_dtype, pick_device
from genaug.progress import Progress
from genaug.randomness import check_seed
from genaug.storage import first_problem
from genaug.training.diffaugment import check_policy
from genaug.training.ranks import is_first, joined
from genaug.training.reading import TrainingImages, read_images
from genaug.training.run import TrainingRun
from genaug.training.run_folder import RunFolder


def fit(
    backend: str,
    dataset: Any,
    *,
    out: str | Path,
    steps: int,
    image_size: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str = "auto",
    augment: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    checkpoint_every: int = 500,
    max_minutes: float | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
) -> Generator:
    """Train a backend's generator on a dataset and return it, with the averaged (EMA) weights.

    Under ``torchrun`` each process takes an equal share of every batch.

    ``dataset[i]`` is an image (PIL, uint8 or float in [0, 1]), alone or followed by an integer label; further fields
    are left out. It is read once. ``image_size`` resizes the shorter side and crops the centre. ``augment`` names what
    is done to the images that the discriminator sees ("translation", "affine", "color", "cutout"; DiffAugment, Zhao et
    al. 2020): the remedy for little data. ``config`` holds the backend's own options. ``out`` becomes the run's folder,
    which ``genaug.load`` takes. Every ``checkpoint_every`` steps, on SIGINT or SIGTERM and after ``max_minutes`` the
    whole state is saved; ``resume=True`` goes on from there exactly, with the same arguments. ``steps`` may be larger;
    where a backend's learning rates decay over the run, they then follow the longer run from there on. A class that
    no image is of gets a ``TrainingWarning``.

    Raises ``InputError`` for unusable arguments or data, ``OutputExistsError`` where ``out`` holds something or another
    process writes to it, ``PluginError`` for a missing backend, ``SaveError`` where ``out`` can't be written,
    ``TrainingError`` where the losses are no longer finite. SIGINT ends in ``KeyboardInterrupt`` after the state is
    saved.
    """
    recipe = plugins.resolve(backend)
    plugin = plugins.discover().backends[backend]
    options = parse_config(backend, recipe.Config, config)
    _check_positive(steps=steps, batch_size=batch_size, checkpoint_every=checkpoint_every, image_size=image_size)
    if max_minutes is not None and not max_minutes > 0:
        raise InputError(f"max_minutes must be above 0, got {max_minutes!r}.")
    if overwrite and resume:
        raise InputError("overwrite starts a run anew and resume goes on with it: pass one of them.")
    seed, steps, batch_size = check_seed(seed), int(steps), int(batch_size)
    policy = check_policy(augment)
    target = pick_device(device)
    dtype = compute_dtype(precision, target)
    folder = RunFolder(out)
    with ExitStack() as held:
        if is_first():  # it writes for all
            what = f"a training run ({backend}, seed {seed})"
            held.enter_context(folder.claimed(what, overwrite=overwrite, resume=resume))
        with Progress("reading", len(dataset) if hasattr(dataset, "__len__") else 0, progress, 15.0) as shown:

            def tell(count: int) -> None:
                shown.advance(count)
                shown.tell("images")

            data = read_images(dataset, image_size, tell)
        if recipe.describe(options, data.spec).takes_labels:
            _warn_of_absent_classes(data)
        asked = {
            "backend": backend,
            "data": _name(dataset),
            "config": options.model_dump(mode="json"),
            "steps": steps,
            "batch_size": batch_size,
            "seed": seed,
            "precision": str(dtype).removeprefix("torch."),
            "augment": list(policy),
            "image_size": image_size,
            "images": len(data.images),
            "data_sha256": fingerprint(data),
            "torch": str(torch.__version__),
            "genaug": __version__,
            "plugin": f"{plugin.distribution} {plugin.version}",
        }
        with (
            joined(target, batch_size) as (share, place),
            torch.random.fork_rng([place] if place.type == "cuda" else []),
        ):
            run = TrainingRun(
                recipe,
                options,
                data,
                folder,
                asked,
                policy=policy,
                device=place,
                dtype=dtype,
                share=share,
                show_progress=progress,
            )
            generator = run.train(resume=resume, checkpoint_every=checkpoint_every, max_minutes=max_minutes)
    generator.folder = folder.path
    return generator


def _warn_of_absent_classes(data: TrainingImages) -> None:
    assert data.labels is not None
    absent = sorted(set(range(data.spec.num_classes)) - set(data.labels.unique().tolist()))
    if absent:
        names = data.spec.classes
        called = ", ".join(str(label) if names is None else repr(names[label]) for label in absent[:8])
        warnings.warn(
            f"no training image is of class {called}{', …' if absent[8:] else ''}, for which the generator will make "
            "something all the same. Don't draw that class, or number the classes from 0 without gaps.",
            TrainingWarning,
            stacklevel=3,
        )


def _name(dataset: Any) -> str:
    """What a dataset's class is called, below those that only select from another: a card names it."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset).__name__


def parse_config(backend: str, config_class: type[Any], config: Mapping[str, Any] | None) -> Any:
    """A backend's options as its ``Config``. Raises ``InputError`` for options that it doesn't have or refuses."""
    try:
        return config_class.model_validate(dict(config or {}))
    except ValidationError as error:
        known = ", ".join(config_class.model_fields)
        raise InputError(
            f"the config doesn't fit backend {backend!r}: {first_problem(error)}. Its options: {known}."
        ) from error


def _check_positive(**values: Any) -> None:
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
            raise InputError(f"{name} must be an integer of 1 or more, got {value!r}.")


def fingerprint(data: TrainingImages) -> str:
    """The sha256 of all images and labels: ``data_sha256`` in the record of a run."""
    digest = hashlib.sha256(data.images.numpy().data)
    if data.labels is not None:
        digest.update(data.labels.numpy().data)
    return digest.hexdigest()

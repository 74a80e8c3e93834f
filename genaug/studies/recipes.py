"""``Recipe``: how a study trains a backend for every seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.reading import Samples, fingerprint, read_samples, shared_samples
from genaug.errors import InputError
from genaug.nn.diffaugment import check_policy
from genaug.training.balance import Balance, check_balance
from genaug.training.data import check_modality


@dataclass(frozen=True, repr=False)
class Recipe:
    """How a backend is trained for every seed: the arguments of ``genaug.fit``.

    ``batch_size`` is 32 images or 500 rows by default. ``augment`` is applied to the discriminator's images: "affine",
    the default, is what classic augmentation does by default, so that both have the same knowledge about the data; rows
    have none. ``unlabelled`` is a dataset of more images, without test images among them, for backends that also learn
    from images without labels; its labels aren't read. ``balance``, "uniform" or "sqrt", shows rare classes more often;
    it can't be combined with ``unlabelled``.

    Raises ``InputError`` for values that no backend takes and for options that the backend doesn't have, and
    ``PluginError`` for an unknown backend. What depends on the data is checked by ``genaug.study``.
    """

    backend: str
    steps: int = 2000
    batch_size: int | None = None
    augment: tuple[str, ...] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    unlabelled: Any = None
    balance: Balance | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", as_whole(self.steps, "steps", 1))
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", as_whole(self.batch_size, "batch_size", 1))
        if not isinstance(self.config, Mapping):
            raise InputError(f"config must map options to values, got {type(self.config).__name__}.")
        if self.augment is not None:
            if not isinstance(self.augment, Sequence):
                raise InputError(f"augment must be a sequence of names, got {type(self.augment).__name__}.")
            object.__setattr__(self, "augment", check_policy(self.augment))
        if check_balance(self.balance) and self.unlabelled is not None:
            raise InputError("balance needs a label for every image, and those of unlabelled have none: pass only one.")
        parse_config(self.backend, registry.resolve(self.backend).Config, self.config)

    def __repr__(self) -> str:
        """The call, with the arguments that differ from their defaults; a dataset is named by its class."""
        texts = [repr(self.backend)]
        defaults: dict[str, Any] = {"steps": 2000, "batch_size": None, "augment": None, "config": {}, "balance": None}
        options = {name: getattr(self, name) for name in defaults}
        texts += [f"{name}={value!r}" for name, value in options.items() if value != defaults[name]]
        if self.unlabelled is not None:
            texts.append(f"unlabelled=<{type(self.unlabelled).__name__}>")
        return f"Recipe({', '.join(texts)})"


class UnlabelledImages(Dataset[Tensor]):
    """Images in memory, uint8 (N, C, H, W), as a map-style dataset."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def as_recipe(what: str | Mapping[str, Any] | Recipe) -> Recipe:
    """A backend's name, or a mapping of a recipe's fields, as a ``Recipe``. Raises its errors, and ``InputError`` for
    other fields."""
    if isinstance(what, Recipe):
        return what
    if isinstance(what, str):
        return Recipe(what)
    try:
        return Recipe(**what)
    except TypeError as error:
        names = ", ".join(field.name for field in fields(Recipe))
        raise InputError(f"{error}. Expected the fields of a Recipe: {names}.") from error


def checked_recipe(
    what: str | Mapping[str, Any] | Recipe, spec: Spec, image_size: int | None, *, classifies: bool = False
) -> Recipe:
    """A recipe with valid options, its unlabeled images read into memory.

    Raises ``InputError`` for options, a backend or images that don't suit data that ``spec`` describes; for a backend
    that has no classifier, if its classifier is to be used (``classifies``).
    """
    what = as_recipe(what)
    backend = registry.resolve(what.backend)
    check_modality(what.backend, backend, spec)
    config = parse_config(what.backend, backend.Config, what.config)
    if classifies and not backend.offers("classify"):
        raise InputError(
            f"{what.backend!r} has no classifier. Installed backends that have one: "
            f"{', '.join(registry.offering('classify', backend.modalities)) or 'none'}."
        )
    if not backend.describe(config, spec).takes_labels:
        raise InputError(
            f"{what.backend!r} with these options takes no labels, so it has no classifier of these classes."
            if classifies
            else f"{what.backend!r} with these options takes no labels, so a classifier can't learn from its samples. "
            "Train a generator first and pass genaug.with_labels(generator, labelled_set)."
        )
    unlabelled = None
    if what.unlabelled is not None:
        if not backend.takes_unlabelled:
            raise InputError(
                f"{what.backend!r} can't learn from unlabeled images beside labeled ones. Installed backends that can: "
                f"{', '.join(registry.taking_unlabelled(backend.modalities)) or 'none'}."
            )
        unlabelled = _read_unlabelled(what.unlabelled, spec, image_size)
    augment = what.augment
    if augment is None:
        augment = ("affine",) if spec.sample.is_augmentable else ()
    elif augment and not spec.sample.is_augmentable:
        raise InputError(f"augment is for images, and the data are {spec.sample.noun}. Leave it out.")
    return replace(
        what,
        batch_size=what.batch_size or spec.sample.batch_size,
        augment=augment,
        config=config.model_dump(mode="json"),
        unlabelled=unlabelled,
    )


def _read_unlabelled(dataset: Any, spec: Spec, image_size: int | None) -> UnlabelledImages:
    samples = read_samples(dataset, image_size, what="the unlabeled set", needs_labels=False, ignore_labels=True)
    if samples.spec.sample != spec.sample:
        raise InputError(
            f"the unlabeled images are {samples.spec.sample.describe()}, the data are {spec.sample.describe()}. "
            "Convert them with a transform, or pass image_size=."
        )
    return UnlabelledImages(samples.x)


def describe_recipe(recipe: Recipe, train: Samples) -> dict[str, Any]:
    """A description of a checked recipe; of its unlabeled images their number, how many of them are among the study's
    training images, and their hash."""
    description = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    unlabelled, noun = description.pop("unlabelled"), train.spec.sample.noun
    if recipe.balance is None:  # as in studies before there was the option
        del description["balance"]
    if unlabelled is not None:
        samples = Samples(unlabelled.images, None, train.spec)
        description["unlabelled"] = {
            "images": len(unlabelled),
            "training_images": len(shared_samples(unlabelled.images, train.x)),
            "sha256": fingerprint(samples),
        }
    trained = f"for every seed, on that seed's training {noun} only"
    if unlabelled is not None:
        trained = f"for every seed, on that seed's training {noun} and on images without labels"
    return {"trained": trained, **description}

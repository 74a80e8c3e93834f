"""Fine-tuning: a training that starts from the weights of an earlier generator, its ancestor."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from genaug.artifacts.ancestry import Origin, origin_of
from genaug.artifacts.manifest import CONFIG_FILE, WEIGHTS_FILE, encode_generator, read_manifest
from genaug.artifacts.paths import reading_from, user_path
from genaug.backends.backend import Backend
from genaug.backends.calls import described, first_blocks, outline
from genaug.backends.class_axes import class_axes, reordered
from genaug.backends.spec import Spec
from genaug.data.classes import find_classes, matched_by_number
from genaug.data.reading import Samples
from genaug.device import torch_defaults
from genaug.errors import FormatError, InputError
from genaug.modalities.base import Modality
from genaug.progress import write_line
from genaug.sources.generator import Generator
from genaug.training.checkpoint import newest_checkpoint, newest_step
from genaug.training.run_folder import RunFolder, refuse_changes


@dataclass(frozen=True)
class Tuning:
    """Where a training starts: from the weights of an ``ancestor``, or, without one, from new ones.

    ``record`` is the entry ``init`` of ``run.json``. A run that continues from a checkpoint has a record of its
    ancestor, but doesn't need its weights. ``sample`` is what the ancestor generates, whose encoding the training
    keeps. ``tensors`` are all of the ancestor's, by name.
    """

    record: dict[str, Any] | None = None
    ancestor: Generator | None = None
    name: str = ""
    sample: Modality | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def config(self) -> dict[str, Any]:
        """The ancestor's options, which are the defaults of this training."""
        return {} if self.ancestor is None else self.ancestor.config.model_dump(mode="json")

    @torch_defaults()
    def check(self, backend: Backend, config: Any, freeze_discriminator: int) -> None:
        """Raises ``InputError`` if the weights don't fit these options, or if the blocks can't be frozen."""
        if self.ancestor is None:
            if freeze_discriminator and self.record is None:
                raise InputError(
                    "freeze_discriminator is for fine-tuning: pass the generator to start from as init= (--init) too."
                )
            return
        spec = self.ancestor.spec
        same = described(backend, config, spec.model_copy(update={"latents": ()})) == spec
        nets = outline(backend, config, spec) if same else None
        shapes = {} if nets is None else {n: (t.shape, t.dtype) for n, t in nets.state_dict().items() if self._has(n)}
        if nets is None or shapes != {name: (t.shape, t.dtype) for name, t in self.tensors.items()}:
            raise InputError(
                f"the weights of {self.name} don't fit {_changes(self.config, config.model_dump(mode='json'))}. Leave "
                "that out, or train new weights, without init= (--init)."
            )
        blocks = first_blocks(backend, nets, freeze_discriminator)
        frozen = {parameter for block in blocks for parameter in block.parameters()}
        if any(parameter in frozen and not self._has(name) for name, parameter in nets.named_parameters()):
            raise InputError(
                f"freeze_discriminator={freeze_discriminator} needs a trained discriminator, but {self.name} doesn't "
                "hold one. Leave it out, or use a run folder with its checkpoints as init= (--init), or a generator "
                "that was pushed with --keep discriminator."
            )

    def adapted(self, data: Samples) -> Samples:
        """The training data in the ancestor's encoding, such as its scales of a table's columns; unchanged without one.

        Raises ``InputError`` if the data don't fit it.
        """
        if self.sample is None:
            return data
        origin = self.name or "the generator of this run"
        sample, x, labels = self.sample.adopt(data.x, data.labels, data.spec.sample, origin)
        return replace(data, x=x, labels=labels, spec=data.spec.model_copy(update={"sample": sample}))

    def _has(self, name: str) -> bool:
        """Whether the ancestor has the network that a tensor of this name belongs to."""
        return name.partition(".")[0] in {other.partition(".")[0] for other in self.tensors}

    @torch_defaults()
    def weights(self, backend: Backend, config: Any, data: Spec, show: bool) -> dict[str, Tensor] | None:
        """The weights to start from, by name, for the classes of ``data``; None for new ones. Networks that the
        ancestor lacks aren't among them.

        With ``show``, a line says if they lack the discriminator, or if classes are matched by number. Raises
        ``InputError`` if the ancestor's samples or classes don't fit the data.
        """
        if self.ancestor is None:
            return None
        old, new = self.ancestor.spec, described(backend, config, data)
        self._check_inputs(old, new)
        tensors = dict(self.tensors)
        match = _match(old, new)
        if match != list(range(old.num_classes)):
            tensors = reordered(tensors, class_axes(backend, config, old), match)
        if old.recognized != new.recognized:  # the layers of a classifier of other classes start with new weights
            shapes = {name: tensor.shape for name, tensor in outline(backend, config, new).state_dict().items()}
            tensors = {name: tensor for name, tensor in tensors.items() if shapes.get(name) == tensor.shape}
        if show:
            roles = sorted(set(outline(backend, config, old)) - {name.partition(".")[0] for name in tensors})
            if roles:
                write_line(f"{self.name} doesn't hold its {' and '.join(roles)}, which starts with new weights.")
            if note := matched_by_number(new.class_names, old, "the dataset", self.name):
                write_line(note)
            if old.num_classes and set(match) == {-1}:
                write_line(
                    f"no class of the dataset has the name of a class of {self.name}, so all start from the mean of "
                    "its classes."
                )
        return tensors

    def _check_inputs(self, old: Spec, new: Spec) -> None:
        conditions = [[(condition.name, condition.sample) for condition in spec.conditions] for spec in (old, new)]
        if conditions[0] != conditions[1]:
            raise InputError(
                f"{self.name} needs other conditions than the training data have. Fine-tuning needs conditions of the "
                "same kind and size: convert them (image_size=, --image-size, resizes images), or train without init=."
            )
        if old.takes_labels != new.takes_labels:
            problem, remedy = "was trained without labels, but the training data have them", "without labels"
            if old.takes_labels:
                problem, remedy = "takes labels, but the training data have none", "of (image, label)"
            elif "conditional" in self.config:
                remedy += ", or set the option conditional to false"
            raise InputError(f"{self.name} {problem}. Pass a dataset {remedy}, or train without init= (--init).")


def plan_tuning(init: Any, record: Mapping[str, Any], folder: RunFolder, backend_name: str) -> Tuning:
    """Where the run in ``folder`` starts, whose ``run.json`` has the content ``record`` if it is to be resumed.

    ``init`` is read only if it is needed: not if there is a checkpoint. Raises ``InputError`` if it isn't the one of
    the run to resume, or if it is a generator of another backend; and the errors of ``genaug.load``.
    """
    recorded = record.get("init")
    if record:
        name = (recorded or {}).get("name")
        if init is not None and name not in _names(init):
            refuse_changes(folder.path, {"init": name}, {"init": _names(init)[0]}, ["init"])
        exported = (folder.path / CONFIG_FILE).is_file()
        if newest_step(folder.checkpoints) is not None and (recorded is None or exported):
            return Tuning(recorded, sample=None if recorded is None else read_manifest(folder.path).spec.sample)
        if recorded is not None and init is None:
            raise InputError(
                f"the run in {folder.path} ended before its first checkpoint, so it has to start again from {name!r}. "
                "Pass that as init= (--init) once more."
            )
    if init is None:
        return Tuning()
    ancestor = _load(init)
    name = _names(ancestor)[0] if isinstance(init, Generator) else _names(init)[0]
    described_as = f"the generator {name!r}"
    if ancestor.backend_name != backend_name:
        raise InputError(
            f"{described_as} is of backend {ancestor.backend_name!r}, but fit was called with {backend_name!r}. Pass "
            f"{ancestor.backend_name!r} as the backend, or train without init= (--init)."
        )
    if ancestor.folder is not None and ancestor.folder.resolve() == folder.path.resolve():
        raise InputError(f"init and out are the same folder, {folder.path}. Choose another folder for the new run.")
    digest = weights_digest(ancestor)
    tensors = {**ancestor.nets.state_dict(), **further_tensors(ancestor, digest)}
    tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
    earlier = origin_of(ancestor.training)
    origin = Origin(
        name=name[:200],
        on_hub=ancestor.repo is not None,
        weights_sha256=digest,
        networks=tuple(dict.fromkeys(tensor.partition(".")[0] for tensor in tensors)),
        ancestors=() if earlier is None else earlier.lineage(),
    )
    return Tuning(origin.model_dump(mode="json"), ancestor, described_as, ancestor.spec.sample, tensors)


def weights_digest(generator: Generator) -> str:
    """The sha256 of the ``model.safetensors`` that this generator would be saved with."""
    return hashlib.sha256(encode_generator(generator.manifest_fields(), generator.tensors())[WEIGHTS_FILE]).hexdigest()


def further_tensors(generator: Generator, digest: str) -> dict[str, Tensor]:
    """The tensors, by name, of the networks that sampling doesn't need: those that were saved with the generator, or
    those in the newest checkpoint of the run folder that holds the weights with this ``digest``."""
    path = generator.folder
    if generator.extras or path is None or not (path / "run.json").is_file() or not (path / CONFIG_FILE).is_file():
        return dict(generator.extras)
    try:
        if read_manifest(path).weights.sha256 != digest:
            return {}
    except FormatError:
        return {}
    state, _ = newest_checkpoint(RunFolder(path), generator.device)
    nets: Mapping[str, Tensor] = {} if state is None else state["nets"]
    return {name: tensor for name, tensor in nets.items() if name.partition(".")[0] not in generator.nets}


def _load(init: Any) -> Generator:
    if isinstance(init, Generator):
        return init
    if not isinstance(init, (str, Path)):
        raise InputError(
            f"init is of type {type(init).__name__}. Expected the folder of a generator, a Hub id (owner/name) or a "
            "Generator."
        )
    from genaug.hub.load import load

    generator = load(init, device="cpu")
    if not isinstance(generator, Generator):
        raise InputError(f"init={str(init)!r} isn't a generator of a backend, so it can't be fine-tuned with fit.")
    return generator


def _names(init: Any) -> tuple[str, ...]:
    """What ``init`` may be called in a record; the first name is what it is called in a new one."""
    if isinstance(init, Generator):
        return (init.repo or (init.folder.resolve().name if init.folder is not None else "") or "in memory",)
    folder = user_path(str(init))
    with reading_from(folder):
        if folder.exists() or isinstance(init, Path):
            return (folder.resolve().name,)
    return str(init), folder.name


def _match(old: Spec, new: Spec) -> list[int]:
    """The old class of each new one, -1 if there is none: by name if both have names, else by number."""
    if old.class_names is not None and new.class_names is not None:
        return find_classes(new.class_names, old.class_names)
    return [label if label < old.num_classes else -1 for label in range(new.num_classes)]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changes = [f"{name}={new.get(name)!r} (it has {value!r})" for name, value in old.items() if new.get(name) != value]
    return ", ".join(changes) or "the networks that this version of the backend builds"

"""``genaug.fit``: check what it was called with, read the data, and run the training."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from genaug import checks
from genaug.artifacts.paths import reading_from
from genaug.backends import registry
from genaug.backends.backend import Backend, parse_config
from genaug.backends.calls import described
from genaug.backends.spec import Classes, Spec
from genaug.checks import as_whole
from genaug.data.classes import class_labels
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.device import compute_dtype, pick_device, torch_defaults
from genaug.errors import GenaugError, InputError, TrainingWarning
from genaug.nn.diffaugment import check_policy
from genaug.progress import Progress
from genaug.randomness import check_seed
from genaug.sources.generator import Generator
from genaug.training.callbacks import Callback
from genaug.training.checkpoint import newest_step
from genaug.training.distributed import is_first, joined
from genaug.training.plan import Budget, Plan
from genaug.training.run import RunSettings, TrainingRun
from genaug.training.run_folder import RunFolder, refuse_changes
from genaug.training.threads import pick_threads, running_on
from genaug.training.trainer import Trainer
from genaug.version import __version__

_OF_THE_DATA = ("data", "images", "data_sha256")
_command: ContextVar[Mapping[str, Any] | None] = ContextVar("command", default=None)


@contextmanager
def started_by(command: Mapping[str, Any]) -> Iterator[None]:
    """How the command line named the data: ``fit`` puts it into ``run.json``, for a resumption without --data."""
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def fit(
    backend: str,
    dataset: Any,
    *,
    out: str | Path,
    steps: int | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    augment: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    checkpoint_every: int | None = None,
    max_minutes: float | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> Generator:
    """Train a backend's generator on a dataset and return it, with the averaged (EMA) weights.

    Under ``torchrun``, and in a process group of your own, the processes that call ``fit`` with the same arguments
    train one generator: each takes an equal share of every batch. If each passes another ``out``, each trains its own.

    Args:
        backend: Name of an installed backend.
        dataset: ``dataset[i]`` is an image (PIL, uint8 or float in [0, 1]), alone or followed by an integer label;
            further fields are left out. A backend that takes no labels also takes items with something else in a
            label's place. It is read once.
        out: The run's folder, which ``genaug.load`` takes.
        steps: Number of training steps. With ``max_minutes`` it is an upper bound and may be left out.
        image_size: Resizes the shorter side to this and crops the centre.
        batch_size: Images per step, of all processes together. 64 by default.
        seed: Decides everything random. 0 by default.
        device: By default the GPU if there is one.
        precision: "float32", "bfloat16", or "auto" (the default): bfloat16 if the hardware gains from it.
        augment: What is done to the images that the discriminator sees ("translation", "affine", "color", "cutout";
            DiffAugment, Zhao et al. 2020): the remedy for little data.
        config: The backend's own options.
        checkpoint_every: Steps between two saves of the complete state. 500 by default.
        max_minutes: Time that the call may take, reading the data included. After the first steps (20, or more if
            they take milliseconds) it fixes the number of steps, and with it the learning rates that decay over the
            run, for the time that is left; ``run.json`` records it. If the machine becomes slower, the run stops when
            the time is over, with its state saved; a resumed run keeps the number.
        threads: CPU threads. By default as many as torch uses, or fewer if other programs keep the cores busy; on a
            CPU the last bits of the weights depend on it, so that ``run.json`` records it.
        overwrite: Replace the run in ``out``.
        resume: Go on with the run in ``out`` from its last checkpoint, exactly. Arguments that are left out are the
            run's own. Only ``steps`` (more of them), ``device``, ``threads``, ``checkpoint_every`` and ``max_minutes``
            may be others; learning rates that decay over the run then follow the longer run from there on.
        callbacks: Functions of a ``Snapshot`` (``genaug.training.callbacks``: step, metrics, generator, ...), called at
            the steps that are logged (every 50, and at each checkpoint), in the process of rank 0. What one raises ends
            the training; the checkpoints so far stay.
        progress: Show progress on stderr.

    The state is also saved on SIGINT and SIGTERM, after the current step; a second one ends the process at once.
    Torch's default dtype and device, autocast and modes without gradients that are set around the call have no effect
    on the training. A class without a single image gets a ``TrainingWarning``.

    Raises:
        InputError: For unusable arguments or data, and if the run to resume has others.
        OutputExistsError: If ``out`` holds something, or another process writes to it.
        PluginError: For a missing backend.
        SaveError: If ``out`` can't be written.
        TrainingError: If the losses are no longer finite, or another process of the training is missing.
        KeyboardInterrupt: On SIGINT, after the state is saved.
    """
    began = time.monotonic()
    _check_backend(backend)
    recipe = registry.resolve(backend)
    plugin = registry.discover().backends[backend]
    steps = _whole(steps, "steps", checks.STEPS)
    batch_size = _whole(batch_size, "batch_size", checks.BATCH)
    checkpoint_every = _whole(checkpoint_every, "checkpoint_every", checks.STEPS)
    image_size = _whole(image_size, "image_size", checks.SIDE)
    threads = _whole(threads, "threads", checks.THREADS)
    if max_minutes is not None and not 0 < max_minutes <= checks.MINUTES:
        raise InputError(f"max_minutes must be above 0 and {checks.MINUTES:,.0f} at most, got {max_minutes!r}.")
    if overwrite and resume:
        raise InputError("overwrite starts a run anew and resume goes on with it: pass one of them.")
    folder = RunFolder(out)
    with reading_from(folder.path):
        record = (folder.record() if resume else None) or {}
    refuse_changes(folder.path, record, {"backend": backend}, ["backend"] if record else [])

    def argument(name: str, passed: Any, default: Any) -> Any:
        return record.get(name, default) if passed is None else passed

    options = parse_config(backend, recipe.Config, {**record.get("config", {}), **(config or {})})
    plan = _plan(steps, max_minutes, record, folder)
    batch_size, image_size = int(argument("batch_size", batch_size, 64)), argument("image_size", image_size, None)
    checkpoint_every = int(argument("checkpoint_every", checkpoint_every, 500))
    target = _device(device, record)
    dtype = compute_dtype(argument("precision", precision, "auto"), target)
    policy = check_policy(argument("augment", augment, ()))
    settings = RunSettings(
        backend=backend,
        config=options.model_dump(mode="json"),
        steps=plan.steps,
        batch_size=batch_size,
        seed=check_seed(argument("seed", seed, 0)),
        precision=str(dtype).removeprefix("torch."),
        augment=list(policy),
        image_size=image_size,
        torch=str(torch.__version__),
        genaug=__version__,
        plugin=f"{plugin.distribution} {plugin.version}",
    )
    if record:
        known = {name: value for name, value in settings.record().items() if name not in _OF_THE_DATA}
        refuse_changes(folder.path, record, known, known)
    what = f"a training run ({backend}, seed {settings.seed})"
    with ExitStack() as held:

        def hold() -> None:
            held.enter_context(folder.claimed(what, overwrite=overwrite, resume=resume))

        if is_first():  # it writes for all
            try:
                hold()
            except GenaugError as error:  # the others wait for this process, and have to learn why it can't train
                with joined(target, batch_size, {"out": str(folder.path)}, progress, error):
                    raise
        with Progress("reading", len(dataset) if hasattr(dataset, "__len__") else 0, progress, 15.0) as shown:

            def tell(count: int) -> None:
                shown.advance(count)
                shown.tell("items")

            data = read_samples(
                dataset,
                image_size,
                tell,
                needs_labels=False,
                unlabelled=recipe.takes_unlabelled,
                conditions=recipe.conditions,
            )
        if data.spec.sample.kind not in recipe.modalities:
            raise InputError(
                f"backend {backend!r} can't be trained on {data.spec.sample.noun}: it is for samples of kind "
                f"{' or '.join(recipe.modalities)}. `genaug plugins` lists the backends."
            )
        if _uses_labels(recipe, options, data.spec):
            data.check_labels()
        if described(recipe, options, data.spec).takes_labels:
            _warn_of_absent_classes(data)
        settings = replace(settings, data=_name(dataset), images=len(data.x), data_sha256=fingerprint(data))
        limited = max_minutes is not None
        same = {**settings.record(), "checkpoint_every": checkpoint_every, "resume": resume, "a time limit": limited}
        with (
            torch_defaults(),
            joined(target, batch_size, {**same, "out": str(folder.path)}, progress) as (share, place),
            torch.random.fork_rng([place] if place.type == "cuda" else []),
            running_on(_threads(threads, record, place, progress and share.first)) as used_threads,
        ):
            if share.first and not folder.is_claimed:  # in a process group of the caller's, of a run of its own
                hold()
            trainer = Trainer(
                recipe,
                options,
                data,
                seed=settings.seed,
                batch_size=batch_size,
                device=place,
                dtype=dtype,
                augment=policy,
                share=share,
                steps=plan.steps,
            )
            run = TrainingRun(
                trainer,
                settings,
                folder,
                plan=plan,
                private={
                    "device": place.type,
                    "threads": used_threads,
                    "checkpoint_every": checkpoint_every,
                    "command": _command.get() or record.get("command"),
                },
                callbacks=callbacks,
                show_progress=progress,
            )
            budget = Budget(max_minutes, began)
            generator = run.train(resume=resume, checkpoint_every=checkpoint_every, budget=budget)
    generator.folder = folder.path
    return generator


def _uses_labels(recipe: Backend, options: Any, spec: Spec) -> bool:
    """Whether a backend would train on labels if there were any."""
    return described(recipe, options, spec.model_copy(update={"classes": Classes(count=2)})).takes_labels


def _check_backend(backend: Any) -> None:
    if isinstance(backend, str):
        return
    expected = "Expected the name of an installed backend, such as 'cgan'; `genaug plugins` lists them"
    if isinstance(backend, Generator):
        raise InputError(
            f"the first argument is a Generator. {expected}: this one's is {backend.backend_name!r}. fit starts with "
            "new weights. To go on with an earlier run, pass its folder as out= with resume=True."
        )
    raise InputError(f"the first argument is of type {type(backend).__name__}. {expected}. The dataset comes second.")


def _plan(steps: int | None, max_minutes: float | None, record: Mapping[str, Any], folder: RunFolder) -> Plan:
    """The length of the run. Refuses to make a run shorter."""
    if not record:
        if steps is None and max_minutes is None:
            raise InputError("fit needs a length: pass steps= (--steps), max_minutes= (--max-minutes) or both.")
        return Plan(None if steps is None else int(steps))
    before = Plan(record.get("steps"), record.get("planned_steps"), record.get("planned_after", 0))
    if steps is None or steps in (before.steps, before.end):
        if before.end is None and max_minutes is None:
            raise InputError(
                f"the run in {folder.path} was limited by time only, and stopped before its number of steps was fixed. "
                "Pass steps= (--steps) or max_minutes= (--max-minutes)."
            )
        return before
    least = before.end if before.end is not None else newest_step(folder.checkpoints) or 0
    if steps < least:
        raise InputError(
            f"the run in {folder.path} can't be resumed: steps was {least}, now it is {steps}. A run can be made "
            "longer, not shorter: leave steps out, or start a new run in another folder."
        )
    return Plan(int(steps))


def _device(device: str | torch.device | None, record: Mapping[str, Any]) -> torch.device:
    """The device passed; else the kind of device that the run was on, if there is one here."""
    kind = record.get("device")
    if device is None and kind in ("cpu", "cuda") and (kind == "cpu" or torch.cuda.is_available()):
        return pick_device(kind)
    return pick_device(device)


def _threads(threads: int | None, record: Mapping[str, Any], device: torch.device, show: bool) -> int:
    """The number passed; else, on a CPU, that of the run, on which its last bits depend."""
    if threads is None and device.type == "cpu":
        threads = record.get("threads")
    return pick_threads(threads, device, show)


def _warn_of_absent_classes(data: Samples) -> None:
    assert data.labels is not None
    absent = sorted(set(range(data.spec.num_classes)) - set(data.labels.unique().tolist()))
    if absent:
        warnings.warn(
            f"no training sample is of class {class_labels(absent, data.spec.class_names)}, for which the "
            "generator makes something all the same. Don't draw it, or number the classes from 0 without gaps.",
            TrainingWarning,
            stacklevel=3,
        )


def _name(dataset: Any) -> str:
    """What a dataset's class is called, below those that only select from another: a card names it."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset).__name__


def _whole(value: int | None, name: str, most: int) -> int | None:
    return None if value is None else as_whole(value, name, 1, most)

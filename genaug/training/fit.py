"""``genaug.fit``: check the arguments, read the data, and run the training."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genaug import checks
from genaug.artifacts.paths import reading_from
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.backends.calls import described
from genaug.checks import as_whole
from genaug.data.image_cache import ImageCache
from genaug.device import check_precision, compute_dtype, pick_device, torch_defaults
from genaug.errors import GenaugError, InputError
from genaug.nn.diffaugment import check_policy
from genaug.randomness import check_seed
from genaug.sources.generator import Generator
from genaug.training.balance import Balance, check_balance, check_classes, warn_of_rare_classes
from genaug.training.callbacks import Callback
from genaug.training.data import read_training_data
from genaug.training.distributed import is_first, process_group
from genaug.training.keeping import KeepBest
from genaug.training.plan import Budget, plan_run
from genaug.training.run import RunSettings, TrainingRun
from genaug.training.run_folder import RunFolder, refuse_changes
from genaug.training.threads import pick_threads, running_on
from genaug.training.trainer import Trainer
from genaug.training.tuning import plan_tuning
from genaug.version import __version__

_DATA_FIELDS = {"data", "images", "data_sha256", "labels", "unlabelled", "labelled_sha256"}
_command: ContextVar[Mapping[str, Any] | None] = ContextVar("command", default=None)


@contextmanager
def started_by(command: Mapping[str, Any]) -> Iterator[None]:
    """Within the context, ``fit`` records how the command line named the data, for a resumption without --data."""
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def fit(
    backend: str | Generator,
    dataset: Any,
    *,
    out: str | Path,
    steps: int | None = None,
    unlabelled: Any = None,
    exclude: Any = None,
    cache: str | Path | None = None,
    init: str | Path | Generator | None = None,
    freeze_discriminator: int | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    augment: Sequence[str] | None = None,
    balance: Balance | None = None,
    config: Mapping[str, Any] | None = None,
    checkpoint_every: int | None = None,
    max_minutes: float | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    keep: KeepBest | None = None,
    progress: bool = True,
) -> Generator:
    """Train a backend's generator on a dataset and return it, with the averaged (EMA) weights.

    Under ``torchrun``, and in a process group of your own, the processes that call ``fit`` with the same arguments
    train one generator: each takes an equal share of every batch. If each passes another ``out``, each trains its own.

    Args:
        backend: Name of an installed backend, or a ``Generator`` to fine-tune, which is then ``init``.
        dataset: ``dataset[i]`` is an image (PIL, uint8 or float in [0, 1]), alone or followed by an integer label;
            further fields are ignored. For a backend that takes no labels, anything may stand instead of the label.
            For a table it is a ``genaug.data.TableDataset``; items of series are (channels, steps) arrays, which
            ``genaug.data.SeriesDataset`` pads and masks. For a backend that translates it is a ``genaug.data.Pairs`` or
            ``genaug.data.Unpaired``. The dataset is read once.
        out: The run's folder, which ``genaug.load`` takes.
        steps: Number of training steps. With ``max_minutes`` it is an upper bound and may be left out.
        unlabelled: More images, of the same shape, for backends that learn from unlabeled ones too. Labels in this
            dataset aren't read. Batches are half labeled images and half images from both sets without labels.
        exclude: A dataset that must not have any image in common with the others, by content: your test set.
        cache: For more images than fit into memory: a folder that receives the dataset's images as uint8 pixels, once,
            and is read through a memory map, now and in later trainings on this dataset. It takes as many bytes as the
            images have pixels and channels. An interrupted filling goes on from where it stopped.
        init: Fine-tunes this generator: the folder of a run or of a saved generator, a Hub id, or a ``Generator``. Its
            averaged weights are those that training starts from, as are the discriminator's if it was kept: in a run
            folder, and in a generator that was pushed with ``keep=("discriminator",)``. ``config`` defaults to its
            options. Classes are matched by name (by number if one side has no names), and new classes start from the
            mean of the old ones.
        freeze_discriminator: With ``init``, the number of the discriminator's first blocks that stay as they are
            (FreezeD, Mo et al. 2020). 0 by default.
        image_size: Resizes the shorter side to this and crops the center.
        batch_size: Images per step, of all processes together. 64 by default.
        seed: Determines everything random. 0 by default.
        device: By default the GPU if there is one.
        precision: "float32", "bfloat16", or "auto" (the default): bfloat16 for images, if the hardware gains
            from it, or that of the run to resume.
        augment: Augmentations of the images that the discriminator sees ("translation", "affine", "color", "cutout";
            DiffAugment, Zhao et al. 2020), for small datasets.
        balance: Shows rare classes more often than they occur: "uniform" all classes equally often, "sqrt" in
            proportion to the square root of their numbers of images. The generator's samples of them get better
            sooner, but there are no more different images to learn from. By default classes are as frequent as in the
            data, unless the backend decides otherwise. For backends that take labels, and data with labels.
        config: The backend's own options.
        checkpoint_every: Steps between two saves of the complete state. 500 by default.
        max_minutes: Time limit for the call, including reading the data. After the first steps (20, or more if they
            take milliseconds) the number of steps is fixed for the remaining time, and with it the learning rates that
            decay over the run; ``run.json`` records it. If the machine becomes slower, the run stops at the time limit
            with its state saved; a resumed run keeps the number.
        threads: CPU threads. By default as many as torch uses, or fewer if other programs keep the cores busy. On a
            CPU the last bits of the weights depend on it, so ``run.json`` records it.
        overwrite: Replace the run in ``out``.
        resume: Continue the run in ``out`` exactly, from its last checkpoint. Arguments default to those of the run.
            Only ``steps`` (larger), ``device``, ``threads``, ``checkpoint_every`` and ``max_minutes`` may differ;
            learning rates that decay over the run then follow the longer run from that step on.
        callbacks: Functions of a ``Snapshot`` (``genaug.training.callbacks``: step, metrics, generator, ...), called at
            the steps that are logged (1, 5, 10, every 50, and each checkpoint), in the process of rank 0. An exception
            in one ends the training; earlier checkpoints remain.
        keep: A ``genaug.training.keeping.KeepBest``, as ``genaug.searches.keep_best`` returns it, to keep (and return)
            the generator of the step at which a measure is best instead of the last one, and to end a training that
            no longer improves. By default the last generator is kept.
        progress: Show progress on stderr.

    The state is also saved on SIGINT and SIGTERM, after the current step; a second one ends the process at once.
    Torch's default dtype and device, autocast, and modes that disable gradients have no effect on the training. Classes
    without images, or with fewer than 30, cause a ``TrainingWarning``; the latter only in a new run without ``init``.

    Raises:
        InputError: For unusable arguments or data, and if they differ from those of the run to resume.
        OutputExistsError: If ``out`` isn't empty, or another process writes to it.
        PluginError: If the backend isn't installed, or fails.
        SaveError: If ``out`` can't be written.
        TrainingError: If a loss or weight is no longer finite, or another process of the training is missing.
        KeyboardInterrupt: On SIGINT, after the state is saved.
    """
    began = time.monotonic()
    backend, init = _backend_and_init(backend, init)
    recipe = registry.resolve(backend)
    plugin = registry.discover().backends[backend]
    steps = _count(steps, "steps", checks.STEPS)
    batch_size = _count(batch_size, "batch_size", checks.BATCH)
    checkpoint_every = _count(checkpoint_every, "checkpoint_every", checks.STEPS)
    image_size = _count(image_size, "image_size", checks.SIDE)
    threads = _count(threads, "threads", checks.THREADS)
    freeze_discriminator = _count(freeze_discriminator, "freeze_discriminator", checks.COUNT, least=0)
    if not isinstance(keep, KeepBest | None):
        raise InputError(
            f"keep must be a KeepBest, as genaug.searches.keep_best(...) returns it, got {keep!r}. On the command line "
            "it is --keep best."
        )
    if max_minutes is not None and not 0 < max_minutes <= checks.MINUTES:
        raise InputError(f"max_minutes must be above 0 and at most {checks.MINUTES:,.0f}, got {max_minutes!r}.")
    if overwrite and resume:
        raise InputError("overwrite replaces a run and resume continues it: pass only one of them.")
    folder = RunFolder(out)
    with reading_from(folder.path):
        record = (folder.record() if resume else None) or {}
    refuse_changes(folder.path, record, {"backend": backend}, ["backend"] if record else [])

    def argument(name: str, value: Any, default: Any) -> Any:
        return record.get(name, default) if value is None else value

    tuning = plan_tuning(init, record, folder, backend)
    options = parse_config(backend, recipe.Config, {**tuning.config, **record.get("config", {}), **(config or {})})
    recorded_blocks = record.get("freeze_discriminator") or 0
    freeze_discriminator = recorded_blocks if freeze_discriminator is None else freeze_discriminator
    if record:
        before, now = ({"freeze_discriminator": count} for count in (recorded_blocks, freeze_discriminator))
        refuse_changes(folder.path, before, now, now)
    plan = plan_run(steps, max_minutes, record, folder)
    batch_size, image_size = int(argument("batch_size", batch_size, 64)), argument("image_size", image_size, None)
    checkpoint_every = int(argument("checkpoint_every", checkpoint_every, 500))
    target = _device(device, record)
    precision = check_precision(argument("precision", None if precision == "auto" else precision, "auto"))
    policy = check_policy(argument("augment", augment, ()))
    balance = check_balance(argument("balance", balance, None))
    settings = RunSettings(
        backend=backend,
        config=options.model_dump(mode="json"),
        steps=plan.steps,
        batch_size=batch_size,
        seed=check_seed(argument("seed", seed, 0)),
        precision=precision,
        augment=list(policy),
        image_size=image_size,
        torch=str(torch.__version__),
        genaug=__version__,
        plugin=f"{plugin.distribution} {plugin.version}",
        init=tuning.record,
        freeze_discriminator=freeze_discriminator or None,
        balance=balance,
        keep=None if keep is None else keep.record(),
    )
    if record:
        refuse_changes(folder.path, record, settings.record(), settings.record().keys() - _DATA_FIELDS)
    tuning.check(recipe, options, freeze_discriminator)
    with ExitStack() as stack:

        def claim() -> None:
            what = f"a training run ({backend}, seed {settings.seed})"
            stack.enter_context(folder.claimed(what, overwrite=overwrite, resume=resume))

        if is_first():  # this process writes for all
            try:
                claim()
            except GenaugError as error:  # the others wait for this process, and have to learn why it can't train
                with process_group(target, batch_size, {"out": str(folder.path)}, progress, error):
                    raise
        data, description = read_training_data(
            dataset,
            backend,
            recipe,
            options,
            image_size,
            progress,
            unlabelled=unlabelled,
            exclude=exclude,
            cache=None if cache is None else ImageCache(cache, fills=is_first()),
        )
        if policy and not data.spec.sample.is_augmentable:
            raise InputError(
                f"augment= (--augment) is for images, and these are {data.spec.sample.noun}. Leave it out."
            )
        data = tuning.adapted(data)
        if balance is not None:
            check_classes(backend, described(recipe, options, data.spec), data)
        if not record and tuning.ancestor is None and described(recipe, options, data.spec).takes_labels and is_first():
            warn_of_rare_classes(data)
        initial = tuning.weights(recipe, options, data.spec, progress and is_first())
        dtype = compute_dtype(precision, target, data.spec.sample.in_bfloat16)
        settings = replace(settings, precision=str(dtype).removeprefix("torch."), **description)
        call = {
            **settings.record(),
            "checkpoint_every": checkpoint_every,
            "resume": resume,
            "a time limit": max_minutes is not None,
            "out": str(folder.path),
        }
        with (
            torch_defaults(),
            process_group(target, batch_size, call, progress) as (world, target),
            torch.random.fork_rng([target] if target.type == "cuda" else []),
            running_on(_threads(threads, record, target, progress and world.is_first)) as thread_count,
        ):
            if world.is_first and not folder.is_claimed:  # another rank of the caller's process group trains alone
                claim()
            trainer = Trainer(
                recipe,
                options,
                data,
                seed=settings.seed,
                batch_size=batch_size,
                device=target,
                dtype=dtype,
                augment=policy,
                world=world,
                steps=plan.steps,
                initial=initial,
                freeze_discriminator=freeze_discriminator,
                balance=balance,
            )
            run = TrainingRun(
                trainer,
                settings,
                folder,
                plan=plan,
                private={
                    "device": target.type,
                    "threads": thread_count,
                    "checkpoint_every": checkpoint_every,
                    "command": _command.get() or record.get("command"),
                },
                callbacks=callbacks,
                keep=keep,
                show_progress=progress,
            )
            generator = run.train(resume=resume, checkpoint_every=checkpoint_every, budget=Budget(max_minutes, began))
    generator.folder = folder.path
    return generator


def _backend_and_init(backend: Any, init: Any) -> tuple[str, Any]:
    """The name of the backend, and the generator to start from, which may come in its place."""
    if isinstance(backend, Generator) and init is None:
        return backend.backend_name, backend
    if isinstance(backend, str):
        return backend, init
    expected = "Expected the name of an installed backend, such as 'cgan'; `genaug plugins` lists them"
    if isinstance(backend, Generator):
        raise InputError(f"the first argument is a generator to fine-tune, and init= is another one. {expected}.")
    raise InputError(f"the first argument is of type {type(backend).__name__}. {expected}. The dataset comes second.")


def _device(device: str | torch.device | None, record: Mapping[str, Any]) -> torch.device:
    """``device``; by default the kind of device that the run was on, if this machine has one."""
    if device is None and (record.get("device") == "cpu" or torch.cuda.is_available()):
        return pick_device(record.get("device"))
    return pick_device(device)


def _threads(threads: int | None, record: Mapping[str, Any], device: torch.device, show: bool) -> int:
    """``threads``; by default, on a CPU, the run's number, on which the last bits of the weights depend."""
    if threads is None and device.type == "cpu":
        threads = record.get("threads")
    return pick_threads(threads, device, show)


def _count(value: int | None, name: str, most: int, least: int = 1) -> int | None:
    return None if value is None else as_whole(value, name, least, most)

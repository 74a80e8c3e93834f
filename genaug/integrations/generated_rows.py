"""Generated rows of features for classes: from a generator trained on features and classes, or from another source."""

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug import checks
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.checks import as_whole
from genaug.data.tables import TableDataset
from genaug.device import torch_defaults
from genaug.errors import DataWarning, InputError, TrainingError
from genaug.modalities.columns import levels_of
from genaug.modalities.restoring import import_pandas
from genaug.modalities.scales import MAX_SLOTS
from genaug.modalities.table import Table
from genaug.sources.generator import Generator
from genaug.sources.source import check_source, check_supply
from genaug.training.data import read_training_data
from genaug.training.run import RunSettings
from genaug.training.threads import running_on
from genaug.training.trainer import EMA_DECAY, Trainer
from genaug.version import __version__

BATCH = 500  # rows per step, as in Xu et al. 2019
PASSES = 300
STEPS = (1000, 5000)


def default_steps(rows: int) -> int:
    """About 300 passes over the rows (Xu et al. 2019, section 5), but at least 1,000 and at most 5,000 steps."""
    return min(max(STEPS[0], PASSES * rows // BATCH), STEPS[1])


def train(
    backend: str, frame: Any, classes: NDArray[Any], codes: NDArray[Any], steps: int | None, seed: int
) -> Generator:
    """A generator of the rows of ``frame``, given the class, that was trained on these rows only.

    ``classes`` (K,) are the labels' meanings, ``codes`` int64 (N,) the rows' labels;
    without ``steps``, ``default_steps`` of the rows are made. On one CPU thread in float32, so
    that the result depends on nothing but the arguments. Raises ``InputError`` for columns that can't be learned, and
    for a backend that doesn't learn classes; ``TrainingError`` if a weight is no longer finite.
    """
    recipe, plugin = registry.resolve(backend), registry.discover().backends[backend]
    config = parse_config(backend, recipe.Config, {})
    data, description = read_training_data(_dataset(frame, classes, codes), backend, recipe, config, None, show=False)
    steps = default_steps(len(frame)) if steps is None else as_whole(steps, "steps", 1, checks.STEPS)
    batch_size = min(BATCH, len(frame))
    settings = RunSettings(
        backend=backend,
        config=config.model_dump(mode="json"),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        precision="float32",
        augment=[],
        image_size=None,
        torch=str(torch.__version__),
        genaug=__version__,
        plugin=f"{plugin.distribution} {plugin.version}",
        **description,
    )
    with torch_defaults(), torch.random.fork_rng(devices=[]), running_on(1):
        trainer = Trainer(recipe, config, data, seed=seed, batch_size=batch_size, steps=steps)
        if not trainer.spec.takes_labels:
            raise InputError(f"the backend {backend!r} doesn't learn classes, so its rows can't fill them up.")
        for index in range(steps):
            trainer.step(index)
        if not trainer.is_finite():
            raise TrainingError(
                f"a weight of {backend!r} is no longer finite (NaN or infinite) after {steps:,} steps. Train a "
                "generator with a lower learning rate (genaug.fit), and pass it as source."
            )
        nets = trainer.averaged()
    return Generator(backend, recipe, config, trainer.spec, nets, {**settings.record(), "ema_decay": EMA_DECAY})


def _dataset(frame: Any, classes: NDArray[Any], codes: NDArray[Any]) -> TableDataset:
    if len(classes) > MAX_SLOTS:
        raise InputError(f"y has {len(classes):,} classes; at most {MAX_SLOTS:,} can be learned. Group the rare ones.")
    pd = import_pandas()
    target = "target"
    while target in list(frame.columns):
        target += "_"
    names = pd.Categorical.from_codes(codes, [str(name) for name in classes.tolist()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # that a column is constant is no problem here
        dataset = TableDataset(pd.concat([frame, pd.Series(names, name=target)], axis=1), target=target)
    if dataset.identifiers:
        warnings.warn(
            f"every row has another value in the columns {', '.join(map(repr, dataset.identifiers[:8]))}, so they "
            "aren't learned, and generated rows have new values in them. Leave out columns that identify rows.",
            DataWarning,
            stacklevel=8,  # the call of fit_resample
        )
    return dataset


def check_two_rows(classes: NDArray[Any], sizes: NDArray[Any], counts: list[int]) -> None:
    """Raises ``InputError`` if ``counts`` has rows to generate of a class with a single one, by ``sizes``."""
    single = [name for name, size, count in zip(classes.tolist(), sizes, counts, strict=True) if count and size < 2]
    if single:
        raise InputError(
            f"the class {single[0]!r} has one row, from which its variety can't be learned. Expected two or more of "
            "each class that rows are generated for: add rows, or leave the class out with a dictionary as "
            "sampling_strategy."
        )


def check_fits(source: Any, frame: Any, is_named: bool) -> Table:
    """The table whose rows a source generates, given the class.

    Raises ``InputError`` for another source, and if its rows don't have the columns of ``frame``, with such values. If
    these have no names of their own, their order counts.
    """
    spec = check_source(source)
    table = spec.sample
    if not isinstance(table, Table):
        raise InputError(
            f"source must generate rows of a table, and the samples of this one are {table.noun}. Pass the name "
            "of a backend for tables, such as 'tvae', or a generator that was trained on a TableDataset."
        )
    if not spec.takes_labels or table.target is None or table.bins is not None:
        reason = "without a target" if table.bins is None else f"on intervals of {table.target!r}"
        raise InputError(
            f"the source doesn't generate rows of a class: it was trained {reason}. Expected a generator that was "
            "trained on a TableDataset whose target has y's classes."
        )
    names = [column.name for column in table.columns if column.name != table.target]
    if not is_named and len(names) == frame.shape[1]:
        frame = frame.set_axis(names, axis=1)
    differences = [(set(names) - set(frame.columns), "lacks"), (set(frame.columns) - set(names), "also has")]
    parts = [f"{verb} {', '.join(sorted(map(repr, some))[:8])}" for some, verb in differences if some]
    if parts:
        raise InputError(
            f"the source's rows have other columns than X, which {' and '.join(parts)}. Expected the columns of the "
            "table that the generator was trained on, without the target."
        )
    table.check(frame, len(frame), "X doesn't fit the source's table:")
    return table


def labels_of(source: Any, classes: NDArray[Any], counts: list[int]) -> Tensor:
    """The source's labels of the rows to generate, int64 (N,): ``counts`` of each class.

    A class is the source's that equals it, or else the one whose text is the same. Raises ``InputError`` if the source
    doesn't have it.
    """
    table = source.spec.sample
    levels = list(levels_of(table.target_column))
    by_text = {str(level): label for label, level in enumerate(levels)}
    needed = {}
    for name, count in zip(classes.tolist(), counts, strict=True):
        if count == 0:
            continue
        label = levels.index(name) if name in levels else by_text.get(str(name))
        if label is None:
            known = ", ".join(map(repr, levels[:20])) + (", …" if levels[20:] else "")
            raise InputError(f"the source has no class {name!r}. The classes in its column {table.target!r}: {known}.")
        needed[label] = count
    check_supply(source, list(needed))
    return torch.tensor(list(needed)).repeat_interleave(torch.tensor(list(needed.values())))


def draw(source: Any, labels: Tensor, seed: int, columns: Any) -> Any:
    """A generated row for each label, as a DataFrame with these columns, which are those of the source by name or,
    without names of their own, by order."""
    table = source.spec.sample
    options = {"precision": "float32"} if isinstance(source, Generator) else {}
    with running_on(1):
        rows, _ = source.sample(labels=labels, seed=seed, **options)
    if not hasattr(rows, "columns"):
        rows = table.present(table.check(rows, len(labels), f"{type(source).__name__}.sample returned"), labels)
    rows = rows.drop(columns=table.target)
    return rows[list(columns)] if set(rows.columns) == set(columns) else rows.set_axis(list(columns), axis=1)

"""The code that follows a study's advice, with everything that the study knows about the source."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from genaug.modalities.base import Modality
from genaug.schedules import Schedule
from genaug.sources.source import supply_of
from genaug.studies.advice_sources import Needs, fit_code, source_code
from genaug.studies.classic import built_in_name
from genaug.studies.jobs import Work
from genaug.studies.mixes import Mix, plans_in

_BATCH = 64


def advice_code(details: Mapping[str, Any], work: Work) -> str:
    """Python that does what the report advises. The first line names what it needs besides: what the user passed to
    the study."""
    source, settings = details["source"], details["settings"]
    if details["verdict"] == "use" and not details["ratio"]:
        return classifier_code(settings["sources"][source], work.spec.sample)
    needs = Needs()
    if work.spec.sample.blended:
        lines = _rows_code(details, work, needs)
    elif details["ratio"]:
        lines = _blend_code(details, work, needs)
    else:
        lines = _plain_code(details, work, needs)
    return "\n".join([f"# {', '.join(needs.names)}: as passed to the study", *lines])


def _blend_code(details: Mapping[str, Any], work: Work, needs: Needs) -> list[str]:
    """A blend at the report's ratio or schedule, and a loop over its batches."""
    settings, chosen = details["settings"], details["chosen"]
    name, courses = str(details["source"]), details["settings"].get("schedules", {})
    plan = work.sources[name]
    needs.train_set()
    schedule = courses.get(chosen.get("schedule"))
    curriculum = courses.get(chosen.get("curriculum"))
    imports, lines = {"import genaug"}, _transform_code(work, settings)
    if schedule or curriculum:
        lines.append(f"epochs = {_epochs(details, schedule or curriculum)}  # of about as many updates as in the study")
    options: list[str] = []
    if curriculum:
        classifier_lines, classifier = _curriculum_classifier(work, chosen["curriculum"], settings, needs, imports)
        options.append(f"curriculum=genaug.Curriculum({classifier}, {_over(curriculum, imports)})")
        lines += classifier_lines
    size = work.most_generated if curriculum else None
    codes = {
        key: _pooled(source_code(key, part, settings, needs), part, size) for key, part in plans_in(name, plan).items()
    }
    if isinstance(plan, Mix):
        shares = dict(zip(plan.sources, plan.shares.values(), strict=True))
        pairs = zip(plan.sources, codes.values(), strict=True)
        lines += ["sources = {", *(f"    {part!r}: {code}," for part, code in pairs), "}"]
        variable = "sources"
    else:
        shares, variable = {}, "generator"
        lines += [f"generator = {codes[name]}"] if codes[name] != "generator" else []
    if schedule:
        ratio = _over(schedule, imports)
        if shares:
            imports.add("from genaug.schedules import Schedule")
            lines.append(f"schedule = {ratio}")
            each = "Schedule([{share!r} * value for value in schedule.values])"
            ratio = _mapping({part: each.format(share=share) for part, share in shares.items()})
    else:
        ratio = _mapping({p: repr(share * chosen["ratio"]) for p, share in shares.items()}) or repr(chosen["ratio"])
    options = [f"ratio={ratio}", *(['mode="replace"'] if schedule else []), *options]
    options += ['balance="uniform"'] if work.fills else []
    lines.append(f"mixed = genaug.MixedDataset(train_set, {variable}, {', '.join(options)})")
    epochs = "epochs" if schedule or curriculum else str(_epochs(details, None))
    return [*_sorted(imports | _loop_imports(details, work)), "", *lines, *_loop(details, work, needs, epochs)]


def _plain_code(details: Mapping[str, Any], work: Work, needs: Needs) -> list[str]:
    """A loop over the training set, without generated samples."""
    needs.train_set()
    size = details["settings"]["batch_size"] or _BATCH
    return [
        *_sorted(_loop_imports(details, work)),
        "",
        *_transform_code(work, details["settings"]),
        f"loader = DataLoader(train_set, batch_size={size}, shuffle=True)  # without generated {_noun(details)}",
        f"for {_noun(details)}, labels in {_batches(details, work, needs, '0')}:",
        "    ...  # an update of your classifier",
    ]


def _rows_code(details: Mapping[str, Any], work: Work, needs: Needs) -> list[str]:
    """Generated rows added to a table, so many of each class."""
    needs.name("frame", "frame")
    ratio, name = details["ratio"], str(details["source"])
    if not ratio:
        return [f"training_rows = frame  # the training set as a DataFrame, without generated {_noun(details)}"]
    plan, settings = work.sources[name], details["settings"]
    counts = work.counts(work.train.labels, ratio)
    codes = {key: source_code(key, part, settings, needs) for key, part in plans_in(name, plan).items()}
    shares = list(plan.shares.values()) if isinstance(plan, Mix) else [1.0]
    lines, rows = [], []
    for number, (code, share) in enumerate(zip(codes.values(), shares, strict=True)):
        generator = "generator" if len(codes) == 1 else f"generator_{number}"
        lines += [f"{generator} = {code}"] if code != generator else []
        labels = _labels_code([round(share * n) for n in counts.tolist()])
        rows.append(f"{generator}.sample(labels=torch.tensor({labels}), seed=0)[0]")
    return [
        "import genaug",
        "import pandas",
        "import torch",
        "",
        *lines,
        f"rows = pandas.concat([{', '.join(rows)}])",
        "training_rows = pandas.concat([frame, rows.reindex(columns=frame.columns)])  # frame: the training set",
    ]


def _labels_code(counts: Sequence[int]) -> str:
    """A list with so many of each label."""
    return " + ".join(f"[{label}] * {count}" for label, count in enumerate(counts) if count) or "[]"


def classifier_code(source: Mapping[str, Any], sample: Modality) -> str:
    """Python that trains and uses the classifier with this description, of such samples."""
    noun = sample.noun
    if "backend" in source:
        return (
            "import genaug\n\n"
            f"generator = {fit_code(source, 'PATH')}\n"
            f"labels = generator.classify({noun}).argmax(1)  # {noun}: {sample.arrays}"
        )
    if "estimator" in source:
        return (
            f"classifier = {source['estimator']}\n"
            f"classifier.fit(train_{noun}, train_labels)  # train_{noun}: {sample.features}\n"
            f"labels = classifier.predict({noun})  # {noun}: in the same form"
        )
    if "function" in source:
        return f"classifier = function(train_set, seed)  # the function: {source['function']}"
    return f"labels = classifier.classify({noun}).argmax(1)  # the classifier that was passed to the study"


def _curriculum_classifier(
    work: Work, name: str, settings: Mapping[str, Any], needs: Needs, imports: set[str]
) -> tuple[list[str], str]:
    """The lines that train the classifier of a curriculum, if the study did, and its name."""
    course = work.courses[name]
    if isinstance(course, Schedule) or course.classifier is not None:
        return [], needs.name("classifier", None if isinstance(course, Schedule) else course.classifier)
    imports |= {
        "from genaug.data.reading import read_samples",
        "from genaug.nn.classifier import shuffled_batches, train_classifier",
        "from genaug.studies.models import make_classifier",
    }
    network = getattr(work.learner, "network", "small")
    what = repr(network) if isinstance(network, str) else needs.name("classifier_factory", network)
    size = settings["image_size"]
    read = "read_samples(train_set)" if size is None else f"read_samples(train_set, {size})"
    return [
        f"real = {read}",
        f"classifier = make_classifier({what}, real.spec.shape, real.spec.num_classes, 0)",
        f"batches = shuffled_batches(real.x, real.labels, {settings['batch_size']}, seed=0)",
        f"train_classifier(classifier, batches, updates={settings['updates']}, lr={settings['lr']!r}, seed=0)",
    ], "classifier"


def _over(described: Mapping[str, Any], imports: set[str]) -> str:
    """A schedule over the epochs of a training, as code."""
    name = described["text"].partition("(")[0]
    imports.add(f"from genaug.schedules import {name}")
    return f"{described['text']}.over(epochs)"


def _pooled(code: str, plan: Any, size: int | None) -> str:
    """A source from which a curriculum can choose: a pool with more samples than an epoch uses."""
    limited = hasattr(plan, "sample") and supply_of(plan) is not None
    return code if size is None or limited else f"genaug.SamplePool({code}, size={size})"


def _epochs(details: Mapping[str, Any], course: Mapping[str, Any] | None) -> int:
    """The number of epochs of as many updates as in the study, at least one for each number of a schedule."""
    settings, chosen = details["settings"], details["chosen"]
    if settings["updates"] is None:
        return 1
    length = details["statistics"]["n_train"] / (1 if chosen.get("schedule") else 1 - chosen["ratio"])
    epochs: int = math.ceil(settings["updates"] * settings["batch_size"] / length)
    return max(epochs, 1 if course is None else len(course["values"]))


def _loop(details: Mapping[str, Any], work: Work, needs: Needs, epochs: str) -> list[str]:
    size = details["settings"]["batch_size"] or _BATCH
    return [
        f"loader = DataLoader(mixed, batch_sampler=mixed.batch_sampler({size}))",
        f"for epoch in range({epochs}):",
        "    mixed.set_epoch(epoch)",
        f"    for {_noun(details)}, labels in {_batches(details, work, needs, 'epoch')}:",
        "        ...  # an update of your classifier",
    ]


def _batches(details: Mapping[str, Any], work: Work, needs: Needs, seed: str) -> str:
    """The loader's batches, after classic augmentation if that is advised."""
    if not details["classic"]:
        return "loader"
    if _is_custom(details):
        return f"augmented(loader, {needs.name('classic', 'classic')}, {seed})"
    return f"augmented(loader, {built_in_name(work.spec.sample)}, {seed})"


def _is_custom(details: Mapping[str, Any]) -> bool:
    """Whether the user passed classic augmentation of their own."""
    return "classic" in (details["origin"] or {}).get("options", {})


def _loop_imports(details: Mapping[str, Any], work: Work) -> set[str]:
    imports = {"from torch.utils.data import DataLoader"}
    if details["classic"]:
        imports.add("from genaug.studies.classic import augmented")
        if not _is_custom(details) and (name := built_in_name(work.spec.sample)) != "None":
            imports.add(f"from genaug.data.series_transforms import {name}")
    if work.pil is not None:
        imports.add("from torchvision.transforms import v2")
    return imports


def _transform_code(work: Work, settings: Mapping[str, Any]) -> list[str]:
    """The line with which images of Pillow come as tensors of the study's size."""
    if work.pil is None:
        return []
    size = settings["image_size"]
    to_tensor = "v2.PILToTensor()"
    if size is not None:
        to_tensor = f"v2.Compose([v2.Resize({size}), v2.CenterCrop({size}), {to_tensor}])"
    return [f"{work.pil}.transform = {to_tensor}"]


def _mapping(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in values.items()) + "}" if values else ""


def _noun(details: Mapping[str, Any]) -> str:
    return str(details["statistics"]["samples"])


def _sorted(imports: set[str]) -> list[str]:
    """Plain imports first; names of one module in one line."""
    names: dict[str, set[str]] = {}
    for line in imports:
        module, _, imported = line.removeprefix("from ").partition(" import ")
        names.setdefault(module, set()).update(imported.split(", ") if imported else [])
    plain = sorted(module for module, imported in names.items() if imported == set())
    others = sorted((module, imported) for module, imported in names.items() if imported)
    return [*plain, *(f"from {module} import {', '.join(sorted(imported))}" for module, imported in others)]

"""Checks of what a backend makes: its spec, its networks, its images."""

import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor, nn

from genaug.backends.backend import BackendConfig
from genaug.backends.latents import Categorical
from genaug.backends.spec import Spec
from genaug.device import autocast
from genaug.errors import InputError
from genaug.hub.load import load
from genaug.sources.generator import Generator
from genaug.testing.listing import check, of_images, offering
from genaug.testing.subject import CPU, ODD_SHAPE, SHAPE, Case, ConformanceError, Subject


@check()
def check_config_is_serialisable(subject: Subject) -> None:
    """The config survives JSON, as which it is saved beside the weights."""
    config = subject.case().config
    remedy = "Use fields of JSON's kinds (numbers, strings, booleans, lists), and names in place of objects."
    try:
        text = json.dumps(config.model_dump(mode="json"))
        type(config).model_json_schema()
        back: BackendConfig = type(config).model_validate(json.loads(text))
    except (TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
        raise ConformanceError(f"the config can't be written as JSON and read again: {error}. {remedy}") from error
    if back != config:
        raise ConformanceError(f"the config comes back from JSON as {back!r}; it was {config!r}. {remedy}")


@check()
def check_spec_is_stable(subject: Subject) -> None:
    """``describe`` keeps the data's shape, and gives its own result again: loading relies on it."""
    case = subject.case()
    if not isinstance(case.spec, Spec):
        raise ConformanceError(f"describe must return a Spec, got {type(case.spec).__name__}.")
    again = case.backend.describe(case.config, case.spec.model_copy(update={"latents": ()}))
    if again != case.spec:
        raise ConformanceError(f"describe(config, its own result without the latents) gives {again}, not {case.spec}.")
    if case.is_trainable and case.spec.shape != case.data.spec.shape:
        raise ConformanceError(f"describe gives the shape {case.spec.shape} for images of {case.data.spec.shape}.")
    if case.spec.num_classes not in (0, case.data.spec.num_classes):
        raise ConformanceError(f"describe gives {case.spec.num_classes} classes for {case.data.spec.num_classes}.")


@check(of_images)
def check_image_shape(subject: Subject) -> None:
    """Images have the spec's shape, (N, C, H, W), also for odd sizes such as 3x9x7, and one of them too."""
    for shape in (SHAPE, ODD_SHAPE):
        try:
            case = subject.case(shape)
        except InputError:
            if shape == SHAPE:
                raise
            continue  # refused with a sentence, which is a backend's right
        nets = case.build()
        for n in (1, 5):
            images = case.samples(nets, n)
            if tuple(images.shape) != (n, *case.spec.shape):
                raise ConformanceError(f"generate made {tuple(images.shape)}; expected {(n, *case.spec.shape)}.")
        if case.is_trainable:
            case.train(case.trainer(), range(1))


@check()
def check_image_dtype(subject: Subject) -> None:
    """Images are float32, or bfloat16 under autocast."""
    case = subject.case()
    nets = case.build()
    plain = case.samples(nets)
    with autocast(torch.bfloat16, CPU):
        rough = case.samples(nets)
    if plain.dtype != torch.float32 or rough.dtype not in (torch.float32, torch.bfloat16):
        raise ConformanceError(
            f"generate made {plain.dtype}, and under bfloat16 autocast {rough.dtype}; expected torch.float32, and one "
            "of torch.float32 and torch.bfloat16. The conversion to uint8 is genaug's."
        )


@check(of_images)
def check_image_range(subject: Subject) -> None:
    """Images are finite and lie in [-1, 1], whatever the latents, and use both signs: they aren't in [0, 1]."""
    case = subject.case()
    untrained, nets = case.samples(case.build(), 32), case.networks
    images = torch.cat([untrained, case.samples(nets, 32)])
    far = {name: code * 100 if code.is_floating_point() else code for name, code in case.latents(32).items()}
    extreme = case.generate(nets, replace(case.inputs(32), latents=far))
    if not images.isfinite().all():
        raise ConformanceError("generate made images that aren't finite.")
    low, high = float(torch.cat([images, extreme]).min()), float(torch.cat([images, extreme]).max())
    if low < -1.001 or high > 1.001:
        raise ConformanceError(
            f"images range over [{low:.3g}, {high:.3g}]; expected [-1, 1]. End the generator with tanh."
        )
    if low >= 0:
        raise ConformanceError(
            f"images range over [{low:.3g}, {high:.3g}]: [0, 1], it seems, where [-1, 1] is expected."
        )


@check()
def check_labels_reach_images(subject: Subject) -> None:
    """Where the spec takes labels, the same latents give another image for another label."""
    case = subject.case()
    if not case.spec.takes_labels:
        raise SkipTest("its spec takes no labels")
    first = torch.zeros(6, dtype=torch.int64)
    labels = range(case.spec.num_classes)
    made = [case.generate(case.networks, replace(case.inputs(6), labels=first + label)) for label in labels]
    for label, images in enumerate(made[1:], 1):
        if torch.equal(images, made[0]):
            raise ConformanceError(
                f"labels 0 and {label} give the same images, so labels are ignored. Use them in the generator, or say "
                "in describe that it takes none (classes=None)."
            )


@check()
def check_latents_reach_images(subject: Subject) -> None:
    """Other latents give other images, of every latent that the spec has."""
    case = subject.case()
    other, made = case.latents(6, seed=1), case.samples(case.networks)
    for latent in case.spec.latents:
        inputs = case.inputs(6)
        changed = replace(inputs, latents={**inputs.latents, latent.name: other[latent.name]})
        if torch.equal(case.generate(case.networks, changed), made):
            raise ConformanceError(f"the images don't depend on the latent {latent.name!r}. Use it, or take it out.")


@check()
def check_samples_are_independent(subject: Subject) -> None:
    """An image depends on its own latents, label and conditions only, not on what else is in the batch."""
    case = subject.case()
    inputs, others = case.inputs(6), case.inputs(6, seed=1)
    alone = case.generate(case.networks, case.inputs(6))[0]
    for name, code in inputs.latents.items():
        code[1:] = others.latents[name][1:]
    for values in inputs.conditions.values():
        values[1:] = values[1:].flip(0)
    if inputs.labels is not None:
        inputs.labels[1:] = 0
    among = case.generate(case.networks, inputs)[0]
    if not torch.allclose(alone, among, atol=1e-3):
        raise ConformanceError(
            f"an image changed by up to {float((alone - among).abs().max()):.3g} with its batch: sample i would depend "
            "on how many are asked for. No statistics of the batch in evaluation mode."
        )


@check()
def check_generator_suffices(subject: Subject) -> None:
    """``generate`` needs the networks that are kept only, and leaves them as they were."""
    case = subject.case()
    nets, roles = case.build(), case.backend.keeps
    missing = [role for role in roles if role not in nets]
    if missing or not roles:
        raise ConformanceError(f"build must return the networks that are kept, {roles}; it returned {sorted(nets)}.")
    before = {name: tensor.clone() for name, tensor in nets.state_dict().items()}
    with torch.no_grad():
        complete = case.backend.generate(nets.eval(), case.inputs(6))
    try:
        alone = case.samples(nets)
    except (KeyError, AttributeError) as error:
        raise ConformanceError(
            f"generate fails if only {roles} are there, as in a loaded generator: {error}. Add what it needs to keeps."
        ) from error
    if not torch.equal(complete, alone):
        raise ConformanceError(f"generate makes other samples if only {roles} are there, as in a loaded generator.")
    _same_weights(before, nets.state_dict(), "generate changes weights or buffers of the networks")


@check(lambda backend: bool(backend.conditions))
def check_conditions_reach_samples(subject: Subject) -> None:
    """Other conditions give other samples, of every condition that the backend declares."""
    case = subject.case()
    if {condition.name for condition in case.spec.conditions} != set(case.backend.conditions):
        raise ConformanceError(f"describe must keep the conditions {case.backend.conditions} of the data.")
    made = case.samples(case.networks)
    for name, values in case.inputs(6).conditions.items():
        inputs = case.inputs(6)
        changed = replace(inputs, conditions={**inputs.conditions, name: values.roll(1, 0)})
        if torch.equal(case.generate(case.networks, changed), made):
            raise ConformanceError(f"the samples don't depend on the condition {name!r}. Use it, or take it out.")


@check()
def check_save_and_load(subject: Subject) -> None:
    """A generator that was saved and loaded makes the same images: all of it is in parameters and buffers."""
    case = subject.case()
    nets = nn.ModuleDict({role: case.networks[role] for role in case.backend.keeps})
    generator = Generator(subject.name, case.backend, case.config, case.spec, nets, {})
    wanted = _five(generator, case)
    with tempfile.TemporaryDirectory() as folder:
        generator.save(Path(folder) / "saved")
        loaded = load(Path(folder) / "saved", device="cpu")
    try:
        got = _five(loaded, case)
    except (NotImplementedError, RuntimeError) as error:
        raise ConformanceError(
            f"a loaded generator can't generate: {error} Keep tensors as parameters or buffers (register_buffer)."
        ) from error
    if not torch.equal(got, wanted):
        raise ConformanceError(
            "a loaded generator makes other images. Keep all that it needs in parameters and buffers (register_buffer)."
        )


def _five(generator: Generator, case: Case) -> Tensor:
    if case.spec.conditions:
        samples, labels = case.data.conditions[case.spec.conditions[0].name][:5], case.labels(5)
        return generator.translate(samples, labels, seed=0, precision="float32")
    return generator.sample(5, seed=0, precision="float32")[0]


@check(offering("encode"))
def check_encode(subject: Subject) -> None:
    """``encode`` gives values of the spec's latents, one for each sample, of the kept networks alone."""
    case = subject.case()
    codes = case.look("encode", case.labels(6))
    latents = {latent.name: latent for latent in case.spec.latents}
    if not isinstance(codes, dict) or not codes or not set(codes) <= set(latents):
        raise ConformanceError(f"encode must return values of the latents {sorted(latents)} by name, got {codes!r}.")
    for name, values in codes.items():
        try:
            count = len(latents[name].check(values))
        except InputError as error:
            raise ConformanceError(f"encode: {error}") from error
        if count != 6:
            raise ConformanceError(f"encode returned {count} values of {name!r} for 6 samples.")


@check(offering("classify"))
def check_classify(subject: Subject) -> None:
    """``classify`` gives finite logits of all classes, or of the categories of the first categorical latent."""
    case = subject.case()
    logits = case.look("classify")
    sizes = [latent.size for latent in case.spec.latents if isinstance(latent, Categorical)]
    expected = (6, case.spec.num_classes or (sizes or [0])[0])
    if not isinstance(logits, Tensor) or tuple(logits.shape) != expected or not bool(logits.isfinite().all()):
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ConformanceError(f"classify must return finite logits of shape {expected}, got {got}.")


@check(offering("score"))
def check_score(subject: Subject) -> None:
    """``score`` gives a finite number for each sample."""
    case = subject.case()
    scores = case.look("score", case.labels(6))
    if not isinstance(scores, Tensor) or tuple(scores.shape) != (6,) or not bool(scores.isfinite().all()):
        got = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise ConformanceError(f"score must return finite numbers of shape (6,), got {got}.")


@check()
def check_global_rng_is_untouched(subject: Subject) -> None:
    """``generate`` and ``loss`` draw nothing from global random streams, and ``build`` none but torch's.

    A loss draws from ``step``, whose streams don't depend on processes or interruptions. Networks run in evaluation
    mode here, so that dropout draws nothing.
    """
    case = subject.case()
    before = _streams()
    nets = case.build().eval()
    _no_draw(before, "build", ("numpy", "Python"))
    before = _streams()
    case.samples(nets)
    _no_draw(before, "generate")
    if case.is_trainable:
        step = case.step(nets)
        before = _streams()
        list(case.turns(nets, step, case.batch()))
        _no_draw(before, "loss")


def _streams() -> dict[str, object]:
    numpy: Any = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy[1].tobytes(), *numpy[2:]),
        "Python": random.getstate(),
    }


def _no_draw(before: dict[str, object], where: str, names: tuple[str, ...] = ("torch", "numpy", "Python")) -> None:
    after = _streams()
    for name in names:
        if after[name] != before[name]:
            raise ConformanceError(
                f"{where} draws from {name}'s global random stream (or seeds it). Draw in loss from step.normal, "
                "step.uniform or step.latents, and in generate from nothing but the latents."
            )


def _same_weights(one: dict[str, Tensor], other: dict[str, Tensor], problem: str) -> None:
    for name, tensor in one.items():
        if not torch.equal(tensor, other[name]):
            raise ConformanceError(f"{problem} ({name!r}).")

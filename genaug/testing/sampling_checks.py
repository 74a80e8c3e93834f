"""Checks of a backend's spec, its networks and its samples."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor, nn

from genaug.backends.backend import BackendConfig
from genaug.backends.latents import Categorical
from genaug.backends.spec import Spec
from genaug.device import autocast
from genaug.errors import InputError
from genaug.hub.load import load
from genaug.sources.generator import Generator
from genaug.testing.listing import check, of_images, offering, with_sizes
from genaug.testing.subject import CPU, ODD_SHAPE, SHAPE, Case, ConformanceError, Subject, require

_LOADED = "Keep all that the networks need in parameters and buffers (register_buffer)."


@check()
def check_config_is_serializable(subject: Subject) -> None:
    """The config can be saved as JSON with the weights, and read again."""
    config = subject.case().config
    remedy = "Use fields of JSON's types (numbers, strings, booleans, lists), and names instead of objects."
    try:
        text = json.dumps(config.model_dump(mode="json"))
        type(config).model_json_schema()
        loaded: BackendConfig = type(config).model_validate(json.loads(text))
    except (TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
        raise ConformanceError(f"the config can't be written as JSON and read again: {error}. {remedy}") from error
    require(loaded == config, f"the config is {config!r}, but {loaded!r} after it was saved as JSON. {remedy}")


@check()
def check_spec_is_stable(subject: Subject) -> None:
    """``describe`` keeps the shape of the data, and maps its own result to itself, which loading relies on."""
    case = subject.case()
    data = case.data.spec
    require(isinstance(case.spec, Spec), f"describe must return a Spec, got {type(case.spec).__name__}.")
    second = case.backend.describe(case.config, case.spec.model_copy(update={"latents": ()}))
    require(
        second == case.spec,
        f"describe(config, its own result without the latents) returns {second}, not {case.spec}.",
    )
    require(
        not case.is_trainable or case.spec.shape == data.shape,
        f"describe returns the shape {case.spec.shape} for images of shape {data.shape}.",
    )
    require(
        case.spec.num_classes in (0, data.num_classes),
        f"describe returns {case.spec.num_classes} classes for data with {data.num_classes}.",
    )


@check(with_sizes)
def check_image_shape(subject: Subject) -> None:
    """Images, and series, have the spec's shape, also for odd sizes such as 3x9x7 and for a single one."""
    for shape in (SHAPE, ODD_SHAPE):
        try:
            case = subject.case(shape)
        except InputError:
            if shape == SHAPE:
                raise
            continue  # a backend may reject a size with an error
        nets = case.build()
        for n in (1, 5):
            actual, expected = tuple(case.samples(nets, n).shape), (n, *case.spec.sample.encoded_shape)
            noun = case.spec.sample.noun
            require(actual == expected, f"generate returned {noun} of shape {actual}; expected {expected}.")
        if case.is_trainable:
            case.train(case.trainer(), range(1))


@check()
def check_image_dtype(subject: Subject) -> None:
    """Images are float32, or bfloat16 under autocast."""
    case = subject.case()
    nets = case.build()
    dtype = case.samples(nets).dtype
    with autocast(torch.bfloat16, CPU):
        autocast_dtype = case.samples(nets).dtype
    require(
        dtype == torch.float32 and autocast_dtype in (torch.float32, torch.bfloat16),
        f"generate returned {dtype}, and under bfloat16 autocast {autocast_dtype}; expected torch.float32, and "
        "torch.float32 or torch.bfloat16. genaug converts to uint8 itself.",
    )


@check(of_images)
def check_image_range(subject: Subject) -> None:
    """Images are finite and in [-1, 1] for any latents, and some values are negative: they aren't in [0, 1]."""
    case = subject.case()
    untrained, nets = case.samples(case.build(), 32), case.networks
    images = torch.cat([untrained, case.samples(nets, 32)])
    scaled = {name: values * 100 if values.is_floating_point() else values for name, values in case.latents(32).items()}
    extreme = case.generate(nets, replace(case.inputs(32), latents=scaled))
    require(bool(images.isfinite().all()), "generate returned images that aren't finite.")
    low, high = (float(value) for value in torch.cat([images, extreme]).aminmax())
    require(
        low >= -1.001 and high <= 1.001,
        f"images range over [{low:.3g}, {high:.3g}]; expected [-1, 1]. End the generator with tanh.",
    )
    require(low < 0, f"images range over [{low:.3g}, {high:.3g}], apparently [0, 1]; expected [-1, 1].")


@check()
def check_labels_reach_images(subject: Subject) -> None:
    """If the spec takes labels, the same latents with another label give another image."""
    case = subject.case()
    if not case.spec.takes_labels:
        raise SkipTest("its spec takes no labels")
    zeros = torch.zeros(6, dtype=torch.int64)
    images = case.generate(case.networks, replace(case.inputs(6), labels=zeros))
    for label in range(1, case.spec.num_classes):
        others = case.generate(case.networks, replace(case.inputs(6), labels=zeros + label))
        require(
            not torch.equal(images, others),
            f"labels 0 and {label} give the same images, so labels are ignored. Use them in the generator, or describe "
            "it as taking none (classes=None).",
        )


@check()
def check_latents_reach_images(subject: Subject) -> None:
    """Images depend on every latent of the spec."""
    case = subject.case()
    others, images = case.latents(6, seed=1), case.samples(case.networks)
    for latent in case.spec.latents:
        inputs = case.inputs(6)
        changed = replace(inputs, latents={**inputs.latents, latent.name: others[latent.name]})
        require(
            not torch.equal(case.generate(case.networks, changed), images),
            f"the images don't depend on the latent {latent.name!r}. Use it, or remove it from the spec.",
        )


@check()
def check_samples_are_independent(subject: Subject) -> None:
    """An image depends on its own latents, label and conditions only, not on the rest of the batch."""
    case = subject.case()
    inputs, others = case.inputs(6), case.inputs(6, seed=1)
    image = case.generate(case.networks, case.inputs(6))[0]
    for name, values in inputs.latents.items():
        values[1:] = others.latents[name][1:]
    for values in inputs.conditions.values():
        values[1:] = values[1:].flip(0)
    if inputs.labels is not None:
        inputs.labels[1:] = 0
    difference = float((image - case.generate(case.networks, inputs)[0]).abs().max())
    require(
        difference <= 1e-3,
        f"an image changed by up to {difference:.3g} with the rest of its batch, so sample i would depend on the "
        "number of samples. Use no statistics of the batch in evaluation mode.",
    )


@check()
def check_generator_suffices(subject: Subject) -> None:
    """``generate`` needs only the kept networks, and doesn't change them."""
    case = subject.case()
    nets, roles = case.build(), case.backend.keeps
    require(
        bool(roles) and all(role in nets for role in roles),
        f"build must return the kept networks, {roles}; it returned {sorted(nets)}.",
    )
    before = {name: tensor.clone() for name, tensor in nets.state_dict().items()}
    with torch.no_grad():
        samples = case.backend.generate(nets.eval(), case.inputs(6))
    try:
        alone = case.samples(nets)
    except (KeyError, AttributeError) as error:
        raise ConformanceError(
            f"generate fails with only {roles}, as in a loaded generator: {error}. Add what it needs to keeps."
        ) from error
    require(torch.equal(samples, alone), f"generate returns other samples with only {roles}, as in a loaded generator.")
    for name, tensor in nets.state_dict().items():
        require(torch.equal(before[name], tensor), f"generate changes weights or buffers of the networks ({name!r}).")


@check(lambda backend: bool(backend.conditions))
def check_conditions_reach_samples(subject: Subject) -> None:
    """Samples depend on every condition that the backend declares."""
    case = subject.case()
    require(
        {condition.name for condition in case.spec.conditions} == set(case.backend.conditions),
        f"describe must keep the conditions {case.backend.conditions} of the data.",
    )
    samples = case.samples(case.networks)
    for name, values in case.inputs(6).conditions.items():
        inputs = case.inputs(6)
        changed = replace(inputs, conditions={**inputs.conditions, name: values.roll(1, 0)})
        require(
            not torch.equal(case.generate(case.networks, changed), samples),
            f"the samples don't depend on the condition {name!r}. Use it, or don't declare it.",
        )


@check(offering("reverse"))
def check_reverse(subject: Subject) -> None:
    """``reverse`` returns finite samples of the condition from samples of the spec, with only the kept networks."""
    case = subject.case()
    require(len(case.spec.conditions) == 1, "reverse needs exactly one condition.")
    condition, nets = case.spec.conditions[0], nn.ModuleDict({r: case.networks[r] for r in case.backend.keeps})
    x = case.spec.sample.encode(case.data.x[:6])
    samples = []
    for values in (x, x.roll(1, 0)):
        with torch.no_grad():
            inputs = replace(case.inputs(6), latents={}, conditions={condition.name: values})
            samples.append(case.backend.reverse(nets.eval(), inputs))
    expected = (6, *condition.sample.encoded_shape)
    require(
        tuple(samples[0].shape) == expected and bool(samples[0].isfinite().all()),
        f"reverse must return finite samples of shape {expected}, got {tuple(samples[0].shape)}.",
    )
    require(not torch.equal(*samples), "the samples of reverse don't depend on its input.")


@check()
def check_save_and_load(subject: Subject) -> None:
    """A generator returns the same images after it was saved and loaded: parameters and buffers contain all of it."""
    case = subject.case()
    nets = nn.ModuleDict({role: case.networks[role] for role in case.backend.keeps})
    generator = Generator(subject.name, case.backend, case.config, case.spec, nets, {})
    expected = _five_samples(generator, case)
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(generator.save(Path(folder) / "saved"), device="cpu")
    try:
        samples = _five_samples(loaded, case)
    except (NotImplementedError, RuntimeError) as error:
        raise ConformanceError(f"a loaded generator can't generate: {error} {_LOADED}") from error
    same = torch.allclose(samples, expected, rtol=0, atol=0, equal_nan=True)  # NaN may stand for a missing value
    require(same, f"a loaded generator returns other samples. {_LOADED}")


def _five_samples(generator: Generator, case: Case) -> Tensor:
    if case.spec.conditions:
        sources = case.data.conditions[case.spec.conditions[0].name][:5]
        samples = generator.translate(sources, case.labels(5), seed=0, precision="float32")
    else:
        samples, _ = generator.sample(5, seed=0, precision="float32")
    return case.spec.sample.check(samples, 5, "the generator returned")


@check(offering("encode"))
def check_encode(subject: Subject) -> None:
    """``encode`` returns valid values of the spec's latents, one per sample, with only the kept networks."""
    case = subject.case()
    codes = case.observe("encode", case.labels(6))
    latents = {latent.name: latent for latent in case.spec.latents}
    require(
        isinstance(codes, dict) and bool(codes) and set(codes) <= set(latents),
        f"encode must return values of the latents {sorted(latents)} by name, got {codes!r}.",
    )
    for name, values in codes.items():
        try:
            count = len(latents[name].check(values))
        except InputError as error:
            raise ConformanceError(f"encode: {error}") from error
        require(count == 6, f"encode returned {count} values of {name!r} for 6 samples.")


@check(offering("classify"))
def check_classify(subject: Subject) -> None:
    """``classify`` returns finite logits of all classes that it recognizes, or of the categories of the first
    categorical latent."""
    case = subject.case()
    sizes = [latent.size for latent in case.spec.latents if isinstance(latent, Categorical)]
    _check_finite("classify", case.observe("classify"), (6, case.spec.of_classifier.num_classes or (sizes or [0])[0]))


@check(offering("score"))
def check_score(subject: Subject) -> None:
    """``score`` returns a finite number per sample, without labels too if the backend says so."""
    case = subject.case()
    _check_finite("score", case.observe("score", case.labels(6)), (6,))
    if case.backend.scores_without_labels:
        _check_finite("score", case.observe("score", None), (6,))


def _check_finite(method: str, values: Any, shape: tuple[int, ...]) -> None:
    actual = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
    require(
        isinstance(values, Tensor) and tuple(values.shape) == shape and bool(values.isfinite().all()),
        f"{method} must return finite numbers of shape {shape}, got {actual}.",
    )

"""Does a network that was trained on generated series predict the next values of real ones?

The predictive score of Yoon et al. 2019 (TimeGAN, section 5; the details are in the authors' code).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genaug.evaluation.aligned_series import MOST_STEPS, AlignedSeries
from genaug.evaluation.arrays import Z
from genaug.evaluation.report import Findings, measure
from genaug.evaluation.scores import interval_over_models
from genaug.nn.recurrent import Recurrent, batch, trained
from genaug.randomness import derive_seed

UPDATES, BATCH, HIDDEN = 1000, 128, 32
_LEAST = 20  # series per side
_CHUNK = 1024

Pair = tuple[Tensor, Tensor]


def predictor(inputs: int, outputs: int) -> nn.Module:
    """A GRU of 32 units."""
    return Recurrent(inputs, HIDDEN, outputs, predicts=True)


def prediction_errors(
    train: Pair,
    test: Pair,
    build: Callable[[int, int], nn.Module] = predictor,
    *,
    updates: int,
    seed: int,
    device: torch.device | None = None,
    inputs: slice = slice(None),
    targets: slice = slice(None),
) -> Tensor:
    """The mean absolute error of one-step-ahead predictions for each test series, float64 (N,); NaN for one without a
    value to predict.

    ``train`` and ``test`` are pairs of values and whether there is one, (N, channels, steps), as of
    ``AlignedSeries.unit``. The network, ``build(inputs, outputs)``, gets the channels ``inputs`` at all steps but the
    last and, if values are missing anywhere, where there is one; it predicts ``targets`` at the next step. It is
    trained on batches of 128 series by Adam, as in the published code.
    """
    place = device or torch.device("cpu")
    is_complete = bool(train[1].all()) and bool(test[1].all())

    def errors(model: nn.Module, values: Tensor, observed: Tensor) -> Pair:
        before = values[:, inputs, :-1]
        if not is_complete:
            before = torch.cat([before, observed[:, inputs, :-1]], 1)
        outputs = model(before.to(place)).to(values.device)
        return (outputs - values[:, targets, 1:]).abs() * observed[:, targets, 1:], observed[:, targets, 1:]

    def loss(model: nn.Module, draws: torch.Generator) -> Tensor:
        rows = batch(train[0], BATCH, draws)
        error, observed = errors(model, train[0][rows], train[1][rows])
        return error.sum() / observed.sum().clamp(min=1)

    known, predicted = len(train[0][0, inputs]), len(train[0][0, targets])
    network = trained(
        lambda: build(known if is_complete else 2 * known, predicted), loss, updates=updates, seed=seed, device=place
    )
    results = []
    with torch.inference_mode():
        for values, observed in zip(test[0].split(_CHUNK), test[1].split(_CHUNK), strict=True):
            error, present = errors(network, values, observed)
            results.append(error.double().flatten(1).sum(1) / present.double().flatten(1).sum(1))
    return torch.cat(results)


def predict(
    aligned: AlignedSeries,
    rows: Tensor,
    findings: Findings,
    *,
    predictors: int,
    updates: int,
    seed: int,
    device: torch.device,
    tick: Callable[[], None],
) -> None:
    """``predictive_score``: the error of predictors that were trained on generated series, in shares of each channel's
    range, on held-out series, or on the real ones at ``rows`` if there are none.

    The reference is the error of a predictor that was trained on these real series instead, if there are held-out ones.
    ``tick`` is called after each training.
    """
    real, unseen = aligned.sides["real"][rows], aligned.sides.get("held_out")
    sides = {"real": real, "generated": aligned.sides["generated"], "tested": real if unseen is None else unseen}
    count = min(map(len, sides.values()))
    if predictors == 0 or count < _LEAST:
        reason = f"needs {_LEAST} series on each side, there are {count}"
        findings.missing["predictive_score"] = "no classifiers requested" if predictors == 0 else reason
        return
    pairs = {side: _first_steps(aligned.unit(raw)) for side, raw in sides.items()}

    def error(side: str, number: int) -> Tensor:
        own = derive_seed(seed, side, number)
        result = prediction_errors(pairs[side], pairs["tested"], updates=updates, seed=own, device=device)
        tick()
        return result[~result.isnan()]

    errors = [error("generated", number) for number in range(predictors)]
    if not len(errors[0]):
        findings.missing["predictive_score"] = "needs real series with a value after the first step"
        return
    means = [float(one.mean()) for one in errors]
    variance = float(torch.stack(errors).mean(0).var()) / len(errors[0])
    what = "held-out series" if unseen is not None else "the real series"
    findings.metrics["predictive_score"] = measure(
        sum(means) / predictors,
        interval_over_models(means, Z**2 * variance),
        (0.0, float("inf")),
        samples=len(sides["generated"]),
        real_samples=len(sides["tested"]),
        features=f"mean absolute error one step ahead, in shares of each channel's range, on {what}, of GRUs of "
        f"{HIDDEN} units trained on generated ones; mean of {predictors} trainings",
        higher_is_better=False,
        reference=None if unseen is None else float(error("real", 0).mean()),
    )


def _first_steps(pair: Pair) -> Pair:
    return pair[0][..., :MOST_STEPS], pair[1][..., :MOST_STEPS]

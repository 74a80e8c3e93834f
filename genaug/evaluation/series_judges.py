"""Can a network tell generated series from real ones?

The discriminative score of Yoon et al. 2019 (TimeGAN, section 5; the details are in the authors' code), with a stronger
judge beside the published one.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from genaug.evaluation.aligned_series import AlignedSeries
from genaug.evaluation.arrays import Z
from genaug.evaluation.report import Findings, measure
from genaug.evaluation.scores import WIDTH, interval_over_models
from genaug.nn.classifier import logits_of, small_cnn
from genaug.nn.recurrent import Recurrent, batch, trained
from genaug.randomness import derive_seed

UPDATES, BATCH = 2000, 128
_TRAINING_SHARE = 0.8
_LEAST = 50  # series per side: a fifth of them is judged
_CHUNK = 1024

Build = Callable[[], nn.Module]


def judge(
    series: Tensor, others: Tensor, build: Build, *, updates: int, seed: int, device: torch.device | None = None
) -> tuple[float, int]:
    """The accuracy with which a new network of ``build`` tells two sets of series (N, channels, steps) apart that it
    hasn't been trained on, a fifth of each, averaged over both sets; and the number of series it is tested on.

    The network returns a logit (N, 1). As in the published code: batches of 128 of each set, Adam, and the sum of both
    cross-entropies.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "split"))
    train, test = [], []
    for side in (series, others):
        rows = torch.randperm(len(side), generator=draws)
        cut = int(_TRAINING_SHARE * len(side))
        train.append(side[rows[:cut]])
        test.append(side[rows[cut:]])
    place = device or torch.device("cpu")

    def loss(model: nn.Module, draws: torch.Generator) -> Tensor:
        parts = [side[batch(side, BATCH, draws)] for side in train]
        logits = model(torch.cat(parts).to(place))[:, 0]
        target = torch.cat([torch.full((len(part),), float(number)) for number, part in enumerate(parts)]).to(place)
        losses = binary_cross_entropy_with_logits(logits, target, reduction="none")
        return losses[: len(parts[0])].mean() + losses[len(parts[0]) :].mean()

    model = trained(build, loss, updates=updates, seed=seed, device=place)
    correct = [((logits_of(model, side)[:, 0] > 0) == bool(n)).double().mean() for n, side in enumerate(test)]
    return float(torch.stack(correct).mean()), sum(map(len, test))


def published_judge(channels: int, inputs: int) -> Build:
    """The judge of the authors' code: a GRU with half as many units as there are channels, rounded down, but at least
    one."""
    return partial(Recurrent, inputs, max(1, channels // 2))


def strong_judge(shape: tuple[int, ...]) -> Build:
    """A small CNN."""
    return partial(small_cnn, shape, 1, WIDTH)


def discriminate(
    aligned: AlignedSeries,
    rows: Tensor,
    findings: Findings,
    *,
    judges: int,
    updates: int,
    seed: int,
    device: torch.device,
    tick: Callable[[], None],
) -> None:
    """``discriminative_score`` by the published judge and ``discriminative_score_strong`` by a CNN: |accuracy - 0.5|,
    the mean over ``judges`` trainings, of real series at ``rows`` against generated ones.

    The reference is that of held-out series against real ones, by one judge. ``tick`` is called after each training.
    """
    raw = {"real": aligned.sides["real"][rows], "generated": aligned.sides["generated"]}
    names = "discriminative_score", "discriminative_score_strong"
    count = min(map(len, raw.values()))
    if judges == 0 or count < _LEAST:
        reason = "no classifiers requested" if judges == 0 else f"needs {_LEAST} series on each side, there are {count}"
        findings.missing.update(dict.fromkeys(names, reason))
        return
    if (unseen := aligned.sides.get("held_out")) is not None and len(unseen) >= _LEAST:
        raw["held_out"] = unseen
    channels = aligned.sample.channels
    for name in names:
        is_strong = name.endswith("strong")
        inputs = {side: aligned.inputs(own) if is_strong else aligned.judged(own) for side, own in raw.items()}
        shape = tuple(inputs["real"].shape[1:])
        build = strong_judge(shape) if is_strong else published_judge(channels, shape[0])
        units = max(1, channels // 2)
        kind = "a small CNN" if is_strong else f"a GRU of {units} unit{'s' * (units > 1)}, as published"

        def score(side: str, number: int, build: Build = build, sets: dict[str, Tensor] = inputs) -> tuple[float, int]:
            own = derive_seed(seed, side, number)
            accuracy, tested = judge(sets["real"], sets[side], build, updates=updates, seed=own, device=device)
            tick()
            return abs(accuracy - 0.5), tested

        results = [score("generated", number) for number in range(judges)]
        scores, tested = [score for score, _ in results], results[0][1]
        accuracy = (sum(scores) / judges * tested + 0.5 * tested + 2) / (tested + 4)  # as in scores.share_interval
        findings.metrics[name] = measure(
            sum(scores) / judges,
            interval_over_models(scores, Z**2 * accuracy * (1 - accuracy) / tested),
            (0.0, 0.5),
            samples=len(raw["generated"]),
            real_samples=len(raw["real"]),
            features=f"|accuracy - 0.5| of {kind}, on a fifth of the series; mean of {judges} trainings",
            higher_is_better=False,
            reference=score("held_out", 0)[0] if "held_out" in raw else None,
        )

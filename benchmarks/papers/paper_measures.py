"""The measures, with targets, of the records of the other papers' scripts."""

from benchmarks.papers import (
    conditional_measures,
    infogan_coloured_mnist as colored,
    infogan_mnist as infogan,
    mad_gan_1d as line,
    mad_gan_cost as price,
    mixtures_2d as plane,
    wgan_gp_curve as curve,
    wgan_gp_limits as limits,
    zheng_toy as toy,
)
from benchmarks.papers.measures import Bound, Measure, Row, by_seed, differences
from benchmarks.studies import thesis_tables

LINE_FIRST_SEEDS = 8  # on the line; the other seeds were run after these had been reported
COLORED_FIRST_SEEDS = 3  # of the colored digits; with an earlier method, they had missed the target


def mad_gan_1d(rows: list[Row]) -> list[Measure]:
    kl = {k: by_seed(rows, "kl", k=k) for k in (1, 2, 4, 8)}
    target, every = Bound("<=", line.TARGET_KL), Bound(">=", len(line.DATA.means), "every seed")
    measures = []
    for k, values in kl.items():
        paper = f"{line.PAPER[k]} (second-hand)"
        measures.append(Measure(f"KL, k = {k}", values, ".3f", target if k == 4 else None, paper))
    later = {seed: value for seed, value in kl[4].items() if seed >= LINE_FIRST_SEEDS}
    measures.append(Measure(f"KL, k = 4, seeds from {LINE_FIRST_SEEDS} on", later, required=False))
    below = Bound("<", 0, "paired t-test")
    paper = f"{line.PAPER[4] - line.PAPER[1]:.2f} (second-hand)".replace("-", "−", 1)
    measures.append(Measure("KL at k = 4 minus that at k = 1", differences(kl[4], kl[1]), bound=below, paper=paper))
    shares = {
        "samples that KL leaves out": (line.not_counted, ".2%"),
        "samples outside the bins": (line.beyond_the_bins, ".3%"),
    }
    for label, (share, form) in shares.items():
        for k in kl:
            of_k = {row["seed"]: share(row) for row in rows if row["k"] == k}
            measures.append(Measure(f"{label}, k = {k}", dict(sorted(of_k.items())), form))
    modes = {k: by_seed(rows, "modes", k=k) for k in kl}
    return [
        *measures,
        *(Measure(f"modes of 5, k = {k}", v, ".0f", every if k == 4 else None) for k, v in modes.items()),
    ]


def mixtures_2d(rows: list[Row]) -> list[Measure]:
    paper = {
        ("ring", "gan", "modes"): "6.3 (PacGAN's count)",
        ("grid", "gan", "modes"): "17.3 (PacGAN's count)",
        ("grid", "gan", "quality"): "61.9%",
        ("grid", "mad-gan", "quality"): "91.9%",
        ("grid", "mad-gan-paper", "quality"): "91.9%",
        ("grid", "wgan-gp", "quality"): "58.4% (WGAN)",
    }
    measures = []
    for mixture, gaussians in plane.MIXTURES.items():
        every = len(gaussians.means)
        for method in plane.METHODS:
            ours, of = method == "mad-gan", {"mixture": mixture, "method": method}
            bounds = {"modes": Bound(">=", every, "every seed"), "quality": Bound(">=", plane.TARGET)} if ours else {}
            figures = {"modes": (f"modes of {every}", ".0f"), "quality": ("high quality", ".1%")}
            for name, (label, form) in figures.items():
                quoted, values = paper.get((mixture, method, name), "–"), by_seed(rows, name, **of)
                measures.append(Measure(f"{mixture}, {method}: {label}", values, form, bounds.get(name), quoted))
    return measures


def infogan_mnist(rows: list[Row]) -> list[Measure]:
    values, label = (
        by_seed(rows, "error"),
        f"test error of the categorical code (stretch goal {100 * infogan.STRETCH:g}%)",
    )
    return [Measure(label, values, ".2%", Bound("<=", infogan.TARGET), f"{100 * infogan.PAPER:g}% (selected seeds)")]


def infogan_coloured_mnist(rows: list[Row]) -> list[Measure]:
    bound, label = (
        Bound(">=", colored.TARGET, "every seed"),
        "R² of the stroke color as explained by the continuous codes",
    )
    first, later = (
        {seed: value for seed, value in by_seed(rows, "r2").items() if (seed < COLORED_FIRST_SEEDS) == is_first}
        for is_first in (True, False)
    )
    prompting = f"{label}, seeds 0 to {COLORED_FIRST_SEEDS - 1}, whose failures prompted the method"
    count = COLORED_FIRST_SEEDS
    return [
        Measure(prompting, first, bound=bound, paper="none", required=False, seeds=count),
        Measure(f"{label}, new seeds from {count} on", later, bound=bound, paper="none", required=False, seeds=count),
        Measure("R² as explained by the category alone", by_seed(rows, "r2_of_category")),
    ]


def wgan_gp_curve(rows: list[Row]) -> list[Measure]:
    bound, paper = Bound(">=", curve.TARGET, "every seed"), "claimed, no figure"
    latest = Measure("Spearman, critic's estimate and KID", by_seed(rows, "spearman"), bound=bound, paper=paper)
    step = {row["seed"]: curve.of_the_step(row) for row in rows}
    return [
        latest,
        Measure("the same, with KID of the averaged generator", by_seed(rows, "spearman_averaged")),
        Measure("Spearman, negated step and KID", step),
    ]


def wgan_gp_limits(rows: list[Row]) -> list[Measure]:
    measures = []
    for setting in limits.SETTINGS:
        mine = [row for row in rows if row["setting"] == setting]
        bound = Bound(">=", curve.TARGET, "every seed")
        figures = {
            "largest increase of KID over an earlier minimum (factor)": (limits.rise, ".1f", None),
            "Spearman, critic's estimate and KID": (lambda row: row["spearman"], ".3f", bound),
            "Spearman, the estimate on held-out images and KID": (limits.held_out, ".3f", None),
            "Spearman, negated step and KID": (curve.of_the_step, ".3f", None),
        }
        for label, (value, form, target) in figures.items():
            values = {row["seed"]: value(row) for row in sorted(mine, key=lambda row: row["seed"])}
            measures.append(Measure(f"{setting}: {label}", values, form, target))
    return measures


def conditional(rows: list[Row]) -> list[Measure]:
    measures = []
    fids = {method: by_seed(rows, "fid", method=method) for method in ("cgan", "mad-gan-3", "mad-gan-5", "mad-gan-10")}
    thesis = {"mad-gan-3": "25.6 (other features)", "mad-gan-10": "110.6 (other features)"}
    for method, fid in fids.items():
        names = ("agreement", "synthetic_only", "synthetic_only_classic")
        agreement, alone, classic = (by_seed(rows, name, method=method) for name in names)
        least = {name: Bound(">=", of[method.partition("-")[0]]) for name, of in conditional_measures.TARGETS.items()}
        paper = "98.37% (gtoubassi)" if method == "cgan" else "–"
        measures += [
            Measure(f"{method}: requested label recognized", agreement, ".2%", least["agreement"]),
            Measure(f"{method}: accuracy from samples alone", alone, ".2%", least["synthetic_only"], paper),
            Measure(f"{method}: the same, with classic augmentation", classic, ".2%"),
            Measure(f"{method}: FID", fid, paper=thesis.get(method, "–")),
        ]
    most = conditional_measures.MOST_FID_RATIO
    ratios = conditional_measures.fid_ratios({m: [row for row in rows if row["method"] == m] for m in fids})
    measures.append(Measure("FID at k = 10 divided by that at k = 3", ratios, ".2f", Bound("<=", most), "4.3"))
    apart = {
        "named_by_cnn": ("generator recognized by a separate CNN", ".1%"),
        "named_by_discriminator": ("generator recognized by the discriminator", ".1%"),
        "class_mean_distance": ("distance between class means", ".3f"),
        "class_mean_distance_by_chance": ("the same, with random assignment", ".3f"),
    }
    for k in (3, 5, 10):
        of = {name: by_seed(rows, name, method=f"mad-gan-{k}") for name in apart}
        measures += [Measure(f"k = {k}: {label}", of[name], form) for name, (label, form) in apart.items()]
    return measures


def conditional_cifar10(rows: list[Row]) -> list[Measure]:
    figures = {
        "kid": ("KID", ".4f"),
        "agreement": ("requested label recognized", ".2%"),
        "synthetic_only": ("accuracy from samples alone", ".2%"),
        "synthetic_only_classic": ("the same, with classic augmentation", ".2%"),
        "judge_accuracy": ("accuracy of the classifier trained on real images", ".2%"),
        "steps_made": ("steps", ",.0f"),
    }
    return [Measure(label, by_seed(rows, name), form) for name, (label, form) in figures.items()]


def mad_gan_cost(rows: list[Row]) -> list[Measure]:
    measures = []
    for unit, what in (("ms", "time"), ("mib", "memory")):
        for mode in ("split", "full"):
            for k in (2, 5, 10):
                values = {row["round"]: row[f"{unit}_{mode}_k{k}"] / row[f"{unit}_{mode}_k1"] for row in rows}
                bound = Bound("<=", price.TARGETS[mode]) if (k, unit) == (10, "ms") else None
                bound = Bound("<", k) if unit == "mib" else bound
                label = f"{what} per step divided by that of k = 1, {mode} batch, k = {k}"
                measures.append(Measure(label, values, ".2f", bound, "linear in k" if k == 10 else "–"))
    unshared = by_seed(rows, "unshared", "round")
    return [*measures, Measure("multiply-adds of a generator that aren't shared", unshared, ".0%", Bound(">=", 0.3))]


def labels(rows: list[Row]) -> list[Measure]:
    figures = {
        "wrong_share": "wrong labels",
        "estimated_wrong_share": "estimated wrong labels",
        "wrong_share_without_rejection": "wrong labels without rejection",
        "acceptance_rate": "accepted",
        "acceptance_rate_of_the_rarest_class": "accepted samples of the rarest class, of all samples",
        "judge_accuracy": "accuracy of the judge",
    }
    measures = []
    for generator, method in (("infogan", "classifier"), ("infogan", "codes"), ("wgan-gp", "classifier")):
        mine = [row for row in rows if (row["generator"], row["method"]) == (generator, method)]
        rejected = {row["seed"]: float("refused" in row) for row in mine}
        measures.append(Measure(f"{generator}, {method}: rejected", rejected, ".0f"))
        for name, label in figures.items():
            values = by_seed([row for row in mine if name in row], name)
            if values:
                measures.append(Measure(f"{generator}, {method}: {label}", values, ".2%", required=False))
    return measures


def zheng_toy(rows: list[Row]) -> list[Measure]:
    (wide, narrow), times = (f"d = {d}, m = {m}" for d, m in (toy.WIDE, toy.NARROW)), f"{toy.MANY} m generated points"
    ratios, errors = (
        [{row["seed"]: of(row, *setting) for row in rows} for setting in (toy.WIDE, toy.NARROW)]
        for of in (toy.ratio, toy.error_change)
    )
    some, none = Bound("<=", toy.MOST_WIDE, "every seed"), Bound(">=", toy.LEAST_NARROW)
    rates = {row["seed"]: toy.rate_change(row) for row in rows}
    return [
        Measure(f"{wide}: gap with {times} divided by that without", ratios[0], ".3f", some, "a gain"),
        Measure(f"{narrow}: the same", ratios[1], ".3f", none, "no gain"),
        Measure("difference between the rates in m, d = 1", rates, ".3f", Bound("<=", toy.RATES_APART), "none"),
        Measure(f"{wide}: change of the classifier's own error", errors[0], "+.2%"),
        Measure(f"{narrow}: the same", errors[1], "+.2%"),
    ]


def study_thesis(rows: list[Row]) -> list[Measure]:
    """The accuracies of every arm, to count finished seeds; the page shows ``thesis_tables.tables``."""
    arms = dict.fromkeys(arm.name for question in thesis_tables.questions().values() for arm in question.arms)
    return [Measure(arm, thesis_tables.figures(rows, arm, "accuracy", "test")) for arm in arms]

"""The measures, with targets, of scripts about networks that look at images: encoders and classifiers."""

import statistics

from benchmarks.papers import (
    aae as adversarial,
    anomaly as outliers,
    autoencoders as coders,
    bigan as pairs,
    ssgan as few_labels,
)
from benchmarks.papers.measures import Bound, Measure, Row, by_seed


def ssgan(rows: list[Row]) -> list[Measure]:
    label = f"test error of the classifier (stretch goal {100 * few_labels.STRETCH:g}%)"
    mean = statistics.mean(by_seed(rows, "error").values()) if rows else None
    label += "" if mean is None else f"; mean {mean:.2%}"
    return [
        Measure(label, by_seed(rows, "error"), ".2%", Bound("<=", few_labels.TARGET, "mean"), "0.93% ± 0.065%"),
        Measure("the same in test images", by_seed(rows, "errors"), ".0f", paper="93 ± 6.5"),
        Measure("the same without averaging the weights", by_seed(rows, "errors_not_averaged"), ".0f"),
    ]


def aae(rows: list[Row]) -> list[Measure]:
    errors = by_seed(rows, "error", part="classifier")
    label = f"test error of the classifier (stretch goal {100 * adversarial.STRETCH:g}%)"
    label += f"; mean {statistics.mean(errors.values()):.2%}" if errors else ""
    mean, every = Bound("<=", adversarial.TARGET, "mean"), Bound("<=", adversarial.KS_TARGET, "every seed")
    measures = [Measure(label, errors, ".2%", mean, "1.90% ± 0.10%")]
    measures.append(Measure("the same in test images", by_seed(rows, "errors", part="classifier"), ".0f"))
    for variant in adversarial.CODES:
        distances = by_seed(rows, "ks", part="codes", variant=variant)
        largest = {seed: max(both) for seed, both in distances.items()}
        label = f"KS, test codes and prior, larger of two dimensions, trained {variant}"
        measures.append(Measure(label, largest, bound=every, paper="a picture"))
    return measures


def autoencoders(rows: list[Row]) -> list[Measure]:
    errors = [(method, name) for method in coders.RECONSTRUCTING for name in ("clean", "noisy")]
    measures = [Measure(f"{m}: {name} error", by_seed(rows, name, method=m), ".4f") for m, name in errors]
    measures.append(Measure("error of the noisy images themselves", coders.values(rows, "noisy_input", "mlp"), ".4f"))
    for claim, values, below in coders.claims(rows):
        bound = Bound("<" if below else ">=", 0, "every seed")
        measures.append(Measure(claim, values, ".4f", bound, "claimed, no figure"))
    paper = f"a curve; {coders.PAPER} for larger networks, of −log p(x) (Burda et al. 2016)"
    target = Bound("<=", coders.TARGET, "mean")
    for method in ("vae", "vae, thresholded"):
        of_bound = {"bound": "−ELBO", "misfit": "misfit", "divergence": "divergence"}
        for name, label in of_bound.items():
            ours = (target, paper) if (method, name) == ("vae", "bound") else (None, "–")
            values = by_seed(rows, name, method=method)
            measures.append(Measure(f"{label} of the {method}, nats", values, ".2f", *ours))
    return measures


def anomaly(rows: list[Row]) -> list[Measure]:
    labels = {
        "pca": f"PCA, {outliers.COMPONENTS} components",
        "nearest": "distance to the nearest image",
        "vae": "vae, reconstruction",
        "autoencoder": "denoising autoencoder, reconstruction",
        "izi_f": "f-AnoGAN on wgan-gp, izi_f",
        "izi": "f-AnoGAN on wgan-gp, izi",
        "critic": "the critic of wgan-gp",
    }
    papers = ", ".join(f"{name} {value:g}" for name, value in outliers.PAPERS.items())
    measures = [
        Measure(f"AUROC of {label}", outliers.means(rows, name), ".4f", paper=papers if name == "izi_f" else "–")
        for name, label in labels.items()
    ]
    label = f"AUROC of PCA minus that of {labels[outliers.CHOSEN]}"
    return [*measures, Measure(label, outliers.differences(rows), ".4f", Bound("<", 0, "mean"))]


def bigan(rows: list[Row]) -> list[Measure]:
    of = {method: [row for row in rows if row["method"] == method] for method in pairs.METHODS}
    mean = statistics.mean(row["accuracy"] for row in of["bigan"]) if of["bigan"] else None
    ours = "1-NN accuracy on the encoder's features" + ("" if mean is None else f"; mean {mean:.2%}")
    features = {
        "bigan": (ours, Bound(">=", pairs.TARGET, "mean"), f"{pairs.PAPER:.2%}"),
        "untrained": ("the same before training", None, "96.84% (authors' code, held-out images)"),
        "autoencoder": ("the same with an autoencoder", None, "97.58%"),
    }
    measures = [
        Measure(label, by_seed(of[method], "accuracy"), ".2%", bound, paper)
        for method, (label, bound, paper) in features.items()
    ]
    measures.append(Measure("the same on pixels", by_seed(of["pixels"], "accuracy"), ".2%", required=False, seeds=1))
    figures = {
        "accuracy_of_codes": ("1-NN accuracy on the codes E(x)", ".2%", "92.10% (authors' code, held-out images)"),
        "relative_error": ("relative error of G(E(x))", ".1%", "–"),
        "error_ratio": ("distance of G(E(x)) to x divided by that to another image", ".3f", "0.620 (authors' code)"),
    }
    for name, (label, form, paper) in figures.items():
        measures.append(Measure(label, by_seed(of["bigan"], name), form, paper=paper))
        values = by_seed(of["autoencoder"], name)
        measures.append(Measure(f"{label}, autoencoder", values, form))
    return measures

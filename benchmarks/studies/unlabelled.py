"""Ten labels per class and many images without labels: which way to use them gives the best classifier?

On MNIST and on the embedded digits, over five paired seeds with disjoint labeled images. The images that no seed uses
have no labels; generators are trained on them once. The ways, beside no augmentation and the classic one, are

* ssgan-classifier: the classifier of a semi-supervised GAN, trained for every seed on its labeled images and all those
  without labels, without any generated images in a classifier's training;
* gan-labelled: samples of a GAN without labels, which each seed labels with its own few images (``with_labels``);
* vae-variations: each seed's own images, varied by a VAE (``genaug.variations``);
* vae-features, bigan-features: a linear classifier of an encoder's features, fitted to each seed's images.

The way that is best on the inner splits is compared with no augmentation and with the classic one on the test set, for
the verdict; all others are scored too, and are exploratory. The study's own classifier is LeNet.

    OMP_NUM_THREADS=1 python benchmarks/studies/unlabelled.py --root MNIST_ROOT --workers 2 --json

Finished cells are in benchmarks/results/unlabelled.jsonl; a run continues where the last one stopped, and so do the
trainings of the generators. --train trains one generator and ends; --table prints the finished studies as Markdown;
--estimate prints the hours: about 3.5 of one core for MNIST, most of them for the semi-supervised GANs (two trainings
per seed, on the inner split and on all of the seed's images, of about a quarter of an hour each), and 0.1 for the
digits. The variations' strength and the linear classifier were chosen on seeds of 100 and above, on the digits; nothing
else was tuned. A backend that isn't installed is left out, and the output says so.
"""

import argparse
import time
from functools import partial
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import Dataset

import genaug
from benchmarks.common.console import end, plain, say, seeds_of
from benchmarks.common.record import Record
from benchmarks.studies.lenet import LeNet
from benchmarks.studies.photos_low_label import WithoutLabels, results_of, table_of
from benchmarks.studies.tracked import TRIED_STEPS, hours, recorded, report_of, rest_of, study_arguments, tracked
from genaug.backends import registry
from genaug.data import few_per_class, load_data
from genaug.sources.source import Source
from genaug.studies import AsClassifier, Recipe
from genaug.studies.report import Report

PER_CLASS = 10
MAX_WRONG = 0.1  # of the labels that a seed gives to the samples of the GAN
RATIOS = (0.5, 0.8)
STUDIES = {"mnist": "torchvision:MNIST", "digits": "digits"}
# By study: the backends that are trained once without labels, with the arguments of genaug.fit.
GENERATORS: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {
        "gan": {
            "backend": "cgan",
            "steps": 4000,
            "config": {"conditional": False, "width": 16, "max_width": 128},
        },
        "vae": {
            "backend": "vae",
            "steps": 10_000,
            "batch_size": 128,
            "config": {"conditional": False, "kind": "mlp", "hidden": 500},
        },
        "bigan": {
            "backend": "bigan",
            "steps": 20_000,
            "batch_size": 128,
            "config": {"conditional": False, "lr": 5e-4},
        },
    },
    "digits": {
        "gan": {"backend": "cgan", "steps": 3000, "config": {"conditional": False, "width": 16, "max_width": 128}},
        "vae": {
            "backend": "vae",
            "steps": 5000,
            "config": {"conditional": False, "kind": "mlp", "hidden": 256, "latent_size": 16},
        },
        "bigan": {
            "backend": "bigan",
            "steps": 5000,
            "config": {"conditional": False, "hidden": 128, "latent_size": 16, "lr": 1e-3},
        },
    },
}
# The semi-supervised GAN of every seed; half of each batch is labeled.
SSGAN: dict[str, dict[str, Any]] = {
    "mnist": {"steps": 12_000, "batch_size": 200, "augment": (), "config": {"label_weight": 1e-6}},
    "digits": {"steps": 5000, "batch_size": 128, "augment": (), "config": {"label_weight": 1e-6}},
}
STRENGTH = {"mnist": 0.2, "digits": 0.2}  # of the variations
FEATURES = {"vae": "encoder.body", "bigan": "encoder.features"}  # the layer; None would be the latents
PENALTY = 0.1  # C of the logistic regression


def main(argv: list[str] | None = None) -> None:
    parser = study_arguments(__doc__, "unlabelled", seeds=5, updates=500)
    parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above, report 0, 1, …")
    parser.add_argument("--study", choices=STUDIES, action="append", help="which studies; all by default")
    parser.add_argument("--train", choices=("gan", "vae", "bigan"), help="train this generator, and end")
    options = parser.parse_args(argv)
    names = options.study or list(STUDIES)
    if options.table:
        reports = {name: report_of(*recorded(Record(options.results), name)) for name in names}
        finished = {name: report for name, report in reports.items() if report is not None}
        print("\n\n".join(f"{table_of(name, report)}\n\n{report.sentence}" for name, report in finished.items()))
        end(options, results(finished))
        return
    if "mnist" in names and not options.root:
        parser.error("--root is needed for the study mnist: a folder with torchvision's MNIST")
    finished, total = {}, 0.0
    for name in names:
        train, test = (load_data(STUDIES[name], split=split, root=options.root) for split in ("train", "test"))
        used = few_per_class(train, PER_CLASS * options.seeds, seed=options.first_seed)
        others = WithoutLabels(rest_of(train, used))
        trained = partial(trained_once, study=name, images=others, test=test, options=options)
        if options.train:
            trained(options.train)
            continue
        settings = {
            "ratios": RATIOS,
            "seeds": seeds_of(options),
            "labels_per_class": PER_CLASS,
            "classifier": LeNet,
            "updates": options.updates,
            "device": "cpu",
        }
        if options.estimate:
            total += estimate(name, used, test, others, settings, options)
            continue
        folder = options.out / name
        sources = sources_of(name, trained, others)
        with tracked(Record(options.results), name, folder):
            finished[name] = genaug.study(
                used,
                test,
                sources=sources,
                **settings,
                workers=options.workers,
                explore=True,
                out=folder,
                resume=True,
            )
        say(f"{name}: {finished[name].sentence}")
    if options.estimate:
        say(f"a full run of {', '.join(names)} costs about {total:.1f} hours of one core here")
    elif not options.train:
        end(options, results(finished))


def sources_of(study: str, trained: Any, others: Dataset[Any]) -> dict[str, Any]:
    """The ways to use images without labels, by name, as a study takes them."""
    vae, gan = trained("vae"), trained("gan")
    sources: dict[str, Any] = {
        "ssgan-classifier": AsClassifier(Recipe("ssgan", **SSGAN[study], unlabelled=others)),
        "gan-labelled": partial(labelled_by_seed, generator=gan),
        "vae-variations": partial(varied_by_seed, editor=vae, strength=STRENGTH[study]),
        "vae-features": linear_on(vae, FEATURES["vae"]),
    }
    if is_installed("bigan"):
        sources["bigan-features"] = linear_on(trained("bigan"), FEATURES["bigan"])
    else:
        say(f"{study}: bigan-features is left out, because the backend 'bigan' isn't installed")
    return sources


def is_installed(backend: str) -> bool:
    return backend in registry.discover().backends


def labelled_by_seed(images: Any, seed: int, *, generator: genaug.Generator) -> Source:
    """The samples of a generator without labels, labeled by a classifier of one seed's images."""
    return genaug.with_labels(generator, images, method="classifier", max_wrong=MAX_WRONG, seed=seed)


def varied_by_seed(images: Any, seed: int, *, editor: genaug.Generator, strength: float) -> Source:
    """Variations of one seed's images."""
    return genaug.variations(editor, images, strength=strength)


def linear_on(encoder: genaug.Generator, layer: str | None) -> AsClassifier:
    """A linear classifier of an encoder's features, which the study fits to each seed's images."""
    features = genaug.features(encoder, layer)
    return AsClassifier(make_pipeline(features, StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000)))


def trained_once(
    name: str, *, study: str, images: Dataset[Any], test: Any, options: argparse.Namespace
) -> genaug.Generator:
    """A generator that is trained without labels on images that no seed uses; an interrupted training continues."""
    settings, out = GENERATORS[study][name], options.out / f"{study}-{name}"
    return genaug.fit(
        settings["backend"],
        images,
        exclude=test,
        out=out,
        **{key: value for key, value in settings.items() if key != "backend"},
        seed=options.first_seed,
        device="cpu",
        precision="float32",
        threads=1,
        resume=out.exists(),
    )


def estimate(
    study: str, used: Any, test: Any, others: Dataset[Any], settings: dict[str, Any], options: argparse.Namespace
) -> float:
    """The hours of one core that a study takes here, from a few steps of each training; generating samples and
    labeling them, minutes per seed, isn't included."""
    recipe = Recipe("ssgan", **SSGAN[study], unlabelled=others)
    arms = 2 + len(RATIOS) * (1 + 2 * 2)
    own = hours((used, test), {**settings, "sources": {"ssgan-classifier": AsClassifier(recipe)}}, 2, 2 * arms)
    say(f"{study}: {own:.2f} hours for the semi-supervised GANs and the classifiers of {options.seeds} seeds")
    for name, generator in GENERATORS[study].items():
        if is_installed(generator["backend"]):
            seconds = _step_seconds(generator, others, options) * generator["steps"]
            say(f"{study}: {seconds / 3600:.2f} hours to train {name} once")
            own += seconds / 3600
    return own


def _step_seconds(generator: dict[str, Any], images: Dataset[Any], options: argparse.Namespace) -> float:
    """The time of a step, from runs of two lengths, since reading the images isn't part of it."""
    times = []
    for steps in (1, 1 + TRIED_STEPS):
        began = time.process_time()
        genaug.fit(
            generator["backend"],
            images,
            out=options.out / "estimate",
            **{**{key: value for key, value in generator.items() if key != "backend"}, "steps": steps},
            device="cpu",
            threads=1,
            overwrite=True,
            progress=False,
        )
        times.append(time.process_time() - began)
    return max(times[1] - times[0], 0.0) / TRIED_STEPS


def results(finished: dict[str, Report]) -> dict[str, Any]:
    """The results of the studies, as flat JSON."""
    results = results_of(finished)
    for name, report in finished.items():
        results |= {f"{plain(name)}_source": report.source, f"{plain(name)}_route": report.route}
    return results


if __name__ == "__main__":
    main()

"""The papers' scripts: their costs, commands and the rows reported together. ``notes`` describes what was tried."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.papers import encoder_measures, paper_measures, series_measures
from benchmarks.papers.measures import Measure, Row
from benchmarks.studies import thesis_tables

NOTES = Path(__file__).parent / "notes"


@dataclass(frozen=True)
class Script:
    """``hours``: the time of a full run, measured or estimated, on one core of the machine in docs/results.md.
    ``same``: the settings in which a reported run agrees with the latest one; ``own``: those in which it agrees with
    the latest one of the same ``kind``; ``only``: required settings.
    """

    file: str
    title: str
    arguments: str
    seeds: int
    hours: float
    measures: Callable[[list[Row]], list[Measure]]
    same: tuple[str, ...] = ("steps",)
    only: Mapping[str, Any] = field(default_factory=dict)
    kind: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    seed: str = "seed"
    figures: str = ""
    text: Callable[[list[Row]], str] | None = None  # instead of the table of measures

    @property
    def name(self) -> str:
        return self.file.rpartition("/")[2].removesuffix(".py")

    @property
    def note(self) -> str:
        """What was tried and on which seeds, one line per paragraph."""
        file = NOTES / f"{self.figures or self.name}.md"
        paragraphs = file.read_text(encoding="utf-8").split("\n\n") if file.is_file() else []
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


MNIST = "--root MNIST_ROOT"
_INFOGAN = ("steps", "data", "batch_size", "augment", "config")
_JUDGED = ("batch_size", "set", "pool", "samples", "updates", "judge_updates")
SCRIPTS = [
    Script(
        "papers/mad_gan_1d.py",
        "MAD-GAN on a line (Ghosh et al. 2018)",
        "--seeds 16",
        16,
        1.7,
        paper_measures.mad_gan_1d,
        ("steps", "batch_size", "samples", "config", "named"),
    ),
    Script(
        "papers/mixtures_2d.py",
        "Mixtures in the plane",
        "--seeds 5",
        5,
        5,
        paper_measures.mixtures_2d,
        ("steps", "batch_size", "samples"),
        kind=("mixture", "method"),
        own=("config",),
    ),
    Script(
        "papers/infogan_mnist.py",
        "InfoGAN on MNIST (Chen et al. 2016)",
        f"{MNIST} --seeds 5",
        5,
        2.5,
        paper_measures.infogan_mnist,
        _INFOGAN,
    ),
    Script(
        "papers/infogan_coloured_mnist.py",
        "InfoGAN on colored digits",
        f"{MNIST} --seeds 6",
        6,
        2,
        paper_measures.infogan_coloured_mnist,
        _INFOGAN,
    ),
    Script(
        "papers/ssgan.py",
        "Semi-supervised GAN on MNIST with 100 labels (Salimans et al. 2016)",
        f"{MNIST} --draws 3",
        3,
        4,
        encoder_measures.ssgan,
        ("steps", "data", "per_class", "batch_size", "config"),
        {"data": "torchvision:MNIST", "per_class": 10},
    ),
    Script(
        "papers/aae.py",
        "Adversarial autoencoders: 100 labels, and codes in the plane (Makhzani et al. 2015)",
        f"{MNIST} --draws 3",
        3,
        1.2,
        encoder_measures.aae,
        ("data",),
        {"data": "torchvision:MNIST"},
        kind=("part", "variant"),
        own=("training", "config", "per_class"),
    ),
    Script(
        "papers/wgan_gp_curve.py",
        "WGAN-GP: the critic's estimate as a quality curve (Gulrajani et al. 2017)",
        f"{MNIST} --seeds 3",
        3,
        2,
        paper_measures.wgan_gp_curve,
        ("points", "data", "config"),
    ),
    Script(
        "papers/wgan_gp_limits.py",
        "WGAN-GP: the critic's estimate when quality also declines",
        f"{MNIST} --seeds 3",
        3,
        0.3,
        paper_measures.wgan_gp_limits,
        ("data", "image_size", "samples", "subsets"),
        kind=("setting",),
        own=("points", "images", "config", "statistics"),
    ),
    Script(
        "papers/conditional.py",
        "CGAN and the conditional MAD-GAN on MNIST",
        f"{MNIST} --seeds 3",
        3,
        6.5,
        paper_measures.conditional,
        ("steps", *_JUDGED),
        {"data": "torchvision:MNIST"},
        kind=("method",),
        own=("config",),
        figures="conditional_mnist",
    ),
    Script(
        "papers/conditional.py",
        "CGAN on CIFAR-10",
        "--data cifar10 --root CIFAR_ROOT",
        1,
        1.5,
        paper_measures.conditional_cifar10,
        ("steps", "max_minutes", "config", *_JUDGED),
        {"data": "cifar10"},
        figures="conditional_cifar10",
    ),
    Script(
        "papers/mad_gan_cost.py",
        "What k generators cost",
        "--seeds 5",
        5,
        0.1,
        paper_measures.mad_gan_cost,
        ("k", "steps", "width", "threads"),
        seed="round",
    ),
    Script(
        "papers/labels.py",
        "Labels for generators that have none",
        f"{MNIST} --seeds 5",
        5,
        2,
        paper_measures.labels,
        ("data", "per_class", "samples", "updates", "judge_updates"),
        kind=("generator", "method"),
        own=("steps", "batch_size", "set", "weights", "max_wrong"),
    ),
    Script(
        "papers/autoencoders.py",
        "Autoencoders: reconstruction, and the bound of a VAE (Kingma & Welling 2014)",
        f"{MNIST} --seeds 3",
        3,
        0.6,
        encoder_measures.autoencoders,
        ("data",),
        kind=("method",),
        own=("config", "training", "test"),
    ),
    Script(
        "papers/anomaly.py",
        "Anomalies: one digit of MNIST is normal (Schlegl et al. 2019)",
        f"{MNIST} --seeds 2",
        2,
        2.5,
        encoder_measures.anomaly,
        ("data",),
        {"split": "test"},
        kind=("model",),
        own=("config", "training", "components", "encoder"),
    ),
    Script(
        "papers/bigan.py",
        "BiGAN: nearest neighbors on features that were learned without labels (Donahue et al. 2017)",
        f"{MNIST} --seeds 3",
        3,
        1.5,
        encoder_measures.bigan,
        ("data", "held_out"),
        {"data": "torchvision:MNIST", "held_out": 0},
        kind=("method",),
        own=("config", "training", "layer"),
    ),
    Script(
        "papers/rcgan_waves.py",
        "Waves on demand, by a recurrent GAN (Ferreira 2017)",
        "--seeds 5",
        5,
        0.9,
        series_measures.rcgan_waves,
        ("steps", "batch_size", "waves", "samples", "updates", "threads", "config"),
    ),
    Script(
        "papers/rcgan_mnist_rows.py",
        "MNIST row by row, by a recurrent GAN (Esteban et al. 2017)",
        f"{MNIST} --seeds 2",
        2,
        1,
        series_measures.rcgan_mnist_rows,
        ("steps", "data", "batch_size", "updates", "threads", "config"),
        {"data": "torchvision:MNIST"},
    ),
    Script(
        "papers/series_sines.py",
        "Sines of five channels: how different are generated ones? (Yoon et al. 2019)",
        "--seeds 5",
        5,
        2,
        series_measures.series_sines,
        ("series", "judges", "judge_updates", "predictor_updates"),
        kind=("backend", "frequencies"),
        own=("steps", "batch_size", "threads", "config"),
    ),
    Script(
        "papers/zheng_toy.py",
        "Two Gaussians: when generated data reduces the gap (Zheng et al. 2023)",
        "--seeds 10",
        10,
        0.02,
        paper_measures.zheng_toy,
        ("draws", "gammas", "sigma"),
    ),
    *(
        Script(
            "studies/study_thesis.py",
            f"The thesis's four questions on {title}",
            f"{arguments} --seeds 5",
            5,
            hours,
            paper_measures.study_thesis,
            (),
            {"study": data},
            figures=f"study_thesis_{data}",
            text=thesis_tables.tables,
        )
        for data, title, arguments, hours in (
            ("digits", "the embedded digits", "--data digits", 0.3),
            ("mnist", "MNIST", MNIST, 3.5),
        )
    ),
]

"""How the generators in this folder were made. One command makes one anew: the same weights, bit for bit, on the same
machine, torch version and number of threads.

    python model_cards/recipe.py digits-cgan
    python model_cards/recipe.py mnist-cgan --root MNIST_ROOT

With --statistics the weights that are there stay, and only their batch-norm statistics are computed anew.
"""

import argparse
from pathlib import Path
from typing import Any

import genaug
from genaug import Generator
from genaug.backends import registry
from genaug.data.datasets import load_data
from genaug.data.reading import read_samples
from genaug.hub.card import write_card
from genaug.training.statistics import recompute_statistics

HERE = Path(__file__).parent
STEPS = 3000
RECIPES = {"digits-cgan": "digits", "mnist-cgan": "torchvision:MNIST"}  # what each is trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--root", help="where torchvision's files lie")
    parser.add_argument("--runs", type=Path, default=Path("runs/model_cards"), help="where the training run goes")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder of the generator's folder")
    parser.add_argument("--statistics", action="store_true", help="keep the weights in --out")
    options = parser.parse_args()
    train_set = load_data(RECIPES[options.name], split="train", root=options.root)
    run = options.runs / options.name
    if options.statistics:
        generator = with_new_statistics(options.out / options.name, train_set)
    else:
        generator = genaug.fit("cgan", train_set, out=run, steps=STEPS, resume=run.exists(), device="cpu")
    folder = generator.save(options.out / options.name, overwrite=True)
    write_card(folder, f"genaug/{options.name}", license="apache-2.0")
    print(f"In {folder}")


def with_new_statistics(folder: Path, train_set: Any) -> Generator:
    """The generator in ``folder`` with the statistics that ``fit`` would give its weights."""
    generator = genaug.load(folder, device="cpu")
    labels = read_samples(train_set).labels
    recompute_statistics(
        registry.resolve("cgan"), generator.spec, generator.network, labels, generator.training["seed"]
    )
    return generator


if __name__ == "__main__":
    main()

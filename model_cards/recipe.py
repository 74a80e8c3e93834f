"""Train the generators in this folder again: the weights are identical, bit for bit, on the same machine with the same
torch version and number of threads.

    python model_cards/recipe.py digits-cgan
    python model_cards/recipe.py mnist-cgan --root MNIST_ROOT
"""

import argparse
from pathlib import Path

import genaug
from genaug.data.datasets import load_data
from genaug.hub.card import write_card

HERE = Path(__file__).parent
STEPS = 3000
RECIPES = {"digits-cgan": "digits", "mnist-cgan": "torchvision:MNIST"}  # the training data of each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--root", help="folder with torchvision's files")
    parser.add_argument("--runs", type=Path, default=Path("runs/model_cards"), help="parent folder of the training run")
    parser.add_argument("--out", type=Path, default=HERE, help="parent folder of the generator")
    options = parser.parse_args()
    train_set = load_data(RECIPES[options.name], split="train", root=options.root)
    run = options.runs / options.name
    generator = genaug.fit("cgan", train_set, out=run, steps=STEPS, resume=run.exists(), device="cpu")
    folder = generator.save(options.out / options.name, overwrite=True)
    write_card(folder, f"genaug/{options.name}", license="apache-2.0")
    print(f"Saved in {folder}")


if __name__ == "__main__":
    main()

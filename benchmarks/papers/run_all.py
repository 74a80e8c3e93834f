"""Runs the papers' scripts one after another, each continuing from its record, then writes docs/papers.md and the
targets in docs/results.md: `make papers`.

    python benchmarks/papers/run_all.py --root MNIST_ROOT --cifar-root CIFAR_ROOT

Without --root or MNIST_ROOT in the environment, torchvision downloads MNIST (12 MB) to data/. CIFAR-10 is left out
without --cifar-root or CIFAR_ROOT. --estimate prints the remaining hours and exits.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.console import say
from benchmarks.papers import results_page
from benchmarks.papers.paper_tables import SCRIPTS, Script

BENCHMARKS = Path(__file__).parents[1]
DOWNLOADS = Path("data")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.environ.get("MNIST_ROOT"), help="folder of torchvision's MNIST")
    parser.add_argument("--cifar-root", default=os.environ.get("CIFAR_ROOT"), help="folder of CIFAR-10")
    parser.add_argument("--only", default="", help="scripts whose names contain this")
    parser.add_argument("--estimate", action="store_true")
    options = parser.parse_args(arguments)
    scripts = [
        script for script in SCRIPTS if options.only in script.file and not script.text
    ]  # make study-thesis runs it
    if not options.cifar_root:
        scripts = [script for script in scripts if "CIFAR_ROOT" not in script.arguments]
        say("CIFAR-10 is left out: pass its folder as --cifar-root or CIFAR_ROOT")
    say(f"{'script':<36}{'core hours left':>24}")
    for script in scripts:
        say(f"{script.file:<36}{hours_left(script):>24.1f}")
    say(f"{'all':<36}{sum(map(hours_left, scripts)):>24.1f}")
    if options.estimate:
        return
    if not options.root and any("MNIST_ROOT" in script.arguments for script in scripts):
        options.root = download(DOWNLOADS)
    failed = []
    for script in scripts:
        roots = {"MNIST_ROOT": str(options.root), "CIFAR_ROOT": str(options.cifar_root)}
        command = [
            str(BENCHMARKS / script.file),
            *(roots.get(word, word) for word in script.arguments.split()),
            "--json",
        ]
        say("\n" + " ".join(command))
        if subprocess.run([sys.executable, *command]).returncode:
            failed.append(script.file)
    results_page.main([])
    if failed:
        sys.exit(f"these failed, and continue from their records next time: {', '.join(failed)}")


def hours_left(script: Script) -> float:
    measures = script.measures(results_page.rows_of(script, results_page.RESULTS))
    return script.hours * max(0.0, 1 - results_page.finished(measures) / script.seeds)


def download(root: Path) -> Path:
    from torchvision.datasets import MNIST

    say(f"no MNIST_ROOT: torchvision downloads MNIST to {root}/ unless it is there")
    for train in (True, False):
        MNIST(root, train=train, download=True)
    return root


if __name__ == "__main__":
    main()

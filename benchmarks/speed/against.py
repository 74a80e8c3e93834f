"""This checkout against another one: start-up, training and the loader, in alternating pairs of processes.

    git worktree add ../before COMMIT
    python benchmarks/speed/against.py ../before --pairs 20 --json

A ratio is the other checkout's time over this one's: above 1, this one is faster. The 95% interval of its median comes
from order statistics (binomial, without assumptions on the noise).
"""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.common.console import arguments, end, say
from benchmarks.common.pairs import alternate, median_interval

HERE = Path(__file__).parents[2]
COMMON = "import gc, sys, tempfile, time, torch, genaug\nfrom genaug.data import load_data\ntorch.set_num_threads(1)\n"
WORK = {
    "training": COMMON + "with tempfile.TemporaryDirectory() as out:\n"
    "    gc.collect()\n"
    "    began = time.perf_counter()\n"
    "    settings = {'steps': 200, 'checkpoint_every': 200, 'device': 'cpu', 'threads': 1, 'progress': False}\n"
    "    genaug.fit('cgan', load_data('digits'), out=out + '/run', **settings)\n"
    "    print(time.perf_counter() - began)",
    "loader": COMMON + "from torch.utils.data import DataLoader\nfrom torchvision.transforms import v2\n"
    "real = load_data('digits')\n"
    "real.transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])\n"
    "generator = genaug.load(sys.argv[1] + '/model_cards/digits-cgan', device='cpu')\n"
    "mixed = genaug.MixedDataset(real, generator, ratio=0.3, refresh=None)\n"
    "loader = DataLoader(mixed, batch_sampler=mixed.batch_sampler(64))\n"
    "gc.collect()  # a collection that fell due in the loop would count for one side only\n"
    "began = time.perf_counter()\n"
    "for epoch in range(4):\n"
    "    mixed.set_epoch(epoch)\n"
    "    for batch in loader: pass\n"
    "print(time.perf_counter() - began)",
}


def seconds(name: str, checkout: Path) -> float:
    """The time that a checkout takes for some work: a complete process for the start-up, else without the imports."""
    path = os.pathsep.join(map(str, (checkout, checkout / "plugins")))
    command = [sys.executable, *(["-c", WORK[name], str(checkout)] if name in WORK else ["-m", "genaug", "--help"])]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) if name in WORK else time.perf_counter() - began


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("other", type=Path, help="another checkout")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", choices=["start-up", *WORK])
    options = parser.parse_args()
    result: dict[str, float] = {"pairs": options.pairs}
    for name in [options.only] if options.only else ["start-up", *WORK]:
        sides = {
            side: partial(seconds, name, place) for side, place in (("other", options.other.resolve()), ("here", HERE))
        }
        times = alternate(sides, options.pairs)
        median, low, high = median_interval(a / b for a, b in zip(times["other"], times["here"], strict=True))
        result |= {name: median, f"{name}_low": low, f"{name}_high": high}
        say(f"{name}: {median:.3f} ({low:.3f} to {high:.3f})")
    end(options, result)


if __name__ == "__main__":
    main()

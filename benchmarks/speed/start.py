"""How long commands take to start, against a bare Python: ``import genaug``, ``genaug --help`` and ``genaug plugins``.

Each is a process from its start to its end; they take turns in each round, in seconds. The limit is the bare Python.

    python benchmarks/speed/start.py --json
"""

import subprocess
import sys
from functools import partial

from benchmarks.common.console import end
from benchmarks.common.pairs import alternate, seconds
from benchmarks.speed.measured import Measurements, options_of

COMMANDS = {
    "python": ["-c", "pass"],
    "import": ["-c", "import genaug"],
    "help": ["-m", "genaug", "--help"],
    "plugins": ["-m", "genaug", "plugins"],
}


def call(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main(argv: list[str] | None = None) -> None:
    options = options_of(__doc__, rounds=20).parse_args(argv)
    measurements = Measurements(options, "start")
    for command in COMMANDS.values():
        call(command)  # compiles the modules, warms the file system's cache
    sides = {name: partial(seconds, partial(call, command)) for name, command in COMMANDS.items()}
    measurements.add("commands", alternate(sides, options.rounds))
    end(options, {"script": "start", "rows": measurements.rows})


if __name__ == "__main__":
    main()

"""Makes the scripts in benchmarks importable, as they are to each other."""

import sys
from pathlib import Path

for folder in ("benchmarks", "benchmarks/papers"):
    sys.path.insert(0, str(Path(__file__).parents[2] / folder))

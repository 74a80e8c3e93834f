"""Makes tests/fakes.py importable, also in spawned workers, which inherit the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

"""Set before anything imports torch, matplotlib or albumentations, and without importing them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run in two workers, whose threads would compete
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks a server for its newest version
os.environ.pop("GENAUG_DISABLE_PLUGINS", None)

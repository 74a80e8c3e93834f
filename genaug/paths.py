"""Where the paths that users type enter."""

import os
from pathlib import Path


def user_path(path: str | Path) -> Path:
    """A path as a user gave it, with ``~`` and ``~name`` as that user's home directory.

    A shell leaves ``~`` alone in ``--out=~/runs`` and ``folder:~/photos``, and Python leaves it alone everywhere. If
    there is no such user, the path stays as it is.
    """
    return Path(os.path.expanduser(path))

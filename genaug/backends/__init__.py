"""How samples are made: the contract of a backend, its spec and latents, and the registry of installed plugins."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.backends.backend import Backend as Backend
    from genaug.backends.backend import BackendConfig as BackendConfig
    from genaug.backends.backend import Batch as Batch
    from genaug.backends.backend import Loss as Loss
    from genaug.backends.backend import Player as Player
    from genaug.backends.backend import Step as Step
    from genaug.backends.spec import Latent as Latent
    from genaug.backends.spec import Spec as Spec

_HOME = {
    "Backend": "genaug.backends.backend",
    "BackendConfig": "genaug.backends.backend",
    "Batch": "genaug.backends.backend",
    "Loss": "genaug.backends.backend",
    "Player": "genaug.backends.backend",
    "Step": "genaug.backends.backend",
    "Latent": "genaug.backends.spec",
    "Spec": "genaug.backends.spec",
}
__getattr__ = lazy(__name__, _HOME)

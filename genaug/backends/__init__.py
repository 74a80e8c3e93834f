"""How samples are made: the contract of a backend, its spec and latents, and the registry of installed plugins."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.backends.backend import Backend as Backend
    from genaug.backends.backend import BackendConfig as BackendConfig
    from genaug.backends.backend import Batch as Batch
    from genaug.backends.backend import Fakes as Fakes
    from genaug.backends.backend import Inputs as Inputs
    from genaug.backends.backend import Loss as Loss
    from genaug.backends.backend import Player as Player
    from genaug.backends.backend import Step as Step
    from genaug.backends.backend import adam as adam
    from genaug.backends.latents import Categorical as Categorical
    from genaug.backends.latents import Latent as Latent
    from genaug.backends.latents import Normal as Normal
    from genaug.backends.latents import Uniform as Uniform
    from genaug.backends.spec import Classes as Classes
    from genaug.backends.spec import Condition as Condition
    from genaug.backends.spec import Spec as Spec

_HOMES = {
    "backend": ("Backend", "BackendConfig", "Batch", "Fakes", "Inputs", "Loss", "Player", "Step", "adam"),
    "latents": ("Categorical", "Latent", "Normal", "Uniform"),
    "spec": ("Classes", "Condition", "Spec"),
}
__getattr__ = lazy(__name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names})

"""How samples are made: the contract of a backend, its spec and latents, and the registry of installed plugins."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.backends.backend import (
        Backend as Backend,
        BackendConfig as BackendConfig,
        Batch as Batch,
        Fakes as Fakes,
        Inputs as Inputs,
        Loss as Loss,
        Player as Player,
        Step as Step,
        adam as adam,
    )
    from genaug.backends.latents import (
        Categorical as Categorical,
        Latent as Latent,
        Mixture as Mixture,
        Normal as Normal,
        SwissRoll as SwissRoll,
        Uniform as Uniform,
    )
    from genaug.backends.spec import Classes as Classes, Condition as Condition, Spec as Spec

_HOMES = {
    "backend": ("Backend", "BackendConfig", "Batch", "Fakes", "Inputs", "Loss", "Player", "Step", "adam"),
    "latents": ("Categorical", "Latent", "Mixture", "Normal", "SwissRoll", "Uniform"),
    "spec": ("Classes", "Condition", "Spec"),
}
__getattr__ = lazy(__name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names})

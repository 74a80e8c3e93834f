"""The backends for tables, registered like those of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register(
        "wgan-gp-table", "genaug_tabular.wgan_gp:TableWGANGP", summary="Wasserstein GAN for tables of mixed columns"
    )
    register("tvae", "genaug_tabular.tvae:TVAE", summary="variational autoencoder for tables of mixed columns")

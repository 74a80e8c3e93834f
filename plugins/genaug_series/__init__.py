"""The backends for series, registered like those of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("rcgan", "genaug_series.rcgan:RCGAN", summary="recurrent or dilated conditional GAN for series")
    register(
        "timevae", "genaug_series.timevae:TimeVAE", summary="convolutional VAE with trend and seasonality for series"
    )

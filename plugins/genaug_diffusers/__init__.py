"""Pipelines of diffusers as sources, ``genaug.load("diffusers:...")``, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_sources(register: Register) -> None:
    register("diffusers", "genaug_diffusers.load:load", summary="pipelines of diffusers, from a folder or the Hub")

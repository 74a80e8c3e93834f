"""Sampling from noise without text: a UNet2DModel or a DiT, with class embeddings or without, and any scheduler.

diffusers has no pipeline for a class-conditional UNet2DModel with an ordinary scheduler, ``DiTPipeline`` takes 1000 for
the number of classes of every model, and ``ConsistencyModelPipeline`` draws labels from the global RNG. The loop that
all of them share is short, and here it is.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genaug.errors import FormatError, InputError
from genaug_diffusers import networks
from genaug_diffusers.index import REMEDY, Index
from genaug_diffusers.options import Options

Network = Callable[[Tensor, Tensor], Tensor]


def denoise(
    network: Network, scheduler: Any, latents: Tensor, steps: int, generators: Sequence[torch.Generator]
) -> Tensor:
    """Noise (N, C, H, W) to samples of the same shape, with a generator for each."""
    scheduler.set_timesteps(steps, device=latents.device)
    own = {"generator": list(generators)} if "generator" in inspect.signature(scheduler.step).parameters else {}
    samples: Tensor = latents * scheduler.init_noise_sigma
    for moment in scheduler.timesteps:
        outputs = network(scheduler.scale_model_input(samples, moment), moment)
        samples = scheduler.step(outputs, moment, samples, **own).prev_sample
    return samples


def noise(shape: Sequence[int], generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """N(0, 1) of shape (len(generators), ``*shape``), drawn on the CPU so that every device gets the same."""
    return torch.stack([torch.randn(*shape, generator=g) for g in generators]).to(like.device, like.dtype)


class ImageSampler:
    """A UNet2DModel that denoises pixels: DDPM, DDIM and consistency models, with class embeddings or without."""

    guidance_scale: float | None = None

    def __init__(self, folder: Path, index: Index, options: Options, device: torch.device) -> None:
        self.unet = networks.load_model(folder, "unet", ("UNet2DModel",), index, device)
        self.scheduler = networks.load_scheduler(folder, index)
        config = self.unet.config
        if config.class_embed_type is not None:
            raise FormatError(
                f"{folder}: its unet embeds classes by {config.class_embed_type!r}, which isn't supported. Expected "
                "a table of embeddings (num_class_embeds)."
            )
        self.num_classes: int = config.num_class_embeds or 0
        self.shape = (config.in_channels, *_pair(config.sample_size, folder))
        self.steps = checked_steps(options, self.scheduler, _default_steps(index.pipeline))
        splits = getattr(self.scheduler.config, "variance_type", None) not in ("learned", "learned_range")
        self._channels = config.in_channels if splits else None

    def draw(self, classes: Sequence[int] | None, seeds: Sequence[int]) -> tuple[Tensor, list[bool]]:
        """Images in [0, 1], one for each seed and, if the model has classes, of each class; none is flagged."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        weight = next(self.unet.parameters())
        labels = None if classes is None else torch.tensor(classes, device=weight.device)

        def network(samples: Tensor, moment: Tensor) -> Tensor:
            outputs: Tensor = self.unet(samples, moment, class_labels=labels).sample
            return outputs[:, : self._channels]  # without a learned variance that the scheduler doesn't use

        latents = noise(self.shape, generators, weight)
        samples = denoise(network, self.scheduler, latents, self.steps, generators)
        return samples / 2 + 0.5, [False] * len(seeds)


class DiTSampler:
    """A diffusion transformer (Peebles and Xie 2023) on a VAE's latents, guided by its own null class."""

    def __init__(self, folder: Path, index: Index, options: Options, device: torch.device) -> None:
        names = ("DiTTransformer2DModel", "Transformer2DModel")
        self.transformer = networks.load_model(folder, "transformer", names, index, device)
        self.vae = networks.load_model(folder, "vae", ("AutoencoderKL",), index, device)
        self.scheduler = networks.load_scheduler(folder, index)
        config = self.transformer.config
        self.num_classes: int = config.num_embeds_ada_norm
        height, width = _pair(config.sample_size, folder)
        scale = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self._latents = (config.in_channels, height, width)
        self.shape = (self.vae.config.out_channels, height * scale, width * scale)
        self.steps = checked_steps(options, self.scheduler, _default_steps("DiTPipeline"))
        self.guidance_scale = 4.0 if options.guidance_scale is None else options.guidance_scale  # DiTPipeline's

    def draw(self, classes: Sequence[int] | None, seeds: Sequence[int]) -> tuple[Tensor, list[bool]]:
        """Images in [0, 1], one for each class and seed; none is flagged."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        weight, channels = next(self.transformer.parameters()), self._latents[0]
        labels = torch.tensor(classes, device=weight.device)
        null = torch.full_like(labels, self.num_classes)  # the row after the classes in the table of embeddings

        def predict(samples: Tensor, moment: Tensor, labels: Tensor) -> Tensor:
            moments = moment.reshape(1).to(samples.device).expand(len(samples))
            outputs: Tensor = self.transformer(samples, timestep=moments, class_labels=labels).sample
            return outputs[:, :channels]  # without the learned variance

        def network(samples: Tensor, moment: Tensor) -> Tensor:
            if self.guidance_scale <= 1:
                return predict(samples, moment, labels)
            both = predict(torch.cat([samples, samples]), moment, torch.cat([labels, null]))
            conditional, unconditional = both.chunk(2)
            return unconditional + self.guidance_scale * (conditional - unconditional)

        latents = denoise(network, self.scheduler, noise(self._latents, generators, weight), self.steps, generators)
        images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images / 2 + 0.5, [False] * len(seeds)


def checked_steps(options: Options, scheduler: Any, default: int) -> int:
    """The number of denoising steps. Raises ``InputError`` if the scheduler was made for fewer."""
    most = getattr(scheduler.config, "num_train_timesteps", None) or default
    if options.num_inference_steps is None:
        return int(min(default, most))
    if options.num_inference_steps > most:
        raise InputError(
            f"num_inference_steps={options.num_inference_steps} is more than the {most} steps that this pipeline was "
            "trained with. Choose fewer."
        )
    return options.num_inference_steps


def _default_steps(pipeline: str) -> int:
    """The number of steps that diffusers' own pipeline takes."""
    import diffusers

    return int(inspect.signature(getattr(diffusers, pipeline).__call__).parameters["num_inference_steps"].default)


def _pair(size: Any, folder: Path) -> tuple[int, int]:
    """A config's ``sample_size`` as (height, width)."""
    pair = (size, size) if isinstance(size, int) else tuple(size or ())
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise FormatError(f"{folder}: its sample_size is {size!r}; expected a number of pixels. {REMEDY}")
    return pair[0], pair[1]

"""Text-to-image and image-to-image pipelines, which share their weights."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genaug.errors import InputError
from genaug_diffusers import networks
from genaug_diffusers.denoising import checked_steps
from genaug_diffusers.index import Index
from genaug_diffusers.options import Options
from genaug_diffusers.prompts import pick, prompts_of


class TextSampler:
    """A pipeline that generates images from prompts, and varies images with ``vary``."""

    def __init__(
        self, folder: Path, index: Index, options: Options, device: torch.device, lora_file: Path | None
    ) -> None:
        self.pipeline = networks.load_text_pipeline(folder, index, device)
        if lora_file is not None and options.lora is not None:
            networks.add_lora(self.pipeline, lora_file, options.lora)
        self.pipeline.vae.enable_slicing()  # decodes one image at a time, in a fraction of the memory
        self._prompts, self._negative = prompts_of(options), options.negative_prompt
        size, scale = self.pipeline.unet.config.sample_size, self.pipeline.vae_scale_factor
        height, width = (size, size) if isinstance(size, int) else size
        self.shape = (self.pipeline.vae.config.out_channels, height * scale, width * scale)
        self.num_classes = len(self._prompts)
        defaults = inspect.signature(type(self.pipeline).__call__).parameters
        self.steps = checked_steps(options, self.pipeline.scheduler, defaults["num_inference_steps"].default)
        scale_by_default = float(defaults["guidance_scale"].default)
        self.guidance_scale = scale_by_default if options.guidance_scale is None else options.guidance_scale
        self._editor: Any = None

    def draw(self, classes: Sequence[int] | None, seeds: Sequence[int]) -> tuple[Tensor, list[bool]]:
        """Images in [0, 1], one for each class and seed, and which of them the safety checker replaced with black."""
        _, height, width = self.shape
        return self._call(self.pipeline, classes or (), seeds, height=height, width=width)

    def vary(
        self, images: Tensor, classes: Sequence[int], seeds: Sequence[int], strength: float
    ) -> tuple[Tensor, list[bool]]:
        """As ``draw``, from images in [0, 1] of ``shape``, of which less remains the higher ``strength`` is."""
        if self._editor is None:
            from diffusers import AutoPipelineForImage2Image

            self._editor = AutoPipelineForImage2Image.from_pipe(self.pipeline)
            self._editor.set_progress_bar_config(disable=True)
        return self._call(self._editor, classes, seeds, image=images, strength=strength)

    def check_strength(self, strength: Any) -> float:
        """Raises ``InputError`` unless ``strength`` is in (0, 1] and leaves at least one denoising step."""
        try:
            value = -1.0 if isinstance(strength, bool | str | bytes) else float(strength)
        except (TypeError, ValueError):
            value = -1.0
        if not 0 < value <= 1:
            raise InputError(f"strength must be a number above 0 and at most 1, got {strength!r}.")
        if int(self.steps * value) == 0:
            raise InputError(
                f"strength={value:g} leaves none of the {self.steps} denoising steps, since int({self.steps} × "
                f"{value:g}) is 0. Use a strength of at least {1 / self.steps:.2g}, or more num_inference_steps."
            )
        return value

    def _call(
        self, pipeline: Any, classes: Sequence[int], seeds: Sequence[int], **inputs: Any
    ) -> tuple[Tensor, list[bool]]:
        outputs = pipeline(
            prompt=[pick(self._prompts, label, seed) for label, seed in zip(classes, seeds, strict=True)],
            negative_prompt=None if self._negative is None else [self._negative] * len(seeds),
            num_inference_steps=self.steps,
            guidance_scale=self.guidance_scale,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="pt",
            **inputs,
        )
        flags = getattr(outputs, "nsfw_content_detected", None) or [False] * len(seeds)
        return outputs.images, [bool(flag) for flag in flags]

"""Loading a checked pipeline's components with diffusers: safetensors only, from a local folder, no foreign code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genaug.backends.discovery import brief
from genaug.errors import FormatError, is_out_of_memory
from genaug_diffusers.index import REMEDY, Index
from genaug_diffusers.options import Lora

_SAFELY: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}


def precision_for(device: torch.device) -> torch.dtype:
    """float32 on the CPU; on a GPU bfloat16 if it computes with it, otherwise float16."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def load_model(folder: Path, name: str, classes: tuple[str, ...], index: Index, device: torch.device) -> Any:
    """A model of diffusers in evaluation mode, whose class is the first of ``classes``.

    Raises ``FormatError`` if the pipeline's component of this name is of none of ``classes``, or doesn't fit.
    """
    import diffusers

    _check_class(folder, name, classes, index)
    with _loading(folder, name):
        cls = getattr(diffusers, classes[0])
        model = cls.from_pretrained(folder, subfolder=name, torch_dtype=precision_for(device), **_SAFELY)
    frozen: nn.Module = model.eval().requires_grad_(False).to(device)
    return frozen


def load_scheduler(folder: Path, index: Index) -> Any:
    """The pipeline's scheduler. Raises ``FormatError`` if diffusers has no such class or it doesn't fit."""
    import diffusers
    from diffusers.schedulers.scheduling_utils import SchedulerMixin

    name = index.components.get("scheduler", ("", "none"))[1]
    cls = getattr(diffusers, name, None)
    if not (isinstance(cls, type) and issubclass(cls, SchedulerMixin)):
        raise FormatError(f"{folder}: diffusers {diffusers.__version__} has no scheduler {name[:100]!r}. {REMEDY}")
    with _loading(folder, "scheduler"):
        return cls.from_pretrained(folder, subfolder="scheduler", local_files_only=True)


def load_text_pipeline(folder: Path, index: Index, device: torch.device) -> Any:
    """A pipeline that generates images from text. Raises ``FormatError`` if its components don't fit."""
    import diffusers

    load_scheduler(folder, index)  # says what is wrong if it names no scheduler
    for name, cls in (("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL"), ("text_encoder", "CLIPTextModel")):
        _check_class(folder, name, (cls,), index)
    options = dict(_SAFELY)
    if index.components.get("feature_extractor", ("", ""))[1] == "CLIPFeatureExtractor":  # what it was called
        from transformers import CLIPImageProcessor

        with _loading(folder, "feature_extractor"):
            options["feature_extractor"] = CLIPImageProcessor.from_pretrained(
                folder / "feature_extractor", local_files_only=True
            )
    if "safety_checker" in index.values and "safety_checker" not in index.components:
        options |= {"safety_checker": None, "requires_safety_checker": False}
    with _loading(folder, "pipeline"):
        auto: Any = diffusers.AutoPipelineForText2Image
        pipeline = auto.from_pretrained(folder, torch_dtype=precision_for(device), trust_remote_code=False, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def add_lora(pipeline: Any, file: Path, lora: Lora) -> None:
    """Merge LoRA weights into a pipeline. Raises ``FormatError`` if they don't fit it."""
    with _loading(file.parent, file.name):
        pipeline.load_lora_weights(str(file.parent), weight_name=file.name, **_SAFELY)
        adapters = pipeline.get_list_adapters()
    if not adapters:
        raise FormatError(
            f"{file}: none of its weights belongs to a part of this pipeline. Choose LoRA weights that were trained "
            "for it."
        )
    pipeline.fuse_lora(lora_scale=lora.scale)
    pipeline.unload_lora_weights()


def _check_class(folder: Path, name: str, classes: tuple[str, ...], index: Index) -> None:
    component = index.components.get(name)
    if component is None or component[1] not in classes:
        actual = "missing" if component is None else f"a {component[1]}"
        raise FormatError(f"{folder}: its {name!r} is {actual}, and a {index.pipeline} needs a {classes[0]}. {REMEDY}")


@contextmanager
def _loading(folder: Path, name: str) -> Iterator[None]:
    """Around a call of diffusers that reads files: what it raises becomes a ``FormatError`` with one sentence."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise FormatError(
                f"{folder}: its {name!r} needs more memory than there is ({brief(error)}). Choose a smaller pipeline."
            ) from error
        raise FormatError(f"{folder}: diffusers can't load its {name!r} ({brief(error)}). {REMEDY}") from error

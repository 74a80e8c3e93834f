"""``genaug.load("diffusers:REST", ...)``: from a folder or the Hub to a source, everything checked on the way."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genaug.artifacts.paths import reading_from, user_path
from genaug.device import pick_device
from genaug.errors import FormatError, InputError
from genaug.hub.load import HUB_ID
from genaug.hub.redaction import credentials_redacted
from genaug_diffusers import hub
from genaug_diffusers.classes import chosen_classes
from genaug_diffusers.denoising import DiTSampler, ImageSampler
from genaug_diffusers.index import INDEX_FILE, TEXT_PIPELINES, Index, check_shards, files_of, local_files, read_index
from genaug_diffusers.lora import find_lora
from genaug_diffusers.options import Options, parse_options
from genaug_diffusers.prompts import DEFAULT_PROMPT, class_names, prompts_of
from genaug_diffusers.quiet import quiet, require
from genaug_diffusers.source import DiffusersSource, Sampler
from genaug_diffusers.text import TextSampler


def load(
    rest: str,
    *,
    device: str | torch.device | None = None,
    revision: str | None = None,
    classes: Sequence[str] | Mapping[str, int] | None = None,
    prompt: str | Mapping[str, str | Sequence[str]] | None = None,
    negative_prompt: str | None = None,
    guidance_scale: float | None = None,
    num_inference_steps: int | None = None,
    image_size: int | None = None,
    lora: str | Path | Mapping[str, Any] | None = None,
) -> DiffusersSource:
    """A pipeline of diffusers as a source; ``rest`` is a folder that ``save_pretrained`` wrote, or a Hub id.

    Args:
        device: The GPU by default if there is one, in bfloat16 or float16; otherwise the CPU, in float32.
        revision: A branch, a tag or a commit on the Hub. The commit is looked up once, and is in ``recipe``.
        classes: Class names; required for pipelines that generate from text. For pipelines with class embeddings all
            names in order, or a mapping of name to the pipeline's number for some of the classes.
        prompt: For text: a template with {} for the class, by default "a photo of a {}", or a mapping of class to a
            prompt or to a list of prompts.
        negative_prompt, guidance_scale, num_inference_steps: As diffusers calls them, and with its defaults.
        image_size: The side of the images in pixels; they are resized with antialiasing and cropped to a square.
        lora: LoRA weights for a pipeline that generates from text: a folder, a .safetensors file or a Hub id, or a
            mapping with ``source`` and, as needed, ``weight_name``, ``revision`` and ``scale``.

    Only JSON, text and safetensors files are read, and only classes in a fixed list are used. Raises ``InputError`` for
    options that are invalid or don't fit the pipeline, and if diffusers isn't installed; ``FormatError`` for a folder
    without a pipeline, for one of another kind, and if it contains Python code or pickled weights only; ``HubError``
    if the Hub has no such repo or can't be reached.
    """
    require("diffusers")
    options = parse_options(
        {
            "classes": classes,
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "guidance_scale": guidance_scale,
            "num_inference_steps": num_inference_steps,
            "image_size": image_size,
            "lora": lora,
        }
    )
    chosen_device = pick_device(device)
    with credentials_redacted():
        folder, index, where, commit = _find(rest, revision, lambda index: _check_options(options, index))
        lora_file = None
        if options.lora is not None:
            lora_file, exact = find_lora(options.lora)
            options = replace(options, lora=exact)
    license = _license(folder)
    build = partial(_build, folder, index, options, lora_file)
    first = build(chosen_device)
    if index.pipeline in TEXT_PIPELINES:
        names: Sequence[str] | int = class_names(options)
        numbers = None
    else:
        names, numbers = chosen_classes(options, first.num_classes, index.values.get("id2label"))
    settings: dict[str, Any] = {"num_inference_steps": first.steps, "guidance_scale": first.guidance_scale}
    if index.pipeline in TEXT_PIPELINES and options.prompt is None:
        settings["prompt"] = DEFAULT_PROMPT
    if not isinstance(names, int) and numbers is None:
        settings["classes"] = list(names)
    options = replace(options, **settings)
    record = {"source": f"diffusers:{where}", "revision": commit}
    return DiffusersSource(
        first,
        build,
        chosen_device,
        names,
        numbers,
        options.image_size,
        {**record, "options": options.plain()},
        {**record, "license": license},
    )


def _build(folder: Path, index: Index, options: Options, lora_file: Path | None, device: torch.device) -> Sampler:
    """The pipeline on a device, read from its checked folder."""
    with quiet(device):
        if index.pipeline in TEXT_PIPELINES:
            return TextSampler(folder, index, options, device, lora_file)
        return (DiTSampler if index.pipeline == "DiTPipeline" else ImageSampler)(folder, index, options, device)


def _check_options(options: Options, index: Index) -> None:
    """Raises ``InputError`` for what is already known to be wrong before anything large is downloaded."""
    if index.pipeline in TEXT_PIPELINES:
        require("transformers")
        prompts_of(options)
        if options.lora is not None:
            require("peft")
        return
    unused = ["prompt", "negative_prompt", "lora", *([] if index.pipeline == "DiTPipeline" else ["guidance_scale"])]
    for name in unused:
        if getattr(options, name) is not None:
            raise InputError(f"{name}= can't be used with a {index.pipeline}, which has no such input. Leave it out.")


def _find(rest: str, revision: str | None, check: Callable[[Index], None]) -> tuple[Path, Index, str, str | None]:
    """The local folder with a checked pipeline's files, its index, its name, and its commit on the Hub or None."""
    folder = user_path(rest)
    with reading_from(folder):
        is_local = folder.exists() or not HUB_ID.fullmatch(rest)
        if is_local and not (folder / INDEX_FILE).is_file():
            problem = f"has no {INDEX_FILE}" if folder.is_dir() else "is a file" if folder.exists() else "doesn't exist"
            if "://" in rest:
                problem = "is an address"
            raise FormatError(
                f"{rest} {problem}. Expected a folder that diffusers' save_pretrained wrote for a pipeline, or a Hub "
                "id (diffusers:owner/name)."
            )
    if is_local:
        if revision is not None:
            raise InputError(f"{rest} is a local folder, but revision= is for the Hub. Leave it out.")
        index = read_index(folder / INDEX_FILE, rest)
        check(index)
        files_of(index, local_files(folder), rest)
        check_shards(folder, index, rest)
        return folder.resolve(), index, str(folder.resolve()), None
    with hub.not_local(f"folder {rest}"):
        repo = hub.find_repo(rest, revision, lambda folder: _is_complete(folder, rest))
    if INDEX_FILE not in repo.files:
        raise FormatError(f"{rest} ({repo.commit[:12]}) has no {INDEX_FILE}, so it isn't a pipeline of diffusers.")
    index = read_index(repo.fetch([INDEX_FILE]) / INDEX_FILE, rest)
    check(index)
    folder = repo.fetch([*files_of(index, repo.files, rest), *hub.card_of(repo)])
    check_shards(folder, index, rest)
    repo.remember()
    return folder, index, rest, repo.commit


def _is_complete(folder: Path, where: str) -> bool:
    """Whether a commit's folder in the cache has all files of a pipeline."""
    try:
        index = read_index(folder / INDEX_FILE, where)
        files_of(index, local_files(folder), where)
        check_shards(folder, index, where)
    except Exception:  # whatever is wrong with it, the Hub's copy decides
        return False
    return True


def _license(folder: Path) -> str | None:
    """The license in the pipeline's card, if it has one."""
    card = folder / hub.CARD_FILE
    try:
        head = card.read_text(encoding="utf-8")[:100_000] if card.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return None
    match = re.match(r"---\n.*?^license:[ \t]*([\w.+-]{1,60})[ \t]*$.*?^---$", head, re.DOTALL | re.MULTILINE)
    return match[1] if match else None

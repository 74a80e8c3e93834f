"""``model_index.json``: a pipeline's components, and whether they are known and safe, before diffusers reads it.

diffusers imports whatever library the file names, and runs Python files that lie beside the weights if it is allowed
to. Here a pipeline may only consist of classes in a fixed list, with weights in safetensors files.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter

from genaug.artifacts.json_files import read_json
from genaug.artifacts.paths import reading_from
from genaug.errors import FormatError

INDEX_FILE = "model_index.json"
MAX_INDEX_BYTES = 2**20
REMEDY = "Choose another pipeline, or save this one again with diffusers' save_pretrained."

IMAGE_PIPELINES = ("DDIMPipeline", "DDPMPipeline", "ConsistencyModelPipeline")  # a UNet2DModel and a scheduler
TEXT_PIPELINES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
)
PIPELINES = ("DiTPipeline", *IMAGE_PIPELINES, *TEXT_PIPELINES)

_MODELS = {
    ("diffusers", "AutoencoderKL"),
    ("diffusers", "DiTTransformer2DModel"),
    ("diffusers", "Transformer2DModel"),  # what DiT's was called
    ("diffusers", "UNet2DConditionModel"),
    ("diffusers", "UNet2DModel"),
    ("stable_diffusion", "StableDiffusionSafetyChecker"),
    ("transformers", "CLIPTextModel"),
    ("transformers", "CLIPTextModelWithProjection"),
    ("transformers", "CLIPVisionModelWithProjection"),
}
_TOKENIZERS = {("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")}
_PROCESSORS = {("transformers", "CLIPFeatureExtractor"), ("transformers", "CLIPImageProcessor")}
_SCHEDULER = re.compile(r"[A-Z][A-Za-z0-9]*Scheduler")
_COMPONENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(-\d{5}-of-\d{5})?\.safetensors")
_PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack", ".h5")
_TEXTS = (".json", ".txt")


@dataclass(frozen=True)
class Index:
    """The pipeline's class, its components (library and class by name) and other values of ``model_index.json``."""

    pipeline: str
    components: dict[str, tuple[str, str]]
    values: dict[str, Any]

    @property
    def models(self) -> list[str]:
        """The components that have weights."""
        return [name for name, component in self.components.items() if component in _MODELS]


def read_index(path: Path, where: str) -> Index:
    """The content of a ``model_index.json``; ``where`` names the pipeline in messages.

    Raises ``FormatError`` if the file is too large or damaged, for a pipeline of another kind, and for a component that
    isn't in the list.
    """
    values = read_json(path, TypeAdapter(dict[str, Any]), REMEDY, limit=MAX_INDEX_BYTES)
    pipeline = values.get("_class_name")
    if pipeline not in PIPELINES:  # a list: code of its own
        raise FormatError(
            f"{where} is a pipeline of the class {str(pipeline)[:100]!r}, which isn't supported. Supported are "
            f"{', '.join(PIPELINES)}."
        )
    components = {}
    for name, value in values.items():
        if name.startswith("_") or not isinstance(value, list) or value == [None, None]:
            continue
        known = len(value) == 2 and all(isinstance(part, str) for part in value) and _is_known(*value)
        if not known or not _COMPONENT.fullmatch(name):
            raise FormatError(
                f"{where}: its component {name[:100]!r} is {'.'.join(map(str, value))[:100]!r}, which isn't among the "
                f"classes that genaug loads, so nothing was imported. {REMEDY}"
            )
        components[name] = (value[0], value[1])
    return Index(str(pipeline), components, values)


def _is_known(library: str, name: str) -> bool:
    component = (library, name)
    if component in _MODELS or component in _TOKENIZERS or component in _PROCESSORS:
        return True
    return library == "diffusers" and _SCHEDULER.fullmatch(name) is not None


def files_of(index: Index, names: Iterable[str], where: str) -> list[str]:
    """Of the names of a repo's files those that the pipeline needs: JSON, vocabularies and safetensors.

    Raises ``FormatError`` for Python files beside them, and if a component has no such files.
    """
    paths = [path for name, path in ((name, PurePosixPath(name)) for name in sorted(names)) if str(path) == name]
    folders = {".", *index.components}
    code = [path for path in paths if path.suffix == ".py" and str(path.parent) in folders]
    if code:
        raise FormatError(
            f"{where} has Python code beside its components ({code[0]}), and genaug runs no code that comes with "
            "weights. Load a copy of the pipeline without it, if you trust the rest."
        )
    needed = [INDEX_FILE]
    for name, component in index.components.items():
        files = [path.name for path in paths if str(path.parent) == name]
        weights = [file for file in files if _WEIGHTS.fullmatch(file)]
        if component in _MODELS and not weights:
            raise FormatError(f"{where}: {_without_weights(name, files)}")
        texts = [file for file in files if file.endswith(_TEXTS)]
        if not texts or (component in _TOKENIZERS and not _is_tokenizer(files)):
            raise FormatError(f"{where}: the files of its component {name!r} are missing. {REMEDY}")
        needed += [f"{name}/{file}" for file in (*texts, *weights)]
    return needed


def _without_weights(name: str, files: list[str]) -> str:
    variants = [file for file in files if file.endswith(".safetensors")]
    pickled = [file for file in files if file.endswith(_PICKLED)]
    if variants:
        return (
            f"its component {name!r} has weights of a variant only ({variants[0]}). Expected "
            f"diffusion_pytorch_model.safetensors or model.safetensors. {REMEDY}"
        )
    if pickled:
        return (
            f"its component {name!r} has pickled weights only ({pickled[0]}), which aren't loaded, since a pickle can "
            "run code. Choose a revision with safetensors, or convert it, if you trust it, with diffusers' "
            "save_pretrained."
        )
    return f"its component {name!r} has no weights. {REMEDY}"


def _is_tokenizer(files: list[str]) -> bool:
    return "tokenizer.json" in files or {"vocab.json", "merges.txt"} <= set(files)


def local_files(folder: Path) -> list[str]:
    """The names of the files in a folder and in its folders, as on the Hub."""
    with reading_from(folder):
        paths = [*folder.iterdir(), *folder.glob("*/*")]
        return [path.relative_to(folder).as_posix() for path in paths if path.is_file()]


def check_shards(folder: Path, index: Index, where: str) -> None:
    """Raises ``FormatError`` if one of the files that weights are split into is missing."""
    schema = TypeAdapter(dict[str, Any])
    for name in index.models:
        for path in (folder / name).glob("*.safetensors.index.json"):
            if path.name not in ("diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json"):
                continue
            parts = read_json(path, schema, REMEDY, limit=2**26).get("weight_map")
            for part in set(parts.values()) if isinstance(parts, dict) else ():
                if not (isinstance(part, str) and _WEIGHTS.fullmatch(part) and (folder / name / part).is_file()):
                    raise FormatError(f"{where}: {str(part)[:100]!r}, weights of its {name!r}, is missing. {REMEDY}")

"""A hook of mkdocs: pages refer to figures in benchmarks/results, for readers of the repository."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

RESULTS = Path(__file__).parents[1] / "results"


def on_files(files: Any, config: Any) -> Any:
    for picture in sorted(RESULTS.glob("*.png")):
        files.append(File.generated(config, f"figures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    return markdown.replace("(../benchmarks/results/", "(figures/")

"""A report as one self-contained HTML file, without scripts, fonts or links to other files."""

import base64
from collections.abc import Sequence
from importlib.resources import files

from PIL import Image

from genaug.escaping import in_html
from genaug.reports.sheet import encode_png


def page(title: str, *sections: str) -> str:
    """The complete document. ``sections`` are HTML; the title is plain text."""
    style = (files("genaug.reports") / "page.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{in_html(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            f"<h1>{in_html(title)}</h1>",
            *sections,
            "</main>\n</body>\n</html>\n",
        ]
    )


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{in_html(kind)}">{in_html(text)}</p>' if kind else f"<p>{in_html(text)}</p>"


def section(heading: str, *parts: str) -> str:
    return "\n".join([f"<section>\n<h2>{in_html(heading)}</h2>", *parts, "</section>"])


def figure(content: str, caption: str) -> str:
    return f"<figure>\n{content}\n<figcaption>{in_html(caption)}</figcaption>\n</figure>"


def picture(image: Image.Image, alt: str) -> str:
    """An image embedded in the page as PNG."""
    data = base64.b64encode(encode_png(image)).decode("ascii")
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img alt="{in_html(alt)}" {size} src="data:image/png;base64,{data}">'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], highlight: Sequence[bool] = ()) -> str:
    """A table whose first column names the rows. The second line of a cell, after a newline, is smaller."""
    lines = [
        '<div class="wide"><table>',
        "<thead><tr>",
        *(f'<th scope="col">{_cell(h)}</th>' for h in head),
        "</tr></thead>",
        "<tbody>",
    ]
    for index, (name, *cells) in enumerate(rows):
        kind = ' class="new"' if index < len(highlight) and highlight[index] else ""
        lines.append(
            f'<tr{kind}><th scope="row">{_cell(name)}</th>' + "".join(f"<td>{_cell(c)}</td>" for c in cells) + "</tr>"
        )
    return "\n".join([*lines, "</tbody></table></div>"])


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """A difference of shares in percentage points, with a sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def code(text: str) -> str:
    return f"<pre><code>{in_html(text)}</code></pre>"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values as a description list."""
    return "<dl>\n" + "\n".join(f"<div><dt>{in_html(k)}</dt><dd>{in_html(v)}</dd></div>" for k, v in pairs) + "\n</dl>"


def _cell(text: str) -> str:
    first, newline, second = text.partition("\n")
    return in_html(first) + (f"<small>{in_html(second)}</small>" if newline else "")

"""An executed notebook as a section of the page: prose and outputs, without code."""

import re
from collections.abc import Iterator
from html import escape, unescape
from typing import NamedTuple

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from rdrepro.study.html_tables import CSS, unbroken

NO_ALT = "A figure; the text next to it says what it shows"
_HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.DOTALL)
_LINK = re.compile(r'<a\s[^>]*?href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
# A table of `html_table`, after the line that it is folded behind.
_TABLE = re.compile(
    r"(?:<summary>((?:(?!</summary>).)*)</summary>)?"
    r'<div class="rd tex2jax_ignore"><table>(?:<caption>(.*?)</caption>)?(.*?)</table></div>',
    re.DOTALL,
)


class Heading(NamedTuple):
    """A line of the table of contents: level 2 is a notebook's title, level 3 a part of it."""

    level: int
    anchor: str
    text: str


class Section(NamedTuple):
    """A notebook as HTML, and its headings."""

    html: str
    headings: list[Heading]


def section_of(notebook: NotebookNode, name: str, taken: set[str]) -> Section:
    """An executed notebook as a section.

    name: the anchor of the section's title. taken: the anchors of the page, to which the section's
    own are added.
    """
    headings: list[Heading] = []
    parts = []
    for cell in notebook.cells:
        for part in _cell(cell):
            parts.append(_with_anchors(part, name, headings, taken))
    return Section("\n".join(parts), headings)


def _cell(cell: NotebookNode) -> Iterator[str]:
    """The prose or the outputs of a cell as HTML."""
    if cell.cell_type == "markdown":
        yield prose(cell.source)
    for output in cell.get("outputs", ()):
        html = _output(output)
        if html:
            yield html


def prose(source: str, trusted: bool = True) -> str:
    """Markdown as HTML. Text that is not trusted, such as quoted rows, has no HTML and no images.

    Links that leave the page become text, except those to notebooks of the report.
    """
    if not trusted:
        source = source.replace("<", "&lt;").replace("![", "!\\[")
    renderer = IPythonRenderer(
        escape=False, allow_harmful_protocols=False, exclude_anchor_links=True
    )
    html = unbroken(MarkdownWithMath(renderer=renderer).render(source))
    html = _LINK.sub(_inner_link, html)
    return html.replace("<table>", '<div class="rd"><table>').replace("</table>", "</table></div>")


def _inner_link(link: re.Match) -> str:
    target, text = link.groups()
    notebook = re.fullmatch(r"(?:\./)?(\d\d_\w+)\.ipynb(?:#.*)?", target)
    if notebook:
        return f'<a href="#{notebook[1]}">{text}</a>'
    return f'<a href="{target}">{text}</a>' if target.startswith("#") else text


def _output(output: NotebookNode) -> str:
    """An output of a cell as HTML; "" for progress bars and other text on stderr."""
    if output.output_type == "stream":
        return f"<pre>{escape(output.text)}</pre>" if output.name == "stdout" else ""
    data = output.get("data", {})
    if "text/html" in data:
        return _TABLE.sub(_boxed, data["text/html"].replace(CSS, ""))
    if "text/markdown" in data:
        return prose(data["text/markdown"], trusted=False)
    if "image/png" in data:
        image = data["image/png"].replace("\n", "")
        return f'<figure><img alt="{NO_ALT}" src="data:image/png;base64,{image}"></figure>'
    return f"<pre>{escape(data['text/plain'])}</pre>" if "text/plain" in data else ""


def _boxed(table: re.Match) -> str:
    """A table in a box of its own that scrolls, below its caption or its folded line."""
    line, caption, rows = table.groups()
    label = escape(plain(caption or line or "Table"))
    folded = f"<summary>{line}</summary>" if line else ""
    above = f"<figcaption>{caption}</figcaption>" if caption else ""
    box = f'<div class="rd" role="region" tabindex="0" aria-label="{label}"><table>{rows}</table>'
    return f'{folded}<figure class="table">{above}{box}</div></figure>'


def plain(html: str) -> str:
    """The text of a piece of HTML."""
    return unescape(re.sub(r"<[^>]+>", "", html)).strip()


def _with_anchors(html: str, name: str, headings: list[Heading], taken: set[str]) -> str:
    """HTML whose headings have anchors. They become one level lower and leave out no level."""

    def anchored(found: re.Match) -> str:
        text = plain(found[2])
        # The page has the first level, and each section one heading of the second.
        level = min(int(found[1]) + 1, headings[-1].level + 1) if headings else 2
        level = max(level, 3) if headings else level
        anchor = name if not headings else _free(re.sub(r"\s+", "-", text), taken)
        taken.add(anchor)
        headings.append(Heading(level, anchor, text))
        return f'<h{level} id="{escape(anchor)}">{found[2]}</h{level}>'

    return _HEADING.sub(anchored, html)


def _free(anchor: str, taken: set[str]) -> str:
    number, free = 1, anchor
    while free in taken:
        number, free = number + 1, f"{anchor}-{number + 1}"
    return free

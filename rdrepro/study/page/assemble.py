"""The page: title, table of contents and a section for each notebook, in one file."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from rdrepro.files import replacing
from rdrepro.study.page.sections import Heading, section_of

TITLE = "Reverse Distillation: a reproduction report"
SUBTITLE = (
    "A reproduction of <em>Anomaly Detection via Reverse Distillation from One-Class Embedding</em>"
    " (Deng and Li, CVPR 2022) and of a medical extension (Masciulli, 2022). Every number and "
    "figure below is computed from result rows."
)
FOOTER = (
    "Made by <code>make report</code>. The tables are in <code>results/tables</code> as CSV, "
    "Markdown and LaTeX. The figures are in <code>results/figures</code> as PNG, SVG and PDF."
)
HINT = "Click on a column's name to sort a table."
PARTS = ("page.css", "page.js")
LISTED = (2, 3)  # levels of headings in the table of contents


def write_page(notebooks: Iterable[Path], target: Path) -> None:
    """Write executed notebooks as one HTML file that opens without a network."""
    read = {file.stem: nbformat.read(file, as_version=4) for file in notebooks}
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as aside:
        aside.write_text(page_of(read), encoding="utf-8")


def page_of(notebooks: Mapping[str, NotebookNode]) -> str:
    """Executed notebooks, by the anchor of each, as one HTML page without their code."""
    taken: set[str] = set()
    sections = [section_of(notebook, name, taken) for name, notebook in notebooks.items()]
    headings = [heading for section in sections for heading in section.headings]
    main = "\n".join(f"<section>{section.html}</section>" for section in sections)
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in PARTS)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{TITLE}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{TITLE}</h1>
<p>{SUBTITLE}</p>
<p class="hint" hidden>{HINT}</p>
</header>
<div class="columns">
<nav aria-label="Contents">
<details open><summary>Contents</summary>
{contents(headings)}
</details>
</nav>
<main>
{main}
</main>
</div>
<footer><p>{FOOTER}</p></footer>
<script>
{script}</script>
</body>
</html>
"""


def contents(headings: Iterable[Heading]) -> str:
    """The table of contents as nested lists: notebooks, and the parts of each."""
    html, open_ = "", False
    for heading in headings:
        if heading.level not in LISTED:
            continue
        link = f'<a href="#{escape(heading.anchor)}">{escape(heading.text)}</a>'
        if heading.level == LISTED[0]:
            html += "</ul></li>\n" if open_ else ""
            html, open_ = html + f"<li>{link}<ul>", True
        else:
            html += f"<li>{link}</li>"
    return f"<ul>{html}{'</ul></li>' if open_ else ''}</ul>".replace("<ul></ul>", "")

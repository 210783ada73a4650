"""Writes an executed report as one HTML file that opens without a network; `make report` calls it.

python benchmarks/write_report.py results/notebooks/report.ipynb results/report/report.html
"""

import argparse
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

TITLE = "Reverse Distillation: a reproduction report"


def without_html(notebook: NotebookNode) -> NotebookNode:
    """The notebook with Markdown outputs in which nothing is HTML, as they quote rows and errors.

    Cells and outputs in HTML stay as they are: tables escape what rows say.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            said = output.get("data", {})
            if "text/markdown" in said:
                said["text/markdown"] = said["text/markdown"].replace("<", "&lt;")
    return notebook


def page_of(notebook: NotebookNode) -> str:
    """An executed notebook as one HTML page without its code."""
    hidden = dict.fromkeys(("input", "input_prompt", "output_prompt"), True)
    exporter = HTMLExporter(embed_images=True, **{f"exclude_{k}": v for k, v in hidden.items()})
    # Addresses of libraries for formulas, widgets and diagrams, none of which the report has.
    for name in ("mathjax_url", "require_js_url", "mermaid_js_url", "mermaid_layout_elk_js_url"):
        setattr(exporter, name, "")
    titled = {"metadata": {"name": TITLE}}
    html, _ = exporter.from_notebook_node(without_html(notebook), resources=titled)
    return html


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    html = page_of(nbformat.read(arguments.notebook, as_version=4))
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    aside = arguments.target.with_suffix(".tmp")
    aside.write_text(html, encoding="utf-8")
    aside.replace(arguments.target)


if __name__ == "__main__":
    main()

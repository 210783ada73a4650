"""Writes an executed report as one HTML file that opens without a network; `make report` calls it.

python benchmarks/write_report.py results/notebooks/report.ipynb results/report/report.html
"""

import argparse
from pathlib import Path

from nbconvert import HTMLExporter

TITLE = "Reverse Distillation: a reproduction report"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    hidden = dict.fromkeys(("input", "input_prompt", "output_prompt"), True)
    exporter = HTMLExporter(embed_images=True, **{f"exclude_{k}": v for k, v in hidden.items()})
    # Addresses of libraries for formulas, widgets and diagrams, none of which the report has.
    for name in ("mathjax_url", "require_js_url", "mermaid_js_url", "mermaid_layout_elk_js_url"):
        setattr(exporter, name, "")
    titled = {"metadata": {"name": TITLE}}
    html, _ = exporter.from_filename(str(arguments.notebook), resources=titled)
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    aside = arguments.target.with_suffix(".tmp")
    aside.write_text(html, encoding="utf-8")
    aside.replace(arguments.target)


if __name__ == "__main__":
    main()

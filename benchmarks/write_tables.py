"""Writes RESULTS.md, the generated parts of README.md and DEVIATIONS.md, and results/tables.

`make tables` runs it.
"""

from pathlib import Path

from rdrepro.files import replacing
from rdrepro.paths import ROOT
from rdrepro.runs.rows import load_runs
from rdrepro.study.blocks import fill_block, generated_blocks
from rdrepro.study.formats import save_tables
from rdrepro.study.results_page import results_page
from rdrepro.study.tables import all_tables


def main() -> None:
    runs_dir = ROOT / "results" / "runs"
    runs = load_runs(runs_dir)
    tables = all_tables(runs, runs_dir)
    save_tables(tables, ROOT / "results" / "tables")
    write(ROOT / "RESULTS.md", results_page(runs, runs_dir, tables))
    blocks = generated_blocks(runs_dir)
    for name in ("README.md", "DEVIATIONS.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for block, content in blocks.items():
            text = fill_block(text, block, content)
        write(ROOT / name, text)


def write(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    with replacing(file) as aside:
        aside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes RESULTS.md, the generated parts of README.md and DEVIATIONS.md, and results/tables.

`make tables` runs it.
"""

from pathlib import Path

from rdrepro.paths import ROOT
from rdrepro.runs.rows import load_runs
from rdrepro.study.blocks import fill_block, generated_blocks
from rdrepro.study.formats import save_table
from rdrepro.study.results_page import results_page
from rdrepro.study.tables import all_tables


def main() -> None:
    runs_dir = ROOT / "results" / "runs"
    runs = load_runs(runs_dir)
    tables = all_tables(runs, runs_dir)
    for name, table in tables.items():
        if len(table):
            save_table(table, name, ROOT / "results" / "tables")
    replace(ROOT / "RESULTS.md", results_page(runs, runs_dir, tables))
    blocks = generated_blocks(runs_dir)
    for name in ("README.md", "DEVIATIONS.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for block, content in blocks.items():
            text = fill_block(text, block, content)
        replace(ROOT / name, text)


def replace(file: Path, text: str) -> None:
    """Write a file to a temporary name and rename it."""
    aside = file.with_name(f".{file.name}.tmp")
    aside.write_text(text, encoding="utf-8")
    aside.replace(file)


if __name__ == "__main__":
    main()

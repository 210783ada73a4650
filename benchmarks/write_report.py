"""Executes the report's notebooks and writes them as one HTML file; `make report` calls it.

python benchmarks/write_report.py             # results/report/report.html, and all tables
python benchmarks/write_report.py --executed  # the page anew, from the notebooks executed last
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rdrepro import paths
from rdrepro.progress import say
from rdrepro.runs.rows import load_runs
from rdrepro.study.formats import save_tables
from rdrepro.study.page import NOTEBOOKS
from rdrepro.study.page.assemble import write_page
from rdrepro.study.page.execute import execute_all
from rdrepro.study.tables import all_tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, and the tables where the notebooks are executed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executed", action="store_true", help="execute no notebook")
    started, executed = time.monotonic(), parser.parse_args(arguments).executed
    results = paths.results_dir()
    folder, target = results / "notebooks", results / "report" / "report.html"
    try:
        files = [folder / f"{n}.ipynb" for n in NOTEBOOKS] if executed else made_anew(results)
        write_page(files, target)
    except (RuntimeError, OSError) as error:
        sys.exit(f"The report is not written: {error}")
    size = target.stat().st_size / 1e6
    say(f"Wrote {target} ({size:.1f} MB) in {time.monotonic() - started:.0f} s.")


def made_anew(results: Path) -> list[Path]:
    """Execute the notebooks, write all tables, and return the notebooks' files.

    The tables are computed while the notebooks run in their own processes. They are written last,
    since a notebook may write a part of a table under the same name.
    """
    runs_dir = results / "runs"
    with ThreadPoolExecutor(1) as pool:
        computed = pool.submit(lambda: all_tables(load_runs(runs_dir), runs_dir))
        files = execute_all(results / "notebooks")
        save_tables(computed.result(), results / "tables")
    return files


if __name__ == "__main__":
    main()

"""Executes the report's notebooks and writes them as one HTML file; `make report` calls it.

python benchmarks/write_report.py             # results/report/report.html
python benchmarks/write_report.py --executed  # the page anew, from the notebooks executed last
"""

import argparse
import sys
import time

from rdrepro import paths
from rdrepro.progress import say
from rdrepro.study.page import NOTEBOOKS
from rdrepro.study.page.assemble import write_page
from rdrepro.study.page.execute import execute_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executed", action="store_true", help="execute no notebook")
    started, executed = time.monotonic(), parser.parse_args().executed
    results = paths.results_dir()
    folder, target = results / "notebooks", results / "report" / "report.html"
    try:
        files = [folder / f"{n}.ipynb" for n in NOTEBOOKS] if executed else execute_all(folder)
        write_page(files, target)
    except (RuntimeError, OSError) as error:
        sys.exit(f"The report is not written: {error}")
    size = target.stat().st_size / 1e6
    say(f"Wrote {target} ({size:.1f} MB) in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()

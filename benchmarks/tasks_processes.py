"""Tasks that are whole processes, such as an import or a notebook.

Their memory is that of the largest process, libraries included. Linux counts the memory of a
process's parent as its own, so this file loads almost nothing.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.worker import Task
from rdrepro.paths import ROOT

NOTEBOOK = "notebooks/01_mvtec.ipynb"
COMMITTED = ("runs", "benchmarks", "figures/maps")  # what the report reads, below results/


def code(source: str) -> Task:
    """Python source in a fresh interpreter."""
    return Task(lambda: call("-c", source), largest_process)


def report(folder: str) -> Task:
    """`make report` of all committed rows, in an empty results folder."""
    for name in COMMITTED:
        link = Path(folder, name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(ROOT / "results" / name)
    return Task(lambda: call("benchmarks/write_report.py", results=folder), largest_process)


def notebook(folder: str, cold: bool, parameters: Mapping[str, str]) -> Task:
    """The main notebook, by papermill.

    folder: for results. cold: each run has a new one below it, so that images are drawn and a
    student is trained. Otherwise both are kept from a run before the first.
    """
    given = [text for pair in parameters.items() for text in ("-p", *pair)]

    def run() -> None:
        results = tempfile.mkdtemp(dir=folder) if cold else folder
        call("-m", "papermill", NOTEBOOK, f"{results}/out.ipynb", *given, results=results)

    if not cold:
        run()
    return Task(run, largest_process)


def call(*arguments: str, results: str | None = None) -> None:
    """Run an interpreter in the checkout; RuntimeError, with its last words, where it fails.

    results: the results folder, if not the usual one.
    """
    places = {"RDREPRO_RESULTS": results} if results else {}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | places,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(f"{arguments} ended with {done.returncode}; it said last: {said[-1]}")


def largest_process() -> dict[str, float]:
    """The peak memory of the largest process that was started, with its libraries."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"peak_mib": peak / (2**20 if sys.platform == "darwin" else 2**10), "imported_mib": 0.0}

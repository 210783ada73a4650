"""What a user waits for beside the method: imports, rows, the report and the main notebook."""

import tempfile
from typing import Any

from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import Method, Ratio
from benchmarks.tasks_networks import OURS

LIBRARIES = "torch and torchvision"
FEW_ROUNDS = 3  # of what takes most of a minute
# As `make demo` runs the main notebook; --small asks for less.
DEMO = {"preset": "demo", "category": "wood"}
SMALL_DEMO = DEMO | {"epochs": "1", "image_size": "64"}


def method(function: str, name: str = OURS, **options: Any) -> Method:
    """A task of whole processes, in turn with others."""
    return Method(f"benchmarks.tasks_processes:{function}", options, {"method": name})


def measure_surfaces(session: Session) -> Findings:
    """Imports, rows and the report."""
    imports = {
        LIBRARIES: method("code", LIBRARIES, source="import torch, torchvision"),
        OURS: method("code", source="import rdrepro"),
    }
    ratios = [Ratio(LIBRARIES, OURS, f"import: {LIBRARIES} / {OURS}")]
    found = session.compare("import", imports, ratios)
    rows = method("code", source="import rdrepro; rdrepro.load_runs()")
    found += session.compare("load_runs of all committed rows", {OURS: rows})
    if session.small:
        return found
    with tempfile.TemporaryDirectory() as folder:
        rounds = min(session.rounds, FEW_ROUNDS)
        reports = {OURS: method("report", folder=folder)}
        return found + session.compare("make report", reports, rounds=rounds)


def measure_notebook(session: Session) -> Findings:
    """The main notebook from nothing, and with its student kept."""
    parameters = SMALL_DEMO if session.small else DEMO
    found = Findings()
    for task, cold in (("01_mvtec.ipynb, cold", True), ("01_mvtec.ipynb, student kept", False)):
        with tempfile.TemporaryDirectory() as folder:
            given = {"folder": folder, "cold": cold, "parameters": parameters}
            rounds = min(session.rounds, FEW_ROUNDS)
            found += session.compare(task, {OURS: method("notebook", **given)}, rounds=rounds)
    return found


PARTS = [
    Part(
        "cpu-notebook",
        "papermill executes 01_mvtec.ipynb on embedded data as make demo does: cold in an empty "
        "results folder, and with the student of an earlier run. Memory includes libraries.",
        6,
        measure_notebook,
    ),
    Part(
        "cpu-surfaces",
        "Whole processes: imports, load_runs of all committed rows, and make report. Memory "
        "includes libraries.",
        5,
        measure_surfaces,
    ),
]

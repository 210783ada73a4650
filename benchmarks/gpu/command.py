"""The whole run: step after step, as long as time is left, with the outcome of each on record."""

import time
from pathlib import Path

from rdrepro.files import sweep

from .extrapolation import tables_1_and_2
from .record import keep_aside
from .settings import Settings
from .steps import run_step, steps_of

RESERVE = 5  # seconds that are left for ending a step that has been stopped
ABOUT = "Measurements of `make gpu` on one GPU."
ABOUT_TRIAL = "A trial of `make gpu` in a tiny size on the CPU. No figure here is that of a GPU."


def run_all(settings: Settings, started: float, limit: float) -> int:
    """Run every step for which time is left; return 0 unless a step failed or was stopped.

    started: when the time began, by the monotonic clock. limit: seconds. Nothing runs after a first
    step that failed, since there is no GPU then.
    """
    record, lost = settings.record, 0
    record.begin(ABOUT_TRIAL if settings.small else ABOUT)
    keep_aside(settings.archive)
    for step in steps_of(settings):
        passed = time.monotonic() - started
        left = max(0, limit - passed - RESERVE)
        _tell(f"{passed:.0f} s passed, {left:.0f} s left: {step.name}")
        if left < step.least:
            reason = f"{left:.0f} s were left, and it needs {step.least:.0f} s"
            outcome = {"step": step.name, "outcome": "skipped", "reason": reason}
        else:
            outcome = run_step(step, settings, min(step.limit, left))
            lost += outcome["outcome"] != "done"
        sweep(Path(settings.out))
        record.add("steps" if outcome["outcome"] == "done" else "skipped", outcome)
        if not settings.small and (estimate := tables_1_and_2(record.read())):
            record.put("extrapolation", estimate)
        if step.module == "machine" and lost:
            break
    _tell(f"{time.monotonic() - started:.0f} s passed. The results are in {record.path.name}.")
    return int(lost > 0)


def _tell(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - the command's output

"""A pytest plugin that records each test's outcome at once, with the numbers that it measured."""

import os
from pathlib import Path

import pytest

from .record import Record

VARIABLE = "RDREPRO_GPU_RECORD"  # holds the path of the record


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record a test when it has run, or was skipped or failed before that."""
    if report.when != "call" and report.outcome == "passed":
        return
    line = {"test": report.nodeid.rpartition("::")[2], "outcome": report.outcome}
    line |= {"seconds": report.duration, **dict(report.user_properties)}
    if report.outcome != "passed":
        line["reason"] = _reason(report)
    Record(Path(os.environ[VARIABLE])).add("tests", line)


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test: file, line, reason
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr)

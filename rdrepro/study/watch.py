"""Run the workflow and show, in one line, how many runs are done, running and failed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from rdrepro import paths
from rdrepro.files import HOST
from rdrepro.progress import progress
from rdrepro.study.plan import packed

SNAKEFILE = "workflow/Snakefile"
LOOK = 0.5  # seconds between looks at the markers
PATIENCE = 3  # seconds before an interrupt is passed on to Snakemake


def run_workflow(
    markers: Sequence[Path], plan: Mapping[str, Any], options: Sequence[str], log: Path
) -> int:
    """Let Snakemake make markers; return its exit code.

    plan: values that `Plan.of` accepts. options: further options for Snakemake. log: the file for
    its output. Ctrl-C and SIGTERM end Snakemake and its jobs, and raise KeyboardInterrupt.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / SNAKEFILE)]
    command += ["--directory", str(paths.ROOT), *options]
    command += ["--config", f"plan={packed(plan)}", "--", *map(str, markers)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file, _terminated_as_interrupted():
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            _follow(process, markers)
        except KeyboardInterrupt:
            _end(process)
            raise
    return process.returncode


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """The context in which SIGTERM does what Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen) -> None:
    """Wait until Snakemake has ended. Without a terminal, a Ctrl-C is passed on to it.

    A second Ctrl-C is ignored, so that Snakemake never keeps running alone.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(process: subprocess.Popen, markers: Sequence[Path]) -> None:
    """Draw the line until the process has ended."""
    shown, terminal = None, sys.stderr.isatty()
    with progress(None, "runs", total=len(markers), unit=" runs") as bar:
        while True:
            ended = process.poll() is not None
            done, running, failed = now = count(markers)
            bar.n = done + failed
            bar.set_postfix_str(f"{done} done, {running} running, {failed} failed", refresh=False)
            if terminal or now != shown:  # a log gets a line for each change
                bar.refresh()
            if ended:
                return
            shown = now
            time.sleep(LOOK)


def count(markers: Sequence[Path]) -> tuple[int, int, int]:
    """How many jobs are done, running and failed."""
    done = sum(marker.exists() for marker in markers)
    running = sum(_runs(marker.with_suffix(".running")) for marker in markers)
    failed = sum(marker.with_suffix(".failed").exists() for marker in markers)
    return done, running, failed


def _runs(file: Path) -> bool:
    """Whether a job that claims to be running is running. A job of another machine is believed."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return said["host"] != HOST or psutil.pid_exists(said["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def failures(markers: Mapping[Any, Path]) -> dict[Any, str]:
    """The sentence of each job that has no marker."""
    return {job: _sentence(marker) for job, marker in markers.items() if not marker.exists()}


def _sentence(marker: Path) -> str:
    try:
        return json.loads(marker.with_suffix(".failed").read_text(encoding="utf-8"))["sentence"]
    except (OSError, ValueError, KeyError):
        log = marker.with_suffix(".log")
        if not log.exists():
            return "it was not started"
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "nothing; memory ran out?")
        return f"its process ended early; the last line of {log} says: {last.strip()}"


def overheads(markers: Sequence[Path]) -> list[float]:
    """The seconds that each finished job needed besides training and testing, if known."""
    found = []
    for marker in markers:
        try:
            found.append(json.loads(marker.read_text(encoding="utf-8"))["overhead_seconds"])
        except (OSError, ValueError, KeyError):
            continue
    return found

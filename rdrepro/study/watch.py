"""Run the workflow and show, in one line, how many runs are done, running and failed."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdrepro import paths
from rdrepro.progress import progress

SNAKEFILE = "workflow/Snakefile"
LOOK = 0.5  # seconds between looks at the markers


def run_workflow(
    markers: Sequence[Path], words: Sequence[str], options: Sequence[str], log: Path
) -> int:
    """Let Snakemake make markers; return its exit code.

    words: for `--config`. options: further options of Snakemake. log: the file for its output.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / SNAKEFILE)]
    command += ["--directory", str(paths.ROOT), *options]
    command += ["--config", *words, "--", *map(str, markers)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            _follow(process, markers)
        except KeyboardInterrupt:
            # Snakemake has received Ctrl-C too; it ends its jobs.
            process.wait()
            raise
    return process.returncode


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
    failed, running = (
        sum(marker.with_suffix(ending).exists() for marker in markers)
        for ending in (".failed", ".running")
    )
    return done, running, failed


def failures(markers: Mapping[Any, Path]) -> dict[Any, str]:
    """The sentence of each job that has no marker."""
    return {job: _sentence(marker) for job, marker in markers.items() if not marker.exists()}


def _sentence(marker: Path) -> str:
    try:
        return json.loads(marker.with_suffix(".failed").read_text(encoding="utf-8"))["sentence"]
    except (OSError, ValueError, KeyError):
        log = marker.with_suffix(".log")
        if log.exists():
            return f"its process ended without a word, perhaps for lack of memory; see {log}"
        return "it was not started"


def overheads(markers: Sequence[Path]) -> list[float]:
    """The seconds that each finished job took beside its training and testing."""
    found = []
    for marker in markers:
        if marker.exists():
            facts = json.loads(marker.read_text(encoding="utf-8"))
            found.append(facts["seconds"] - facts["train_seconds"] - facts["predict_seconds"])
    return found

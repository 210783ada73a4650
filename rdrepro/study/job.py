"""One job of a study: `python -m rdrepro.study.job SPECIFICATION MARKER`, as Snakemake calls it.

papermill executes a notebook, and its row is looked up. Only then is the marker written, which is
the job's declared output. An existing row is not made again. Beside the marker lie the log, the
executed notebook and, if the job failed, the sentence that says why.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from rdrepro.files import HOST, one_at_a_time, replacing
from rdrepro.runs.rows import load_runs
from rdrepro.study.catalogue import BY_NAME
from rdrepro.study.jobs import Job, notebook_file
from rdrepro.study.making import data_hashes, files

SPECIFIED = ("study", "given", "parameters", "results", "counted")
POLL = 2.0  # seconds between looks for a free GPU


def specification(
    job: Job, parameters: Mapping[str, Any], results: Path, counted: str
) -> dict[str, Any]:
    """Everything that a job's process needs, as plain values.

    results: the results folder. counted: which rows count as the job's, as in `making.missing`.
    """
    values = (job.study.name, dict(job.given), dict(parameters), str(results), counted)
    return dict(zip(SPECIFIED, values, strict=True))


def run(given: Mapping[str, Any], marker: Path) -> str:
    """Make the row of a job and then its marker; return a sentence if the job failed."""
    job = Job(BY_NAME[given["study"]], given["given"], given["given"])
    marker.parent.mkdir(parents=True, exist_ok=True)
    failed, started = marker.with_suffix(".failed"), time.monotonic()
    with one_at_a_time(marker):
        failed.unlink(missing_ok=True)
        row, others = look_for_row(job, given)
        if row is None:
            write(marker.with_suffix(".running"), {"host": HOST, "process": os.getpid()})
            try:
                sentence = execute(job, given["parameters"], marker.with_suffix(".ipynb"))
            finally:
                marker.with_suffix(".running").unlink(missing_ok=True)
            # A notebook that fails after writing its row has done its job.
            row = newest_row(job, given, others)
            if row is None:
                sentence = sentence or "the notebook ended without writing the row of this run"
                write(failed, {"run": job.text(), "sentence": sentence})
                return sentence
        write(marker, {"row": row["file"], **costs(row, time.monotonic() - started)})
    return ""


def look_for_row(
    job: Job, given: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, frozenset[str]]:
    """The existing row of a job, and the files of rows of other data."""
    runs = _rows(job, given)
    if not files([job], runs, counted=given["counted"]):
        return None, frozenset()
    hashes = data_hashes(given["parameters"].get("data_root"))  # loads torch
    found = files([job], runs, hashes, given["counted"])
    if not found:
        return None, frozenset(runs["file"])
    return _row(runs, found[job]), frozenset()


def newest_row(
    job: Job, given: Mapping[str, Any], others: frozenset[str] = frozenset()
) -> Mapping[str, Any] | None:
    """The newest row of a job's configuration, whatever its data; None where there is none.

    others: files that are left out.
    """
    runs = _rows(job, given)
    runs = runs[~runs["file"].isin(others)] if len(runs) else runs
    found = files([job], runs, counted=given["counted"])
    return _row(runs, found[job]) if found else None


def _row(runs: pd.DataFrame, file: str) -> Mapping[str, Any]:
    return runs.set_index("file", drop=False).loc[file].to_dict()


def _rows(job: Job, given: Mapping[str, Any]) -> pd.DataFrame:
    runs = load_runs(Path(given["results"]) / "runs" / job.study.name)
    return runs.assign(study=job.study.name) if len(runs) else runs


def costs(row: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """How long a job took and, if it trained everything itself, how long its overhead was.

    The overhead is the time for starting, drawing and writing: all but training and testing.
    """
    work = float(row["cost.train_seconds"]) + float(row["cost.predict_seconds"])
    # Part of a reused or resumed training was done by other jobs.
    own = not row["provenance.student_reused"] and work < seconds
    return {"seconds": seconds} | ({"overhead_seconds": seconds - work} if own else {})


def execute(job: Job, parameters: Mapping[str, Any], output: Path) -> str:
    """Execute the job's notebook; return the sentence of the error, if there was one."""
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        with free_gpu() if uses_gpu() else nullcontext():
            papermill.execute_notebook(
                _plain_path(notebook_file(job.notebook)),
                _plain_path(output),
                parameters=dict(parameters),
                progress_bar=False,
                request_save_on_cell_execute=False,
            )
    except PapermillExecutionError as error:
        return " ".join(str(error.evalue).split())
    except DeadKernelError:
        return "its process was killed, probably because memory ran out; run fewer jobs at once"
    except (NoSuchKernel, OSError) as error:
        return " ".join(str(error).split())
    return ""


def _plain_path(path: Path) -> str:
    """A path with its braces escaped, since papermill takes braces for parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def uses_gpu() -> bool:
    """Whether this job takes one of the machine's GPUs. Slurm gives its jobs their own."""
    return bool(os.environ.get("RDREPRO_GPUS")) and "SLURM_JOB_ID" not in os.environ


@contextmanager
def free_gpu() -> Iterator[None]:
    """The context in which one GPU is this job's alone; CUDA_VISIBLE_DEVICES names it.

    RDREPRO_GPUS is their number. If CUDA_VISIBLE_DEVICES is already set, it lists the GPUs.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = named.split(",") if named else map(str, range(int(os.environ["RDREPRO_GPUS"])))
    cards = list(cards)
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"rdrepro-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        for card in cards:
            lock = FileLock(folder / f"{card}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = card
            try:
                yield
            finally:
                lock.release()
            return
        time.sleep(POLL)


def write(file: Path, content: Mapping[str, Any]) -> None:
    """Write plain values to a file, whole or not at all."""
    with replacing(file) as aside:
        aside.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    reason = run(json.loads(sys.argv[1]), Path(sys.argv[2]))
    if reason:
        sys.stderr.write(f"{reason}\n")
    sys.exit(bool(reason))

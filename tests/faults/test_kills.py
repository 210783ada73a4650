"""SIGKILL at random moments of a small study: no row is lost, wrong or duplicated.

`make test` kills a few times; `make test-faults` 200 times (RDREPRO_KILLS).
"""

import json
import multiprocessing
import os
import random
import signal

import pytest
import torch
from builders import ROOT

import rdrepro as rd
from rdrepro import paths
from rdrepro.runs import checkpoints
from rdrepro.runs.rows import read_row, result_of
from rdrepro.study import job as jobs_process
from rdrepro.study.catalogue import BY_NAME, Batch, Study
from rdrepro.study.job import specification
from rdrepro.study.jobs import Job, jobs_of, parameters
from rdrepro.study.making import ANY

KILLS = int(os.environ.get("RDREPRO_KILLS", "4"))
RUN = {"preset": "demo", "data_seed": 1, "image_size": 32, "epochs": 2, "batch_size": 8}
RUN |= {"precision": "float32"}
LONGEST = 3.0  # seconds until a kill; an undisturbed study takes about as long


@pytest.fixture
def study(monkeypatch):
    """A study of two small runs."""
    variants = [{"category": "bottle"}, {"category": "bottle", "seed": 2}]
    made_up = Study("small", "?", (Batch(RUN, (variants,)),), (), None)
    monkeypatch.setitem(BY_NAME, "small", made_up)
    monkeypatch.setattr(paths, "ROOT", ROOT)
    monkeypatch.setattr(jobs_process, "execute", in_this_process)
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0)  # a checkpoint after every step
    return made_up


def in_this_process(job: Job, given, output) -> str:
    """Make the row as the notebook does, without starting a kernel."""
    run = rd.resolve(**{k: v for k, v in given.items() if v is not None})
    rd.save_row(rd.carry_out(run).row, run.rows_dir)
    return ""


def make(results) -> None:
    """Make all rows of the study that are missing, as Snakemake would."""
    torch.set_num_threads(1)
    for job in jobs_of("small"):
        given = parameters(job, {}, {"results_dir": str(results), "device": "cpu"})
        marker = results / "jobs" / f"{job.name}.done"
        if not marker.exists():
            jobs_process.run(specification(job, given, results, ANY), marker)


def start(results) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=make, args=(results,))
    process.start()
    return process


def rows(results):
    """The result of each row, by file; every file must be a whole row."""
    found = sorted((results / "runs").rglob("*.json"))
    return {file.name: result_of(read_row(file)) for file in found}


def test_killed_at_random_moments_a_study_ends_as_if_undisturbed(study, tmp_path):
    torch.set_num_threads(1)
    make(tmp_path / "undisturbed")
    expected = rows(tmp_path / "undisturbed")
    assert len(expected) == 2
    draw, kills, rounds = random.Random(7), 0, 0
    while kills < KILLS:
        results = tmp_path / f"round{rounds}"
        seen: dict = {}
        while len(list((results / "jobs").glob("*.done"))) < 2:
            process = start(results)
            process.join(draw.uniform(0.05, LONGEST) if kills < KILLS else None)
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                process.join()
            now = rows(results)  # whole rows only
            assert seen.items() <= now.items()  # no row was lost or changed
            seen = now
        assert rows(results) == expected  # none wrong, none twice
        rounds += 1
    left = [p.name for p in results.rglob(".*.tmp")] + list(results.rglob("*.checkpoint.*"))
    assert left == []


def test_two_processes_with_the_same_run_make_one_whole_row(study, tmp_path):
    processes = [start(tmp_path) for _ in range(2)]
    for process in processes:
        process.join()
    assert len(rows(tmp_path)) == 2
    markers = list((tmp_path / "jobs").glob("*.done"))
    assert {json.loads(marker.read_text())["row"] for marker in markers} == set(rows(tmp_path))
    # If the rows exist, only the markers are made again.
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").rglob("*.json")}
    for marker in markers:
        marker.unlink()
    make(tmp_path)
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").rglob("*.json")} == before
    assert all(marker.exists() for marker in markers)


def test_two_notebooks_with_the_same_run_make_one_whole_row(study, tmp_path):
    """Without the job's own lock: two people start the same notebook."""

    def work():
        torch.set_num_threads(1)
        job = jobs_of("small")[0]
        in_this_process(job, parameters(job, {}, {"results_dir": str(tmp_path)}), None)

    processes = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(rows(tmp_path)) == 1

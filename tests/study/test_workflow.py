"""The workflow whole: the command, Snakemake, papermill, kernels and rows.

`make test` runs three embedded categories at 64 pixels; `make test-study` runs all fifteen, kills
the workflow on the way and compares the rows with those of an undisturbed one (RDREPRO_STUDY=all).
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from builders import ROOT

from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.runs.rows import read_row, result_of
from rdrepro.synthetic.drawing_up import drawing_name

ALL = os.environ.get("RDREPRO_STUDY") == "all"
THREE = ("wood", "bottle", "screw")
CHANGES = "image_size=64 epochs=1"


def start(results, categories=MVTEC_CATEGORIES, *more):
    """Start the command in a process group of its own, as a terminal would."""
    command = [sys.executable, "-m", "rdrepro.study", "embedded", "--set", CHANGES, "--cores", "2"]
    command += ["--only", f"category={','.join(categories)}", "--results-dir", str(results), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def make(results, *arguments):
    process = start(results, *arguments)
    said, _ = process.communicate()
    return process.returncode, said


def rows(results):
    """The rows of a trial by category, each with the time of its last change."""
    files = sorted((results / "scratch" / "embedded" / "runs" / "embedded").glob("*.json"))
    return {read_row(f)["config"]["category"]: (result_of(read_row(f)), f.stat()) for f in files}


def test_three_categories_are_made_and_a_failed_one_stops_no_other(tmp_path):
    # An empty folder in the place of one category's drawings lets that run fail.
    drawings = tmp_path / "scratch" / "embedded" / "synthetic" / drawing_name(2, 64)
    (drawings / "screw").mkdir(parents=True)
    code, said = make(tmp_path, THREE)
    assert code == 1, said
    assert "2 done" in said and "1 failed" in said
    last, run = said.splitlines()[-2:]
    assert last.startswith("not made, 1 of 1: ") and "screw" in last and "images" in last
    assert run.startswith("  embedded: ") and "category=screw" in run
    first = rows(tmp_path)
    assert set(first) == {"wood", "bottle"}
    if not ALL:
        return
    (drawings / "screw").rmdir()
    code, said = make(tmp_path, THREE)
    assert code == 0, said
    assert "embedded: 2 of 3 runs have a row" in said and "1 done" in said
    second = rows(tmp_path)
    assert set(second) == set(THREE)
    for category, (result, stat) in first.items():
        assert second[category][0] == result and second[category][1].st_mtime_ns == stat.st_mtime_ns
    assert make(tmp_path, THREE)[0] == 0  # nothing is left to do


@pytest.mark.skipif(not ALL, reason="make test-study runs it; it takes a quarter of an hour")
def test_killed_on_the_way_all_fifteen_end_as_if_undisturbed(tmp_path):
    code, said = make(tmp_path / "undisturbed")
    assert code == 0, said
    expected = {
        category: result for category, (result, _) in rows(tmp_path / "undisturbed").items()
    }
    assert set(expected) == set(MVTEC_CATEGORIES)
    draw = random.Random(3)
    for ending in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        process = start(tmp_path / "killed")
        time.sleep(draw.uniform(20, 120))
        before = rows(tmp_path / "killed")
        os.killpg(process.pid, ending)
        said, _ = process.communicate()
        assert ending == signal.SIGKILL or "Finished rows are kept" in said
        after = rows(tmp_path / "killed")
        assert all(after[category][0] == result for category, (result, _) in before.items())
    code, said = make(tmp_path / "killed")
    assert code == 0, said
    found = {category: result for category, (result, _) in rows(tmp_path / "killed").items()}
    assert found == expected

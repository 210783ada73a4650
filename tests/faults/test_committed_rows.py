"""Committed rows are never made again or removed, whatever happens to the checkout around them."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from builders import ROOT

from rdrepro import paths
from rdrepro.study.making import CLEAN
from rdrepro.study.plan import Plan


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of the checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("there is no git checkout to clone")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def contents(clone):
    """The bytes and the time of each file of the committed rows."""
    files = sorted(path for path in (clone / "results" / "runs").rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_in_a_fresh_clone_no_committed_row_is_missing(clone, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", clone)
    plan = Plan("embedded", clone / "results")
    assert plan.counted == CLEAN and len(plan.jobs()) == 15
    assert plan.lacking() == []


def change_times(clone):
    """Make half of the rows as old as can be, and the others as new."""
    for number, path in enumerate(contents(clone)):
        moment = time.time() if number % 2 else 0
        os.utime(path, (moment, moment))


def edit_code(clone):
    """Bring the code to that of the working tree, and edit it further."""
    for name in ("rdrepro", "workflow"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, clone / name, dirs_exist_ok=True, ignore=unwanted)
    with open(clone / "rdrepro" / "losses.py", "a", encoding="utf-8") as file:
        file.write("# edited\n")


def leave_locks(clone, markers):
    """Lock the files of the jobs as Snakemake does, which leaves the locks when it is killed."""
    folder = clone / ".snakemake" / "locks"
    folder.mkdir(parents=True)
    for kind, files in (("input", ["notebooks/01_mvtec.ipynb"]), ("output", markers)):
        (folder / f"0.{kind}.lock").write_text("".join(f"{path}\n" for path in files))


def leave_failures(markers):
    """Leave what a failed job and a killed one leave beside their markers."""
    for marker, ending in zip(markers, (".failed", ".running"), strict=False):
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.with_suffix(ending).write_text('{"sentence": "the disk is full"}')


def test_a_disturbed_clone_makes_no_committed_row_again(clone):
    plan = Plan("embedded", clone / "results")
    markers = [plan.marker(job) for job in plan.jobs()]
    change_times(clone)
    edit_code(clone)
    leave_locks(clone, markers)
    leave_failures(markers)
    before = contents(clone)
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"]
    environment = {k: v for k, v in os.environ.items() if k != "RDREPRO_RESULTS"}
    environment |= {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--cores", "1", "embedded"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    # The target itself is all that there is to do.
    assert re.search(r"^embedded +1$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^total +1$", done.stdout, re.MULTILINE), done.stdout
    assert not re.search(r"^(local)?rule run:", done.stdout, re.MULTILINE), done.stdout
    assert contents(clone) == before
    status = ["git", "-C", str(clone), "status", "--porcelain", "results"]
    assert subprocess.run(status, capture_output=True, text=True, check=True).stdout == ""

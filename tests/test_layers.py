"""Imports go down only: the contract of pyproject.toml holds, and a breach of it is seen."""

import subprocess
import sys
from pathlib import Path

from builders import ROOT

LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = [LINTER, "--no-cache", "--no-logo", "--config", folder / "pyproject.toml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_no_storey_imports_one_above_it():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


def test_an_upward_import_breaks_the_contract(tmp_path, monkeypatch):
    package = tmp_path / "rdrepro"
    for source in (ROOT / "rdrepro").rglob("*.py"):
        target = package / source.relative_to(ROOT / "rdrepro")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    with open(package / "losses.py", "a") as file:
        file.write("\n\ndef upwards():\n    from rdrepro.runs import rows\n\n    return rows\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "rdrepro.losses is not allowed to import rdrepro.runs" in done.stdout

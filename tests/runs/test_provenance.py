"""Where a result comes from: commit, libraries and machine, without a path."""

import json
import shutil
import subprocess

import pytest
import torch
from builders import ROOT

from rdrepro import paths
from rdrepro.runs import provenance


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_dirty_means_a_tracked_file_outside_results(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert provenance.git_state() == (None, None)
    (tmp_path / "results").mkdir()
    for name in ("code.py", "results/table.md"):
        (tmp_path / name).write_text("a")
    git("init")
    git("add", ".")
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-m", "first")
    assert provenance.git_state()[1] is False
    (tmp_path / "results/table.md").write_text("b")
    (tmp_path / "untracked.txt").write_text("b")
    assert provenance.git_state()[1] is False
    (tmp_path / "code.py").write_text("b")
    assert provenance.git_state()[1] is True


def test_the_environment_names_libraries_and_no_path(monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)
    found = provenance.environment(torch.device("cpu"))
    assert set(provenance.LIBRARIES) == set(found["libraries"])
    assert found["libraries"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["device"] == "cpu" and found["threads"] == torch.get_num_threads()
    assert str(ROOT) not in json.dumps(found)

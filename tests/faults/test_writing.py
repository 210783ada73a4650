"""SIGKILL in the middle of writing: the old file or no file remains, never half of the new one."""

import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from builders import make_row, scores_of

from rdrepro.evaluation import Predictions
from rdrepro.files import sweep
from rdrepro.runs import checkpoints, maps, rows
from rdrepro.runs.checkpoints import FileCheckpoint, load_student, save_student
from rdrepro.runs.maps import load_maps, save_maps
from rdrepro.runs.rows import load_runs, read_scores, save_row

HERE = {"dirty": False, "threads": 1, "device": "cpu"}
KEY = {"eval_key": "0" * 16}  # two results of one run: their rows have one name and a number


def write_row(folder, value):
    save_row(make_row(metrics={"image_auroc": value / 4}, provenance=KEY), folder)


def read_rows(folder):
    table = load_runs(folder)
    assert table.attrs["unreadable"] == {}
    return sorted(4 * table["image_auroc"]) if len(table) else []


def write_scores(folder, value):
    save_row(make_row(scores=scores_of([0], [value]), provenance=KEY), folder)


def read_all_scores(folder):
    found = (read_scores(row, folder) for _, row in load_runs(folder).iterrows())
    return sorted(scores["score"][1] for scores in found)


def checkpoint(folder):
    return FileCheckpoint(folder / "x.checkpoint.safetensors", "key", HERE)


def write_checkpoint(folder, value):
    checkpoint(folder).save({"a": torch.full((64,), value)}, {"epoch": value})


def read_checkpoint(folder):
    found = checkpoint(folder).load()
    if found is None:
        assert not checkpoint(folder).path.exists()
        return []
    tensors, facts = found
    assert tensors["a"].tolist() == [facts["epoch"]] * 64
    return [facts["epoch"]]


def student(value=0.0):
    """What stands for a model: a layer is all that is kept of it."""
    layer = torch.nn.Linear(4, 4)
    torch.nn.init.constant_(layer.weight, value)
    return SimpleNamespace(kept=lambda: layer)


def write_student(folder, value):
    history = pd.DataFrame({"loss": [value]})
    save_student(student(value), history, HERE, folder / "x.safetensors")


def read_student(folder):
    if not (folder / "x.safetensors").exists():
        return []
    model = student()
    history, trainer = load_student(model, folder / "x.safetensors")
    assert trainer == HERE and model.kept().weight.unique().tolist() == history["loss"].tolist()
    return history["loss"].tolist()


def write_maps(folder, value):
    values = np.random.default_rng(value).random((2, 64, 64), dtype=np.float32)
    values[0, 0, 0] = value
    scores, labels = np.array([0.1, 0.9]), np.array([0, 1])
    names = ["good", "bent"], ["a.png", "b.png"]
    predictions = Predictions(values, scores, values > 0.9, labels, *names, "abc", 1.0)
    save_maps(predictions, folder / "x.json")


def read_maps(folder):
    found = load_maps(folder / "x.json")
    return [] if found is None else [found.maps[0, 0, 0]]


KINDS = {
    "row": (write_row, read_rows, Path, "write_text"),
    "scores": (write_scores, read_all_scores, Path, "write_bytes"),
    "checkpoint": (write_checkpoint, read_checkpoint, checkpoints, "save_file"),
    "student": (write_student, read_student, checkpoints, "save_file"),
    "maps": (write_maps, read_maps, maps.np, "savez_compressed"),
}


def killed_half_way(folder, value, write, owner, function):
    """Write a value, and cut what is written to its half before the process kills itself."""
    whole = getattr(owner, function)

    def half(*arguments, **options):
        whole(*arguments, **options)
        for path in folder.glob(".*.tmp"):
            os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, function, half)
    write(folder, value)


@pytest.mark.parametrize("old", [[], [1]], ids=["none", "old"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_half_way_a_file_is_the_old_one_or_none(kind, old, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST_SCORES", 0 if kind == "scores" else rows.MOST_SCORES)
    write, read, owner, function = KINDS[kind]
    for value in old:
        write(tmp_path, value)
    before = {path.name for path in tmp_path.glob("[!.]*")}
    process = multiprocessing.get_context("fork").Process(
        target=killed_half_way, args=(tmp_path, 2, write, owner, function)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert {path.name for path in tmp_path.glob("[!.]*")} == before
    (half,) = tmp_path.glob(".*.tmp")
    assert half.stat().st_size > 0
    assert read(tmp_path) == old
    write(tmp_path, 2)
    assert read(tmp_path)[-1] == 2
    assert sweep(tmp_path) == [half.name]
    assert list(tmp_path.glob(".*.tmp")) == [] and read(tmp_path)[-1] == 2

"""Students that are kept, found again and refused."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

import rdrepro as rd
from rdrepro import distillation
from rdrepro.config import train_key
from rdrepro.runs.checkpoints import training_hash


@pytest.fixture
def setting(small_mvtec):
    """A function from changed settings to a run and its training set."""

    def make(**changes):
        settings = {"preset": "quick", "backbone": "efficientnet_lite0", "image_size": 64}
        settings |= {"epochs": 2, "batch_size": 4, "precision": "float32", "device": "cpu"}
        run = rd.resolve(data_root=str(small_mvtec), **settings | changes)
        return run, run.dataset("train")

    return make


@pytest.fixture
def no_training(monkeypatch):
    """Makes a test fail that trains anything after it was called."""

    def forbid():
        monkeypatch.setattr(distillation, "fit", None)

    return forbid


def student(model):
    return torch.cat([v.flatten().float() for v in model.trainable().state_dict().values()])


def test_a_student_is_kept_and_found_again(setting, no_training):
    run, train = setting()
    first = rd.train(run, train)
    assert not first.reused
    no_training()
    second = rd.train(run, train)
    assert second.reused
    pd.testing.assert_frame_equal(first.history, second.history)
    assert second.environment == first.environment
    assert torch.equal(student(first.model), student(second.model))
    maps = [rd.predict(t.model, run.dataset("test"), run.config).maps for t in (first, second)]
    np.testing.assert_array_equal(*maps)

    rescored, _ = setting(score="sum", overrides="map_combine=product sigma=0")
    assert rd.train(rescored, train).reused


def test_a_curve_needs_training_and_is_of_this_runs_scoring(setting):
    run, train = setting(overrides="eval_every=1")
    for value in (0.25, 0.75):
        trained = rd.train(run, train, lambda model, value=value: {"image_auroc": value})
        assert not trained.reused
        assert trained.history["image_auroc"].tolist() == [value] * 2
    found = rd.train(setting()[0], train)
    assert found.reused and "image_auroc" not in found.history


def test_a_broken_kept_student_is_named(setting):
    run, train = setting()
    path = run.results_dir / "models" / f"{train_key(run.config, train.fingerprint())}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=f"{path.name} cannot be read .*delete it"):
        rd.train(run, train)


def test_a_results_folder_that_cannot_be_written_is_named_first(setting, tmp_path):
    folder = tmp_path / "results"
    folder.write_text("a file in the folder's place")
    with pytest.raises(PermissionError, match=r"nothing can be written to .*results_dir"):
        setting()


def test_images_to_validate_on_decide_the_student_too():
    assert training_hash("a", None) == "a"
    both = training_hash("a", "b")
    assert both == hashlib.sha256(b"a b").hexdigest() and training_hash("b", "a") != both

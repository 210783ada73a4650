"""Whole runs of the extension: early stopping, batch norms in training mode, kept students."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from trees import head_tree

import rdrepro as rd
from rdrepro.data.holdout import Part
from rdrepro.runs.checkpoints import training_hash
from rdrepro.training import VALIDATION


def resolve(folder, **changes):
    """A run on the drawn scans that writes to a folder."""
    given = {"dataset": "scans", "image_size": 32, "epochs": 1, "results_dir": str(folder)}
    return rd.resolve(**given | changes)


@pytest.fixture
def scans(tmp_path):
    """A function from changed settings to a run without earlier results."""
    return partial(resolve, tmp_path)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A run whose training moves the teacher's batch norms, and its model after training."""
    run = resolve(tmp_path_factory.mktemp("moved"), teacher_bn="train")
    return run, rd.train(run, run.dataset("train")).model.eval()


def test_the_stopping_preset_has_the_extensions_patience_and_share(scans):
    """Sec. 4.3: a quarter of the training images, patience 15."""
    config = scans(preset="medical_es", backbone="resnet18", weights="random").config
    assert (config.validation_fraction, config.patience) == (0.25, 15)


def test_a_choice_by_tested_images_is_announced(scans):
    honest, leaky = (scans(early_stopping=kind) for kind in ("train", "leaky"))
    assert "tested normal images choose the epoch" in repr(leaky) and leaky.caution
    assert leaky.caution in leaky._repr_html_()
    assert not honest.caution and "choose the epoch" not in repr(honest)


def test_the_images_validated_on_decide_a_student(scans):
    run = scans(early_stopping="train")
    data, held = run.dataset("train"), run.validation()
    fewer = Part(held.data, held.indices[1:], held.kind)
    hashes = {training_hash(data, part) for part in (None, held, fewer)}
    assert len(hashes) == 3


def test_a_stopped_student_is_found_again_with_its_validation_losses(scans):
    run = scans(early_stopping="train")
    first = rd.train(run, run.dataset("train"))
    again = rd.train(run, run.dataset("train"))
    assert again.reused and not first.reused
    np.testing.assert_allclose(again.history[VALIDATION], first.history[VALIDATION])
    other = scans(early_stopping="leaky")
    assert not rd.train(other, other.dataset("train")).reused


def test_the_teachers_batch_norms_are_kept_with_a_student_that_moved_them(moved):
    run, first = moved
    again = rd.train(run, run.dataset("train"))
    fresh = rd.build_model(replace(run.config, teacher_bn="frozen"), run.weights)
    images = torch.stack([run.dataset("test")[i]["image"] for i in range(2)])
    assert again.reused
    torch.testing.assert_close(again.model.eval().teacher(images), first.teacher(images))
    assert not torch.allclose(first.teacher(images)[2], fresh.teacher(images)[2], atol=1e-3)


def test_estimating_the_time_moves_no_batch_norm(moved):
    """Training moves the statistics once a step, whatever the estimate's trial steps did."""
    run, model = moved
    steps = -(-len(run.dataset("train")) // run.config.batch_size)
    assert {int(m.num_batches_tracked) for m in model.teacher.batch_norms()} == {steps}


def test_folded_batch_norms_are_refused_when_a_run_is_resolved(tmp_path):
    """In training mode, which the extension's presets have, they would not be the teacher's."""
    network = torchvision.models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "folded.pth")  # mean 0, variance 1
    given = {"dataset": "head_ct", "data_root": str(head_tree(tmp_path / "data"))}
    given |= {"backbone": "resnet18", "weights": str(tmp_path / "folded.pth")}
    with pytest.raises(ValueError, match="folded into its convolutions"):
        rd.resolve(**given)
    assert rd.resolve(**given, teacher_bn="frozen").config.teacher_bn == "frozen"

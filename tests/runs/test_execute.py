"""A run from its configuration to its row."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from builders import ROOT
from rooms import make_room

import rdrepro as rd
from rdrepro import distillation, paths
from rdrepro.config import FIELD_NAMES
from rdrepro.features import SOURCES
from rdrepro.runs import execute
from rdrepro.runs.provenance import environment
from rdrepro.study.novelty import gradient_steps

SMALL = {"preset": "quick", "category": "bottle", "backbone": "efficientnet_lite0"}
SMALL |= {"image_size": 64, "device": "cpu"}


def test_a_row_says_everything_and_no_path(finished, small_mvtec):
    run, row, predictions = finished
    assert set(row["config"]) == set(FIELD_NAMES)
    assert row["status"] == "complete"
    assert row["counts"]["train"] == 6
    assert len(row["history"]["loss"]) == 2
    assert row["scores"]["path"] == predictions.paths
    assert row["scores"]["score"] == pytest.approx(predictions.scores, rel=1e-5)
    text = json.dumps(row)
    for secret in (small_mvtec, run.results_dir, paths.ROOT, ROOT):
        assert str(secret) not in text


def test_a_run_executed_in_one_call_gives_the_same_row(finished):
    run, row, _ = finished
    again = rd.execute(run)
    for part in ("config", "metrics", "counts", "history", "scores"):
        assert again[part] == row[part]
    assert again["provenance"]["student_reused"] and not row["provenance"]["student_reused"]


def test_a_row_is_dirty_where_its_training_or_its_testing_was(finished, monkeypatch):
    run, row, predictions = finished
    trained = rd.train(run, run.dataset("train"))
    assert trained.reused and trained.environment == row["provenance"]["trained"]

    def dirty_after(training, testing):
        here = environment(run.device) | {"dirty": testing}
        monkeypatch.setattr(execute, "environment", lambda _: here)
        earlier = replace(trained, environment=trained.environment | {"dirty": training})
        made = rd.make_row(run, earlier, predictions, row["metrics"], rd.now())
        return made["provenance"]["dirty"]

    assert dirty_after(training=True, testing=False) is True
    assert dirty_after(training=False, testing=True) is True
    assert dirty_after(training=False, testing=False) is False
    assert dirty_after(training=None, testing=False) is None


@pytest.mark.parametrize("source", SOURCES)
def test_a_row_records_where_training_had_its_features_from(small_mvtec, monkeypatch, source):
    make_room(monkeypatch, source)
    run = rd.resolve(**SMALL, epochs=1, batch_size=4, data_root=str(small_mvtec))
    row, again = rd.execute(run), rd.execute(run)
    assert row["provenance"]["trained"]["features"] == source
    assert again["provenance"]["student_reused"]
    assert again["provenance"]["trained"] == row["provenance"]["trained"]


@pytest.mark.parametrize("given", [{"overrides": "teacher_bn=train"}, {"method": "padim"}])
def test_a_row_without_kept_features_records_no_source(small_mvtec, given):
    trained = {} if "method" in given else {"epochs": 1, "batch_size": 4}
    row = rd.execute(rd.resolve(**SMALL | trained | given, data_root=str(small_mvtec)))
    assert "features" not in row["provenance"]["trained"]


def test_no_key_depends_on_the_source_of_features(small_mvtec, monkeypatch, tmp_path):
    keys = []
    for source in ("memory", "recomputed"):
        make_room(monkeypatch, source)
        folder = str(tmp_path / source)
        run = rd.resolve(
            **SMALL, epochs=1, batch_size=4, data_root=str(small_mvtec), results_dir=folder
        )
        found = rd.execute(run)["provenance"]
        keys.append((found["train_key"], found["eval_key"]))
    assert keys[0] == keys[1]


def test_scores_without_spread_and_undefined_metrics_are_said_in_the_row(finished):
    run, row, predictions = finished
    trained = rd.train(run, run.dataset("train"))
    flat = replace(predictions, scores=np.ones_like(predictions.scores))
    metrics = row["metrics"] | {"pixel_aupro_official": float("nan")}
    made = rd.make_row(run, trained, flat, metrics, rd.now())
    assert made["status"] == "collapsed"
    assert made["metrics"]["pixel_aupro_official"] is None


def test_a_run_of_digits_has_a_valid_row_and_learns(digits_outcome):
    row = digits_outcome.row
    assert row["counts"] == row["counts"] | {"train": 126, "test_normal": 56}
    assert row["metrics"]["image_auroc"] == row["metrics"]["image_auroc_sum"] > 0.8
    assert gradient_steps(row) == 2 * 4
    assert len(digits_outcome.history) == 2


def test_maps_without_masks_are_kept(digits_outcome, tmp_path):
    rd.save_maps(digits_outcome.predictions, tmp_path / "row.json")
    kept = rd.load_maps(tmp_path / "row.json")
    assert kept.gt_masks is None
    np.testing.assert_allclose(kept.maps, digits_outcome.predictions.maps, rtol=1e-3)


def test_a_tuned_row_says_what_its_settings_were_chosen_by(mnist):
    given = {"dataset": "mnist", "weights": "random", "data_root": str(mnist[0]), "epochs": 1}
    selections = []
    for preset in ("novelty_tuned", "novelty_official"):
        run = rd.resolve(**given, preset=preset, normal_class=5, image_size=32)
        selections.append(rd.execute(run)["provenance"].get("selection"))
    assert selections[0].startswith("this class and two others were used for selection: mnist 5, ")
    assert selections[1] is None


def test_a_last_batch_of_one_image_is_refused_where_the_code_is_one_cell():
    run = rd.resolve(dataset="digits", batch_size=25, epochs=1, normal_class=1)
    assert len(run.dataset("train")) % 25 == 1
    with pytest.raises(ValueError, match="batch_size=25 leaves a last batch of one image"):
        rd.execute(run)


def test_a_run_whose_loss_is_not_finite_keeps_no_student(monkeypatch):
    right = distillation.kd_loss
    monkeypatch.setattr(distillation, "kd_loss", lambda *a: math.inf * right(*a))
    run = rd.resolve(dataset="digits", normal_class=1, epochs=3, batch_size=64)
    with pytest.raises(RuntimeError, match=r"the loss is (nan|inf) in epoch \d; lower lr"):
        rd.train(run, run.dataset("train"))
    assert not list((run.results_dir / "models").glob("*.safetensors"))

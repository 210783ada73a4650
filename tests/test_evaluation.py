"""From a model and test images to maps, scores and metrics."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import rdrepro as rd
from rdrepro import detector, evaluation, metrics
from rdrepro.data.holdout import Part
from rdrepro.evaluation import Predictions
from rdrepro.models.weights import Weights


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_maps_are_float32_whatever_the_networks_run_in(finished, precision):
    run, _, _ = finished
    trained = rd.train(run, run.dataset("train"))
    config, test = replace(run.config, precision=precision), run.dataset("test")
    predictions = rd.predict(trained.model, test, config)
    assert predictions.maps.dtype == np.float32
    f_e, f_d = rd.ReverseDistillation.forward(trained.model.eval(), test[0]["image"][None])
    exact = rd.anomaly_map(f_e, f_d, 64)[0].detach().numpy()
    tolerance = 1e-4 if precision == "float32" else 0.1
    np.testing.assert_allclose(predictions.maps[0], exact, atol=tolerance)


def test_predictions_are_of_every_test_image_in_its_order(finished):
    run, _, predictions = finished
    test = run.dataset("test")
    items = list(test)
    assert predictions.paths == [item["path"] for item in items]
    assert predictions.defects == [item["defect"] for item in items]
    assert predictions.gt_labels.tolist() == [item["gt_label"] for item in items]
    assert predictions.data_hash == test.fingerprint()
    for mask, item in zip(predictions.gt_masks, items, strict=True):
        np.testing.assert_array_equal(mask, item["gt_mask"])


def test_more_images_are_tested_at_once_than_trained_with_the_same_result(monkeypatch):
    digits = Part(rd.OneClass("", "digits", 1, "test", 32), range(50), "")
    config = rd.RunConfig(
        **{"dataset": "digits", "normal_class": 1, "category": "1", "image_size": 32},
        **{"backbone": "efficientnet_lite0", "weights": "random", "oce_width": 64},
        **{"batch_size": 16, "score": "sum"},
    )
    model, sizes, scored = rd.build_model(config, Weights("random")), [], evaluation.score_images

    def watched(model, images, config):
        sizes.append(len(images))
        return scored(model, images, config)

    monkeypatch.setattr(evaluation, "score_images", watched)
    many = rd.predict(model, digits, config)
    assert sizes == [50]  # all at once, of a training batch of 16
    monkeypatch.setattr(detector, "BATCH_PIXELS", 1)
    few = rd.predict(model, digits, config)
    assert sizes[1:] == [16, 16, 16, 2]
    np.testing.assert_allclose(few.scores, many.scores, rtol=1e-4)


def test_metrics_without_masks_are_those_of_images():
    rng = np.random.default_rng(4)
    maps, labels = rng.random((40, 6, 6)).astype(np.float32), np.repeat([0, 1], 20)
    maps[20:, 0, 0] += 0.2
    sums = maps.sum((1, 2))
    p = Predictions(maps, sums, None, labels, [""] * 40, [""] * 40, "", 0.0)
    found = rd.evaluate(p)
    assert found["image_auroc"] == found["image_auroc_sum"]
    assert found["image_auroc_sum"] == pytest.approx(roc_auc_score(labels, sums))
    assert found["image_auroc_max"] == pytest.approx(roc_auc_score(labels, maps.max((1, 2))))
    assert not [name for name in found if name.startswith("pixel")]


def test_metrics_of_pixels_are_each_what_its_function_returns(monkeypatch):
    rng = np.random.default_rng(6)
    masks = np.zeros((6, 16, 16), bool)
    masks[:3, 2:5, 3:9] = masks[1, 10:, 10:] = True
    maps = (rng.random(masks.shape) + 0.5 * masks).astype(np.float32)
    labels = masks.any((1, 2)).astype(int)
    p = Predictions(maps, maps.max((1, 2)), masks, labels, [""] * 6, [""] * 6, "", 0.0)
    devices, rank = [], metrics.rank

    def watched(scores, labels, device="cpu"):
        devices.append(device)
        return rank(scores, labels, device)

    monkeypatch.setattr(metrics, "rank", watched)
    found = rd.evaluate(p, torch.device("cpu", 0))
    assert devices == ["cpu:0", "cpu"]  # pixels, sorted by torch, and images
    assert found == rd.evaluate(p)
    recalled = maps[masks] >= rd.youden_threshold(maps, masks)
    assert found == {
        "image_auroc": rd.auroc(p.scores, labels),
        "image_ap": rd.average_precision(p.scores, labels),
        "image_f1_max": rd.f1_max(p.scores, labels),
        "pixel_auroc": rd.auroc(maps, masks),
        "pixel_aupro": rd.aupro(maps, masks),
        "pixel_aupro_official": rd.aupro_official(maps, masks),
        "pixel_ap": rd.average_precision(maps, masks),
        "pixel_f1_max": rd.f1_max(maps, masks),
        "recall_at_youden": recalled.mean(),
    }


def predictions_with(scores):
    n = len(scores)
    maps, labels = np.zeros((n, 2, 2)), np.arange(n) % 2
    return Predictions(maps, np.array(scores), maps > 1, labels, [], [], "", 0.0)


@pytest.mark.parametrize(
    ("scores", "collapsed"),
    [([1.0, 1.0, 1.0], True), ([1.0, 1.0 + 1e-9], True), ([1.0, np.nan], True), ([1, 1.1], False)],
)
def test_scores_without_spread_are_a_collapse(scores, collapsed):
    assert predictions_with(scores).collapsed is collapsed

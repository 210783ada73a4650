"""Reverse Distillation as a detector: every setting reaches the line that it is about."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

import rdrepro as rd
from rdrepro.distillation import DistillationDetector, training_loss
from rdrepro.evaluation import score_images

SIZE = 64
LITE0 = rd.RunConfig(
    dataset="synthetic",
    backbone="efficientnet_lite0",
    weights="random",
    oce_width=64,
    image_size=SIZE,
)
IMAGES = torch.zeros(2, 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def features():
    """Teacher and student features of two images, three layers each."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 6 * 2**k, 16 // 2**k, 16 // 2**k) for k in range(3)]
    return [[torch.randn(s, generator=generator) for s in shapes] for _ in range(2)]


@pytest.fixture
def model(features):
    """A model that answers with those features, whatever the images."""
    f_e, f_d = features
    fake = SimpleNamespace(teacher=lambda images: f_e, restore=lambda maps: f_d)
    fake.stages = partial(DistillationDetector.stages, fake)
    return fake


MAP = {"sigma": 4, "combine": "sum", "layers": (1, 2, 3), "align_corners": True}


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, {}),
        ({"sigma": 0}, {"sigma": 0}),
        ({"map_layers": (1, 3)}, {"layers": (1, 3)}),
        ({"map_combine": "product"}, {"combine": "product"}),
        ({"align_corners": False}, {"align_corners": False}),
    ],
    ids=str,
)
def test_scoring_fields_reach_the_map(model, features, settings, arguments):
    maps, _ = score_images(model, IMAGES, replace(LITE0, **settings))
    expected = rd.anomaly_map(*features, SIZE, **{**MAP, **arguments})
    torch.testing.assert_close(maps, expected)
    if settings:
        assert not torch.allclose(maps, rd.anomaly_map(*features, SIZE, **MAP), atol=1e-3)


@pytest.mark.parametrize("score", ["max", "sum", "top1pct"])
def test_score_reaches_the_map_score(model, features, score):
    _, scores = score_images(model, IMAGES, replace(LITE0, score=score))
    torch.testing.assert_close(scores, rd.image_score(rd.anomaly_map(*features, SIZE), score))


@pytest.mark.parametrize("score", ["kd_loss", "mkd_loss"])
@pytest.mark.parametrize("reduction", ["flatten", "pointwise"])
def test_score_reaches_the_loss_score(model, features, score, reduction):
    chosen = [f[1:] for f in features]
    for loss in ("mkd", "mkd_coded"):
        config = replace(
            LITE0,
            **{"score": score, "loss": loss, "mkd_weight": 3.0},
            **{"loss_reduction": reduction, "map_layers": (2, 3)},
        )
        _, scores = score_images(model, IMAGES, config)
        expected = rd.loss_score(*chosen, score, reduction, 3.0, coded=loss == "mkd_coded")
        torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("layers", [(1, 2, 3), (2,)])
@pytest.mark.parametrize("reduction", ["flatten", "pointwise"])
def test_loss_fields_reach_the_training_loss(features, reduction, layers):
    config = replace(LITE0, loss_reduction=reduction, train_layers=layers, map_layers=layers)
    chosen = [[f[k - 1] for k in layers] for f in features]
    kd = training_loss(*features, config)
    torch.testing.assert_close(kd, rd.kd_loss(*chosen, reduction))
    mkd = training_loss(*features, replace(config, loss="mkd", mkd_weight=5.0))
    torch.testing.assert_close(mkd, rd.mkd_loss(*chosen, weight=5.0, reduction=reduction))
    coded = training_loss(*features, replace(config, loss="mkd_coded", mkd_weight=5.0))
    torch.testing.assert_close(coded, rd.mkd_loss_coded(*chosen, 5.0, reduction))
    assert not torch.isclose(coded, mkd, rtol=1e-3)
    other = {"flatten": "pointwise", "pointwise": "flatten"}[reduction]
    assert not torch.isclose(kd, rd.kd_loss(*chosen, other), atol=1e-4)

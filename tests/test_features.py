"""The teacher's features of a data set: kept where memory allows, and of the precision wanted."""

from dataclasses import replace

import pytest
import torch

import rdrepro as rd
from rdrepro.features import TeacherFeatures
from rdrepro.models.weights import Weights

CPU = torch.device("cpu")
CONFIG = rd.RunConfig(
    dataset="synthetic",
    backbone="efficientnet_lite0",
    weights="random",
    oce_width=64,
    image_size=64,
    batch_size=4,
    epochs=1,
)


@pytest.fixture
def images(small_mvtec):
    return rd.MVTecAD(small_mvtec / "mvtec", "bottle", "train", CONFIG.image_size)


def build(config=CONFIG):
    return rd.build_model(config, Weights("random"))


def test_kept_features_change_nothing(images, monkeypatch):
    results = []
    for budget in ("1", "0"):
        monkeypatch.setenv("RDREPRO_CACHE_GB", budget)
        model = build()
        kept = TeacherFeatures(model.teacher, images, CONFIG, CPU).kept
        assert (kept is not None) == (budget == "1")
        rd.fit(model, images, CONFIG)
        states = model.trainable().state_dict().values()
        results.append(torch.cat([v.flatten().float() for v in states]))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


def test_features_that_depend_on_the_batch_are_not_kept(images):
    config = replace(CONFIG, teacher_bn="train")
    assert TeacherFeatures(build(config).teacher, images, config, CPU).kept is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_reaches_the_networks(images, precision):
    config = replace(CONFIG, precision=precision)
    kept = TeacherFeatures(build(config).teacher, images, config, CPU).kept
    assert {f.dtype for f in kept} == {getattr(torch, precision)}


def test_images_may_be_given_as_bytes(images):
    teacher = build().teacher
    of_data = TeacherFeatures(teacher, images, CONFIG, CPU)
    of_bytes = TeacherFeatures(teacher, of_data.images, CONFIG, CPU)
    some = torch.tensor([4, 1])
    assert len(of_bytes) == len(images) and of_data.images.dtype == torch.uint8
    for a, b in zip(of_data[some], of_bytes[some], strict=True):
        assert torch.equal(a, b)
    expected = torch.stack([images[i]["image"] for i in some])
    torch.testing.assert_close(of_bytes.pixels(some), expected)


def test_a_wrong_cache_budget_is_named(images, monkeypatch):
    monkeypatch.setenv("RDREPRO_CACHE_GB", "lots")
    with pytest.raises(ValueError, match="RDREPRO_CACHE_GB='lots' must be a number"):
        rd.fit(build(), images, CONFIG)

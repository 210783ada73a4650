"""PaDiM and SPADE: the papers' formulas written out, and the interface that all methods share."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import mahalanobis

import rdrepro as rd
from rdrepro.baselines import build_baseline
from rdrepro.baselines.padim import REGULARISER
from rdrepro.baselines.spade import nested, unnested
from rdrepro.models.weights import Weights
from rdrepro.scoring import gaussian_smooth

RANDOM = Weights("random")
SIZE = 64


def config(method, **changes):
    settings = {"backbone": "resnet18", "weights": "random", "image_size": SIZE, "method": method}
    return rd.RunConfig(**settings | {"padim_channels": 20, "neighbours": 3} | changes)


@pytest.fixture(scope="module")
def images():
    """Eight training and two test images."""
    return torch.rand(10, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["padim", "spade"])
def detector(request, images):
    """A detector with a full bank."""
    built = build_baseline(config(request.param), RANDOM)
    built.fit(images[:8].split(3))
    return built


def concatenated(features):
    """All channels at each location of the finest map, (B, P, C): coarser cells are repeated."""
    size = features[0].shape[-2:]
    whole = torch.cat([F.interpolate(f, size, mode="nearest") for f in features], dim=1)
    return whole.flatten(2).transpose(1, 2)


def test_padim_is_the_mahalanobis_distance_of_each_location(images):
    padim = build_baseline(config("padim", sigma=0), RANDOM)
    padim.fit(images[:8].split(3))
    starts = np.cumsum([0, *padim.teacher.channels])
    channels = np.concatenate([i + s for i, s in zip(padim.chosen, starts, strict=False)])
    train, test = (
        concatenated(padim.features(part))[:, :, channels].double().numpy()
        for part in (images[:8], images[8:])
    )
    distances, _ = padim.search(padim.features(images[8:]))
    assert distances.shape == (2, SIZE // 4, SIZE // 4)
    for place in (0, 17, 255):
        covariance = np.cov(train[:, place], rowvar=False) + REGULARISER * np.eye(len(channels))
        mean, inverse = train[:, place].mean(axis=0), np.linalg.inv(covariance)
        for image in range(2):
            expected = mahalanobis(test[image, place], mean, inverse)
            assert distances[image].flatten()[place].item() == pytest.approx(expected, rel=1e-3)


def test_padim_draws_its_channels_by_the_seed():
    def chosen(seed):
        padim = build_baseline(config("padim", seed=seed), RANDOM)
        starts = np.cumsum([0, *padim.teacher.channels])
        return [i + s for c, s in zip(padim.chosen, starts, strict=False) for i in c.tolist()]

    assert chosen(1) == chosen(1) != chosen(2)
    assert len(set(chosen(1))) == 20
    with pytest.raises(ValueError, match="padim_channels=449 is more than the 448 channels"):
        build_baseline(config("padim", padim_channels=449), RANDOM)


def test_padim_has_the_same_bank_however_it_is_blocked(images, monkeypatch):
    maps = []
    for size in (2**28, 4 * 20**2 * 7):
        monkeypatch.setattr("rdrepro.baselines.padim.BLOCK_BYTES", size)
        padim = build_baseline(config("padim"), RANDOM)
        padim.fit(images[:8].split(3))
        maps.append(padim.anomaly_map(images[8:]))
    torch.testing.assert_close(*maps)


@pytest.mark.parametrize("pooled_layer", [3, 4])
def test_spade_is_the_distance_to_the_nearest_images_and_locations(images, pooled_layer):
    spade = build_baseline(config("spade", pooled_layer=pooled_layer), RANDOM)
    spade.fit(images[:8].split(3))
    distances, scores = spade.search(spade.features(images[8:]))
    train, test = (spade.features(part)[0] for part in (images[:8], images[8:]))
    deepest = [spade.fourth_stage(f) if pooled_layer == 4 else f[-1] for f in (train, test)]
    pooled, wanted = (f.mean(dim=(2, 3)) for f in deepest)
    for image in range(2):
        squared = (pooled - wanted[image]).square().sum(dim=1)
        nearest = squared.argsort()[:3]
        assert scores[image].item() == pytest.approx(squared[nearest].mean().item(), rel=1e-3)
        gallery = concatenated([f[nearest] for f in train]).flatten(0, 1)
        query = concatenated([f[image : image + 1] for f in test])[0]
        expected = torch.cdist(query, gallery).square().amin(dim=1).unflatten(0, (16, 16))
        torch.testing.assert_close(distances[image], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 5), (14, 14), (1, 1)])
def test_nested_locations_come_back_where_they_were(shape):
    h, w = (4 * n for n in shape)
    values = torch.arange(float(h * w)).view(1, 1, h, w)
    maps = [F.max_pool2d(values, 2**k) for k in range(3)]
    for quarters_first in (False, True):
        rows = nested(maps, quarters_first)
        assert [sorted(r.flatten().tolist()) for r in rows] == [
            sorted(m.flatten().tolist()) for m in maps
        ]
    finest, middle, deepest = (r[0, :, 0] for r in nested(maps))
    assert torch.equal(unnested(finest[None], shape), values[0])
    assert torch.equal(finest.view(-1, 4).amax(dim=1), middle)
    assert torch.equal(middle.view(-1, 4).amax(dim=1), deepest)


def test_a_training_image_has_no_distance_and_the_lowest_scores(images):
    spade = build_baseline(config("spade", neighbours=1), RANDOM)
    spade.fit(images[:8].split(3))
    maps, scores = spade(images)
    assert maps[:8].max() < 1e-3 * maps[8:].min()
    assert scores[:8].max() < 1e-3 * scores[8:].min()


def test_all_methods_share_one_interface(detector, images):
    maps, scores = detector.anomaly_map(images[8:]), detector.image_score(images[8:])
    assert maps.shape == (2, SIZE, SIZE) and scores.shape == (2,)
    both = rd.evaluation.score_images(detector, images[8:], detector.config)
    torch.testing.assert_close(both, (maps, scores))
    alone = torch.cat([detector.anomaly_map(image) for image in images[8:].split(1)])
    torch.testing.assert_close(maps, alone, rtol=1e-3, atol=1e-4)


def test_maps_are_smoothed_as_the_methods_own(images):
    found = []
    for sigma in (0, 4):
        padim = build_baseline(config("padim", sigma=sigma), RANDOM)
        padim.fit(images[:8].split(3))
        found.append(padim.anomaly_map(images[8:]))
    torch.testing.assert_close(gaussian_smooth(found[0], 4), found[1])
    assert torch.equal(padim.image_score(images[8:]), found[1].flatten(1).amax(dim=1))


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_a_run_of_a_baseline_makes_a_row(method, small_mvtec):
    run = rd.resolve(
        preset="quick",
        method=method,
        category="bottle",
        data_root=str(small_mvtec),
        weights="random",
        image_size=SIZE,
        overrides="neighbours=3" if method == "spade" else "padim_channels=20",
    )
    row = rd.execute(run)
    assert row["config"]["method"] == method
    assert row["config"]["epochs"] == rd.RunConfig.epochs  # none of its own
    assert row["counts"]["trainable_parameters"] == 0
    assert row["history"] == {"epoch": [], "loss": [], "seconds": []}
    assert row["cost"]["train_seconds"] > 0
    assert not (run.results_dir / "models").exists()


def test_spade_pools_the_third_layer_where_the_weights_end_there(tmp_path, small_mvtec):
    whole = rd.Teacher("resnet18", RANDOM).encoder.state_dict()
    torch.save(whole, tmp_path / "stem_to_layer3.pth")
    given = {"preset": "quick", "method": "spade", "category": "bottle"}
    given |= {"data_root": str(small_mvtec), "weights": str(tmp_path / "stem_to_layer3.pth")}
    assert rd.resolve(**given).config.pooled_layer == 3
    assert rd.resolve(**given | {"weights": "random"}).config.pooled_layer == 4
    with pytest.raises(ValueError, match=r"stem_to_layer3\.pth has no layer4"):
        rd.resolve(**given, overrides="pooled_layer=4")
    distilled = {k: v for k, v in given.items() if k != "method"}
    with pytest.raises(ValueError, match=r"stem_to_layer3\.pth has no layer4"):
        rd.resolve(**distilled, bottleneck="pretrained")


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_what_a_baseline_has_not_is_refused(method):
    with pytest.raises(ValueError, match=f"epochs has no meaning with method='{method}'"):
        rd.resolve(method=method, epochs=3)


def test_spade_refuses_more_neighbours_than_images(images):
    with pytest.raises(ValueError, match="neighbours=9 is more than the 8 training images"):
        build_baseline(config("spade", neighbours=9), RANDOM).fit(images[:8].split(3))


def test_the_bank_moves_with_the_detector(detector):
    assert {t.device.type for t in detector.to("meta").bank()} == {"meta"}


def test_the_fourth_stage_belongs_to_the_encoders_time(images):
    spade = build_baseline(config("spade"), RANDOM)
    spade.fit(images[:8].split(3))
    seen = spade.features(images[8:])
    spade.fourth_stage = None  # the search needs it no more
    assert spade.search(seen)[1].shape == (2,)


def test_small_networks_have_a_hundred_channels():
    given = {"method": "padim", "weights": "random", "preset": "demo"}
    for backbone, channels in (("resnet34", 100), ("efficientnet_lite0", 100), ("resnet50", 550)):
        assert rd.resolve(**given, backbone=backbone).config.padim_channels == channels

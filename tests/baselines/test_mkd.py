"""MKD: its loss by hand, its gradient by finite differences, its networks layer by layer."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from rooms import make_room
from scipy import ndimage
from torch import nn

import rdrepro as rd
from rdrepro.baselines import mkd
from rdrepro.baselines.mkd import VGG16, opened, restoration_loss
from rdrepro.evaluation import score_images
from rdrepro.models.weights import Weights
from rdrepro.runs.weights import find_weights
from rdrepro.scoring import gaussian_smooth

SIZE = 64
SMALL = 32  # pixels, where nothing depends on the size
CONFIG = rd.RunConfig(
    method="mkd",
    backbone="vgg16",
    weights="random",
    image_size=SIZE,
    epochs=2,
    batch_size=8,
    lr=0.001,
    beta1=0.9,
    normalise="none",
    value_weight=0.5,
)
CLONER_PARAMETERS = 343_984  # thirteen convolutions without biases, eight batch norms of 16


def build(**changes):
    """A teacher of random weights and a cloner that is not trained yet."""
    return rd.build_model(replace(CONFIG, **changes), Weights("random"))


def fit(model, images):
    """Train a cloner on images (N, 3, H, W); its history."""
    return model.fit([{"image": image} for image in images], model.config)


def stripes(n, seed, upright=False, size=SIZE):
    """Noisy horizontal stripes of random phase, (N, 3, H, W) in [0, 1]; upright: a foreign kind."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(size) / 3 + 6 * torch.rand(n, 1, generator=generator)
    images = (rows.sin() / 4 + 0.5)[:, None, :, None].expand(n, 3, size, size)
    images = images.transpose(2, 3) if upright else images
    return (images + 0.05 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="module")
def trained():
    """A cloner that has learnt horizontal stripes, which no test may change, and its history."""
    model = build(epochs=5, batch_size=2)
    return model, fit(model, stripes(12, seed=0))


def test_the_loss_by_hand():
    f_e = [torch.tensor([[1.0, 0.0]]).view(1, 2, 1, 1), torch.tensor([[2.0, 0.0]]).view(1, 1, 1, 2)]
    f_d = [torch.tensor([[0.0, 1.0]]).view(1, 2, 1, 1), torch.tensor([[1.0, 0.0]]).view(1, 1, 1, 2)]
    # Directions: 1 and 0; squared differences: (1 + 1) / 2 and (1 + 0) / 2.
    assert restoration_loss(f_e, f_d, 0).item() == pytest.approx(1)
    assert restoration_loss(f_e, f_d, 0.5).item() == pytest.approx(1.75)
    assert restoration_loss(f_e, f_e, 0.5).item() == pytest.approx(0, abs=1e-6)


def test_only_the_value_term_depends_on_a_maps_scale_and_no_image_on_another():
    generator = torch.Generator().manual_seed(0)
    f_e, f_d = ([torch.randn(3, 4, 5, 5, generator=generator)] for _ in range(2))
    scale = torch.tensor([1.0, 2.0, 7.0]).view(3, 1, 1, 1)
    plain, scaled = (restoration_loss(f_e, [f], 0) for f in (f_d[0], scale * f_d[0]))
    torch.testing.assert_close(plain, scaled)
    both = [restoration_loss(f_e, [f], 1) for f in (f_d[0], scale * f_d[0])]
    assert torch.isclose(*both).tolist() == [True, False, False]
    order = torch.tensor([2, 0, 1])
    shuffled = restoration_loss([f_e[0][order]], [f_d[0][order]], 1)
    torch.testing.assert_close(shuffled, both[0][order])
    half = restoration_loss([f_e[0].bfloat16()], [f_d[0].bfloat16()], 1)
    assert half.dtype == torch.float32


def test_the_teacher_is_vgg16_after_its_last_four_pools():
    teacher = VGG16(Weights("random"), normalise="imagenet")
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    seen = torchvision.transforms.functional.normalize(images, mean, std)
    for pool, f in zip((9, 16, 23, 30), teacher(images), strict=True):
        assert isinstance(teacher.features[pool], nn.MaxPool2d)
        torch.testing.assert_close(f, teacher.features[: pool + 1](seen))
    with torch.device("meta"):
        whole = torchvision.models.vgg16().state_dict()
    own = {name: tensor.shape for name, tensor in teacher.state_dict().items()}
    assert own == {name: t.shape for name, t in whole.items() if name.startswith("features.")}
    assert not any(p.requires_grad for p in teacher.parameters())


def test_the_cloner_is_thin_and_its_maps_fit_the_teachers():
    model = build()
    assert model.trained_parameters() == CLONER_PARAMETERS
    images = stripes(2, seed=0)
    _, f_e, f_d = model.restore(model.see(images))
    assert [f.shape for f in f_d] == [f.shape for f in f_e]
    assert [f.shape[1:] for f in f_e] == [
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (512, 2, 2),
    ]
    last = [m for m in model.cloner if isinstance(m, nn.Conv2d)][-1]
    bound = (6 / (9 * (16 + 512))) ** 0.5  # of Xavier's uniform draws
    assert 0.99 * bound < last.weight.abs().max() <= bound


def test_the_map_is_the_gradient_of_the_score(monkeypatch):
    """Central differences in float64, at some pixels, of the loss over the last three layers."""
    monkeypatch.setattr(mkd, "opened", lambda maps: maps)
    model = build(sigma=0).double()
    images = stripes(2, seed=1, size=SMALL).double()
    maps, _ = model(images)

    @torch.no_grad()
    def score(images):
        pairs = zip(model.teacher(images)[1:], model.clone(images)[1:], strict=True)
        return sum(
            1 - torch.cosine_similarity(e.flatten(1), d.flatten(1)) + 0.5 * (e - d).square().mean()
            for e, d in pairs
        ).item()

    step = 1e-6
    for image, y, x in ((0, 0, 0), (1, 13, 20)):
        slopes = []
        for channel in range(3):
            ends = []
            for sign in (1, -1):
                moved = images[image : image + 1].clone()
                moved[0, channel, y, x] += sign * step
                ends.append(score(moved))
            slopes.append((ends[0] - ends[1]) / (2 * step))
        assert maps[image, y, x].item() == pytest.approx(np.abs(slopes).sum(), rel=1e-4)


def test_opening_is_scipys_with_a_cross():
    maps = torch.rand(2, 17, 23, generator=torch.Generator().manual_seed(0))
    cross = ndimage.generate_binary_structure(2, 1)
    for own, image in zip(opened(maps), maps, strict=True):
        expected = ndimage.grey_opening(image.numpy(), footprint=cross, mode="nearest")
        np.testing.assert_array_equal(own.numpy(), expected)
    spike = torch.zeros(1, 9, 9)
    spike[0, 4, 4] = 1
    assert not opened(spike).any()


def test_maps_are_smoothed_and_then_opened_which_moves_no_score(trained, monkeypatch):
    model, _ = trained
    images = stripes(2, seed=1)
    maps, scores = model(images)
    monkeypatch.setattr(model, "config", replace(model.config, sigma=0))
    with monkeypatch.context() as patch:
        patch.setattr(mkd, "opened", lambda maps: maps)
        raw, same = model(images)
    torch.testing.assert_close(maps, opened(gaussian_smooth(raw, 4)))
    assert torch.equal(scores, same)


def test_the_score_is_the_loss_of_the_last_three_layers(trained):
    model, _ = trained
    images = stripes(2, seed=1)
    with torch.no_grad():
        f_e, f_d = model.teacher(images), model.clone(images)
    torch.testing.assert_close(model.image_score(images), restoration_loss(f_e[1:], f_d[1:], 0.5))
    four = restoration_loss(f_e, f_d, 0.5)
    assert not torch.isclose(model.image_score(images), four, rtol=0.01).any()


def test_a_foreign_texture_scores_above_every_normal_one(trained):
    model, history = trained
    assert history["loss"].iloc[-1] < 0.5 * history["loss"].iloc[0]
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
    normal, foreign = (model.image_score(stripes(8, 2, upright)) for upright in (False, True))
    assert foreign.min() > normal.max()


def test_a_foreign_patch_is_where_the_map_is_high(trained):
    images, foreign = stripes(4, seed=3), stripes(4, seed=3, upright=True)
    images[:, :, 16:40, 24:48] = foreign[:, :, 16:40, 24:48]
    maps = trained[0].anomaly_map(images)
    inside = torch.zeros_like(maps, dtype=torch.bool)
    inside[:, 16:40, 24:48] = True
    assert rd.auroc(maps.numpy(), inside.numpy()) > 0.8


def test_the_first_loss_is_that_of_all_four_layers_in_training_mode():
    images = (255 * stripes(8, seed=0, size=SMALL)).round() / 255
    model, twin = (build(epochs=1) for _ in range(2))
    loss = fit(model, images)["loss"].item()
    twin.cloner.train()
    with torch.no_grad():
        expected = restoration_loss(twin.teacher(images), twin.clone(images), 0.5).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    assert not model.cloner.training


def test_one_seed_gives_one_cloner_and_another_gives_another():
    results = []
    for seed in (1, 1, 2):
        model = build(seed=seed, batch_size=2)
        history = fit(model, stripes(4, seed=0, size=SMALL))
        scores = model.image_score(stripes(2, seed=1, size=SMALL))
        results.append((history["loss"].tolist(), scores.tolist()))
    assert results[0] == results[1]
    assert results[0][0] != results[2][0]


def test_the_seed_decides_the_order_of_the_images_too():
    first, other = (build(seed=seed, batch_size=2) for seed in (1, 2))
    other.load_state_dict(first.state_dict())
    images = stripes(4, seed=0, size=SMALL)
    assert fit(first, images)["loss"].tolist() != fit(other, images)["loss"].tolist()


def test_free_memory_changes_nothing(monkeypatch):
    losses = []
    for source in ("memory", "file"):
        make_room(monkeypatch, source)
        history = fit(build(batch_size=3), stripes(4, seed=0, size=SMALL))
        assert history.attrs["features"] == source
        losses.append(history["loss"].tolist())
    assert losses[0] == losses[1]


def test_bfloat16_reaches_the_networks_and_not_the_scores():
    images = stripes(1, seed=0, size=SMALL)
    model = build(precision="bfloat16")
    seen, f_e, f_d = model.restore(model.see(images))
    assert {f.dtype for f in (*f_e, *f_d)} == {torch.bfloat16}
    exact = build()(images)
    for own, other in zip(model.finish(seen, f_e, f_d), exact, strict=True):
        assert own.dtype == torch.float32
        torch.testing.assert_close(own, other, rtol=0.1, atol=0.1 * other.max().item())


def test_a_loss_that_is_not_finite_stops_the_training():
    model = build(epochs=4)
    next(model.cloner.parameters()).data.fill_(torch.nan)
    with pytest.raises(RuntimeError, match=r"the loss is (nan|inf) in epoch \d; lower lr"):
        fit(model, stripes(2, seed=0, size=SMALL))


def test_mkd_has_the_interface_of_all_methods(trained):
    model, _ = trained
    images = stripes(3, seed=4, size=SMALL)
    maps, scores = model.anomaly_map(images), model.image_score(images)
    assert maps.shape == (3, SMALL, SMALL) and scores.shape == (3,)
    assert not maps.requires_grad and not scores.requires_grad and maps.min() >= 0
    assert list(model.stages(CONFIG, (SMALL, SMALL))) == ["teacher", "student", "map"]
    with torch.inference_mode():
        inside = images.clone()
        both = score_images(model, inside, CONFIG)
    torch.testing.assert_close(both, (maps, scores))
    # In double precision, where rounding switches no ReLU or max-pool between batches.
    exact = copy.deepcopy(model).double()
    alone = torch.cat([exact.anomaly_map(image) for image in images.double().split(1)])
    torch.testing.assert_close(exact.anomaly_map(images.double()), alone, rtol=1e-6, atol=1e-12)


@pytest.fixture(scope="module")
def state():
    """The state dict of a teacher."""
    return VGG16(Weights("random")).state_dict()


def test_weights_from_a_file_need_no_classifier(state, tmp_path):
    torch.save(state, tmp_path / "vgg.pth")
    found = find_weights("vgg16", str(tmp_path / "vgg.pth"))
    assert found.name.startswith("sha256:")
    torch.manual_seed(9)
    teacher = VGG16(found)
    assert all(torch.equal(t, state[name]) for name, t in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("features.28.bias"), "lacks features.28.bias .1 entries missing"),
        (
            lambda s: s.update({"features.0.weight": torch.zeros(64, 1, 3, 3)}),
            "another shape at features.0.weight",
        ),
        (
            lambda s: s.update({"features.0.bias": torch.full((64,), torch.nan)}),
            "values that are not finite: features.0.bias",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(state, tmp_path, damage, message):
    broken = dict(state)
    damage(broken)
    torch.save(broken, tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=rf"vgg\.pth .*{message}"):
        VGG16(find_weights("vgg16", str(tmp_path / "vgg.pth")))


def test_the_published_features_bring_their_own_normalisation():
    imagenet, caffe = (
        VGG16(Weights(name), "imagenet") for name in ("IMAGENET1K_V1", "IMAGENET1K_FEATURES")
    )
    presets = torchvision.models.VGG16_Weights
    for teacher, name in ((imagenet, "IMAGENET1K_V1"), (caffe, "IMAGENET1K_FEATURES")):
        preset = presets[name].transforms()
        assert teacher.mean.flatten().tolist() == pytest.approx(preset.mean)
        assert teacher.std.flatten().tolist() == pytest.approx(preset.std)

"""Every setting reaches the line that it is about, and no other value stands in its place."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.functional import normalize

import rdrepro as rd
from rdrepro.distillation import training_loss
from rdrepro.evaluation import score_images
from rdrepro.features import TeacherFeatures
from rdrepro.models.teacher import Teacher
from rdrepro.models.weights import Weights

RANDOM = Weights("random")
SIZE = 64
LITE0 = rd.RunConfig(
    dataset="synthetic",
    category="bottle",
    backbone="efficientnet_lite0",
    weights="random",
    oce_width=64,
    image_size=SIZE,
    batch_size=4,
    epochs=2,
)


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
    return SimpleNamespace(teacher=lambda images: f_e, restore=lambda maps: f_d)


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
    maps, _ = score_images(model, torch.zeros(2, 3, SIZE, SIZE), replace(LITE0, **settings))
    expected = rd.anomaly_map(*features, SIZE, **{**MAP, **arguments})
    torch.testing.assert_close(maps, expected)
    if settings:
        assert not torch.allclose(maps, rd.anomaly_map(*features, SIZE, **MAP), atol=1e-3)


@pytest.mark.parametrize("score", ["max", "sum", "top1pct"])
def test_score_reaches_the_map_score(model, features, score):
    _, scores = score_images(model, torch.zeros(2, 3, SIZE, SIZE), replace(LITE0, score=score))
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
        _, scores = score_images(model, torch.zeros(2, 3, SIZE, SIZE), config)
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


@pytest.fixture
def training_data(small_mvtec):
    return rd.MVTecAD(small_mvtec / "mvtec", "bottle", "train", SIZE)


def test_optimiser_settings_reach_adam(training_data, monkeypatch):
    seen, adam = [], torch.optim.Adam

    def spy(*arguments, **options):
        seen.append(options)
        return adam(*arguments, **options)

    monkeypatch.setattr(torch.optim, "Adam", spy)
    config = replace(LITE0, lr=0.01, beta1=0.1, beta2=0.2)
    rd.fit(rd.build_model(config, RANDOM), training_data, config)
    assert seen and all((o["lr"], o["betas"]) == (0.01, (0.1, 0.2)) for o in seen)


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own(training_data, monkeypatch):
    batches, answer = [], TeacherFeatures.__getitem__

    def spy(self, indices):
        batches.append(indices.tolist())
        return answer(self, indices)

    monkeypatch.setattr(TeacherFeatures, "__getitem__", spy)
    config = replace(LITE0, epochs=3)
    rd.fit(rd.build_model(config, RANDOM), training_data, config)
    per_epoch = 2  # six images in batches of four
    trained = batches[-3 * per_epoch :]
    orders = [[*first, *second] for first, second in zip(trained[::2], trained[1::2], strict=True)]
    assert [len(b) for b in trained[:per_epoch]] == [4, 2]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_reaches_the_networks(training_data, precision):
    config = replace(LITE0, precision=precision)
    model = rd.build_model(config, RANDOM)
    kept = TeacherFeatures(model.teacher, training_data, config, torch.device("cpu")).kept
    assert {f.dtype for f in kept} == {getattr(torch, precision)}


def test_structure_settings_reach_the_bottleneck():
    projected = rd.build_model(replace(LITE0, mff_projection=True), RANDOM).bottleneck
    assert projected.mff.project[0].weight.shape == (336, 336, 1, 1)
    wide = replace(LITE0, backbone="resnet50", oce_width=128)
    assert rd.build_model(wide, RANDOM).bottleneck.oce[0].conv1.out_channels == 1024


def test_data_settings_reach_the_data(small_mvtec):
    run = rd.resolve(
        preset="quick",
        data_root=str(small_mvtec),
        category="bottle",
        weights="random",
        image_size=128,
        overrides="mask_threshold=0.25 label_source=mask",
    )
    data = run.dataset("test")
    settings = (data.category, data.image_size, data.mask_threshold, data.label_source)
    assert settings == ("bottle", 128, 0.25, "mask")


def test_the_teacher_is_torchvisions_network_on_normalised_images():
    teacher = Teacher("resnet18", RANDOM)
    network = torchvision.models.resnet18(weights=None).eval()
    network.load_state_dict(teacher.encoder.state_dict(), strict=False)
    reference = create_feature_extractor(network, ["layer1", "layer2", "layer3"])
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    normalised = normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for own, expected in zip(teacher(images), reference(normalised).values(), strict=True):
        torch.testing.assert_close(own, expected)

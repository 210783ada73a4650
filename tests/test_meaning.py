"""Settings without a meaning: which they are, and that no result depends on them."""

from dataclasses import asdict

import pytest
import torch

import rdrepro as rd
from rdrepro.config import DEFAULTS, METHODS, RunConfig, eval_key, foreign_fields
from rdrepro.data.splits import open_split
from rdrepro.meaning import RULES, meaningless, normalised
from rdrepro.models.weights import Weights
from rdrepro.registry import DATASETS

EXTENSION = {"backbone": "wide_resnet50_2", "oce_width": 64}
DIGIT = {"dataset": "digits", "normal_class": 1, "category": "1"}


def own(**settings):
    """The fields without a meaning, but for those of other methods."""
    settings = {"bottleneck": "oce+mff", "optimiser": "muon"} | settings
    method = settings.get("method", RunConfig.method)
    return {k: v for k, v in meaningless(settings).items() if k not in foreign_fields(method)}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"data_seed": "dataset='mvtec'"}),
        ({"dataset": "synthetic"}, {}),
        ({"dataset": "synthetic", "optimiser": "adam"}, {"muon_lr": "optimiser='adam'"}),
        (
            {"split": "pasted"},
            dict.fromkeys(("mask_threshold", "label_source"), "split='pasted'"),
        ),
        (
            {"dataset": "cifar10"},
            dict.fromkeys(("data_seed", "mask_threshold", "label_source"), "dataset='cifar10'"),
        ),
        (
            {"dataset": "head_ct"},
            dict.fromkeys(("mask_threshold", "label_source"), "dataset='head_ct'"),
        ),
        (
            {"dataset": "retinal_oct", "split": "official"},
            {
                "data_seed": "dataset='retinal_oct' and split='official'",
                "mask_threshold": "dataset='retinal_oct'",
                "label_source": "dataset='retinal_oct'",
            },
        ),
        ({"dataset": "synthetic", "bottleneck": "pretrained"}, {"oce_width": "'pretrained'"}),
        ({"dataset": "synthetic", "method": "padim"}, {"batch_size": "method='padim'"}),
        (
            {"dataset": "synthetic", "method": "spade"},
            {
                "batch_size": "method='spade'",
                "seed": "method='spade' and weights='IMAGENET1K_V1'",
            },
        ),
        (
            {"dataset": "synthetic", "method": "spade", "weights": "random"},
            {"batch_size": "method='spade'"},
        ),
        ({"dataset": "synthetic", "method": "mkd"}, {}),
    ],
)
def test_what_has_no_meaning_is_named_with_its_cause(settings, expected):
    found = own(**settings)
    assert found.keys() == expected.keys()
    assert all(expected[name] in found[name] for name in expected)


def test_a_split_of_retinal_oct_that_is_not_named_draws_by_data_seed():
    assert "data_seed" not in meaningless({"dataset": "retinal_oct"})


@pytest.mark.parametrize("method", METHODS)
def test_the_fields_of_other_methods_have_no_meaning(method):
    assert foreign_fields(method) <= meaningless({"method": method}).keys()


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"data_seed": 2}, {"data_seed": 1}),
        ({"dataset": "synthetic", "data_seed": 2}, {}),
        ({"bottleneck": "pretrained", **EXTENSION}, {"oce_width": 128}),
        ({"bottleneck": "pretrained", "backbone": "resnet18", "oce_width": 128}, {"oce_width": 64}),
        ({"bottleneck": "oce", **EXTENSION}, {}),
        ({"method": "padim", "batch_size": 32, "seed": 7}, {"batch_size": 16}),
        ({"method": "spade", "batch_size": 32, "seed": 7}, {"batch_size": 16, "seed": 111}),
        ({"method": "padim", "epochs": 3, "bottleneck": "pretrained", "oce_width": 7}, DEFAULTS),
        ({"map_layers": [3], "method": "padim"}, {"map_layers": [1, 2, 3]}),
        ({"map_layers": (3,), "method": "padim"}, {"map_layers": (1, 2, 3)}),
    ],
)
def test_what_has_no_meaning_gets_its_usual_value(settings, changed):
    expected = {name: changed.get(name, value) for name, value in settings.items()}
    expected |= {"method": settings["method"]} if "method" in settings else {}
    assert normalised(settings) == expected
    assert normalised(expected) == expected


@pytest.mark.parametrize("name", ["sigma", "mask_threshold", "beta1", "mkd_weight"])
def test_minus_zero_is_zero_and_has_its_key(name):
    assert str(normalised({name: -0.0})[name]) == "0.0"
    loss = {"loss": "mkd"} if name == "mkd_weight" else {}
    one, other = (RunConfig(**{name: zero}, **loss) for zero in (0.0, -0.0))
    assert eval_key(one, "a", "b") == eval_key(other, "a", "b")


def test_the_papers_protocol_is_its_own_normal_form():
    assert normalised(asdict(RunConfig())) == asdict(RunConfig())


def test_rules_name_fields_and_hold_for_settings_of_others():
    assert {name for rule in RULES for name in (*rule.names, *rule.causes)} <= DEFAULTS.keys()
    unknown = {"dataset": "elsewhere", "method": "theirs", "data_seed": 5, "batch_size": 2}
    assert normalised(unknown) == unknown


# ------------------------------------------------------------------ no result depends on them


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {"data_seed": 7}),
        (DIGIT, {"data_seed": 7, "mask_threshold": 0.9, "label_source": "mask"}),
    ],
)
def test_the_images_are_the_same(given, changed, small_mvtec):
    assert changed.keys() <= meaningless(given).keys()
    one, other = (RunConfig(**given, **more, image_size=32) for more in ({}, changed))
    for split in ("train", "test"):
        a, b = (open_split(config, small_mvtec / "mvtec", split) for config in (one, other))
        assert a.fingerprint() == b.fingerprint()
        for mine, theirs in zip(a, b, strict=True):
            assert torch.equal(mine["image"], theirs["image"])
            assert mine["gt_label"] == theirs["gt_label"]
            assert "gt_mask" not in mine or torch.equal(mine["gt_mask"], theirs["gt_mask"])


def test_only_mvtec_like_data_sets_have_masks():
    for name, entry in DATASETS.items():
        assert ("mask_threshold" in meaningless({"dataset": name})) == (entry.family != "mvtec")


def test_a_pretrained_bottleneck_leaves_the_same_weights_whatever_the_width_of_the_oce():
    states = []
    for width in (64, 128):
        config = RunConfig(
            backbone="resnet50", weights="random", bottleneck="pretrained", oce_width=width
        )
        states.append(rd.build_model(config, Weights("random")).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.fixture
def maps(resnet_file):
    """A function from a method and settings to the maps of two images; weights from a file."""
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def compute(method, **settings):
        small = {"backbone": "resnet18", "image_size": 64, "padim_channels": 20, "neighbours": 3}
        config = RunConfig(**small, pooled_layer=3, method=method, **settings)
        detector = rd.build_model(config, Weights("sha256:0", resnet_file)).eval()
        with torch.no_grad():
            detector.remember(images[:6].split(config.batch_size))
            return detector.anomaly_map(images[6:])

    return compute


def test_spades_maps_are_those_of_any_seed_and_padims_are_not(maps):
    assert torch.equal(maps("spade", seed=1), maps("spade", seed=2))
    assert not torch.allclose(maps("padim", seed=1), maps("padim", seed=2), rtol=0.01)


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_the_batch_size_changes_a_memory_bank_by_rounding_alone(maps, method):
    torch.testing.assert_close(maps(method, batch_size=2), maps(method, batch_size=6))

"""RunConfig: resolved, checked, and two keys that move only when a result can."""

from dataclasses import make_dataclass, replace

import pytest

from rdrepro import config as config_module
from rdrepro.config import (
    EVAL_FIELDS,
    FIELD_NAMES,
    RunConfig,
    eval_key,
    foreign_fields,
    parse,
    parse_overrides,
    protocol_differences,
    train_key,
)

# Another legal value of every field.
OTHER = {
    "dataset": "synthetic",
    "category": "wood",
    "data_seed": 2,
    "image_size": 128,
    "mask_threshold": 0.0,
    "label_source": "mask",
    "rotation": 30.0,
    "backbone": "resnet18",
    "weights": "random",
    "method": "padim",
    "bottleneck": "oce",
    "padim_channels": 100,
    "neighbours": 5,
    "pooled_layer": 3,
    "teacher_bn": "train",
    "oce_width": 64,
    "mff_projection": True,
    "train_layers": (1, 2, 3),
    "loss": "mkd",
    "loss_reduction": "pointwise",
    "mkd_weight": 1.0,
    "value_weight": 1.0,
    "epochs": 1,
    "batch_size": 1,
    "lr": 0.1,
    "beta1": 0.9,
    "beta2": 0.99,
    "seed": 0,
    "precision": "bfloat16",
    "deterministic": False,
    "eval_every": 5,
    "eval_last": 3,
    "optimiser": "muon",
    "muon_lr": 0.1,
    "lr_schedule": "cosine",
    "weight_averaging": 0.25,
    "hard_mining": 0.5,
    "map_layers": (3,),
    "map_combine": "product",
    "align_corners": False,
    "sigma": 0.0,
    "score": "sum",
    "normalise": "none",
    "stem": "no_maxpool",
    "inlier_categories": 3,
    "split": "validation",
    "normal_class": 1,
    "fold": 1,
    "early_stopping": "train",
    "patience": 3,
    "validation_fraction": 0.5,
}
DIGITS = {"dataset": "digits", "normal_class": 0, "category": "0"}
DRAWS = {"dataset": "caltech256", "normal_class": 0, "category": "draw_0"}
FOLDED = {"dataset": "head_ct", "category": "normal", "split": "kfold", "fold": 0}
STOPPED = {"early_stopping": "train", "patience": 15, "validation_fraction": 0.25}
BASES = {"inlier_categories": DRAWS, "split": DIGITS, "normal_class": DIGITS, "fold": FOLDED}
BASES |= dict.fromkeys(("patience", "validation_fraction"), STOPPED)
BASES |= {"mkd_weight": {"loss": "mkd"}}


def test_the_defaults_are_the_papers_protocol():
    c = RunConfig()
    assert (c.backbone, c.weights, c.image_size) == ("wide_resnet50_2", "IMAGENET1K_V1", 256)
    assert (c.epochs, c.batch_size, c.lr, c.beta1, c.beta2) == (200, 16, 0.005, 0.5, 0.999)
    assert (c.sigma, c.score, c.map_combine, c.loss_reduction) == (4, "max", "sum", "flatten")


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_each_field_moves_its_own_key(name):
    base = RunConfig(train_layers=(2, 3), map_layers=(2, 3), **BASES.get(name, {}))
    changes = {name: OTHER[name]} | ({"category": "1"} if name == "normal_class" else {})
    changes |= STOPPED if name == "early_stopping" else {}
    changed = replace(base, **changes)
    same_student = train_key(base, "a") == train_key(changed, "a")
    assert same_student == (name in EVAL_FIELDS)
    assert eval_key(base, "a", "b") != eval_key(changed, "a", "b")


def test_other_data_under_the_same_path_move_the_keys():
    c = RunConfig()
    assert train_key(c, "a") != train_key(c, "b")
    assert eval_key(c, "a", "c") != eval_key(c, "a", "d")


def test_a_new_field_with_a_default_moves_no_key(monkeypatch):
    monkeypatch.setitem(config_module.DEFAULTS, "new_switch", False)
    later = make_dataclass("Later", [("new_switch", bool, False)], bases=(RunConfig,), frozen=True)
    for key in (lambda c: train_key(c, "a"), lambda c: eval_key(c, "a", "b")):
        assert key(later(epochs=3)) == key(RunConfig(epochs=3))
        assert key(later(epochs=3, new_switch=True)) != key(RunConfig(epochs=3))


def test_a_new_method_version_moves_every_key(monkeypatch):
    before = train_key(RunConfig(), "a")
    monkeypatch.setattr(config_module, "METHOD_VERSION", 99)
    assert train_key(RunConfig(), "a") != before


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("oce_width", "64", 64),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("lr", "1e-3", 0.001),
        ("mff_projection", "true", True),
        ("train_layers", "3,2,3", (2, 3)),
        ("fold", None, None),
    ],
)
def test_settings_are_parsed_in_their_own_type(name, text, value):
    parsed = parse(name, text)
    assert parsed == value and type(parsed) is type(value)


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"'epoch' is not a setting\. Did you mean 'epochs'"):
        parse("epoch", 1)


def test_a_configuration_parses_what_it_is_given():
    config = RunConfig(epochs="3", train_layers="2,3", map_layers=[3], sigma=0)
    assert (config.epochs, config.train_layers, config.map_layers) == (3, (2, 3), (3,))
    assert config == replace(config) and type(config.sigma) is float


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"category": "botle"}, "category='botle' is not one .* Did you mean 'bottle'"),
        ({"image_size": 250}, "not a multiple of 32.* 224 and 256"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"sigma": -1}, "sigma=-1.0 must be at least 0"),
        ({"beta2": 1}, r"beta2=1.0 must lie in \[0, 1\)"),
        ({"lr": 0}, "lr=0.0 must be positive"),
        ({"optimiser": "muon", "muon_lr": 0}, "muon_lr=0.0 must be positive"),
        ({"optimiser": "sgd"}, "optimiser='sgd' is not adam or muon"),
        ({"eval_last": 3, **STOPPED}, "eval_last=3 has no meaning with early_stopping='train'"),
        ({"rotation": 360}, r"rotation=360.0 must lie in \[0, 360\)"),
        ({"rotation": -90}, r"rotation=-90.0 must lie in \[0, 360\)"),
        ({"seed": 2**64}, "seed=18446744073709551616 must be at most"),
        ({"image_size": 32 * 10**9}, "image_size=32000000000 must be at most 4096"),
        ({"sigma": 1e6}, "sigma=1000000.0 must be at most 256"),
        ({"train_layers": 3}, "map_layers=.* are not all among train_layers"),
        ({"bottleneck": "oce", "mff_projection": True}, "needs bottleneck='oce\\+mff', not 'oce'"),
        ({"pooled_layer": 5}, "pooled_layer=5 is not 3 or 4"),
        ({"score": "maximum"}, "score='maximum' is not max, sum, top1pct, kd_loss or mkd_loss"),
    ],
)
def test_configurations_that_cannot_run_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**settings)


@pytest.mark.parametrize(
    ("method", "lacking", "having"),
    [
        ("reverse_distillation", {"padim_channels", "neighbours", "value_weight"}, {"epochs"}),
        ("padim", {"epochs", "loss", "neighbours", "value_weight"}, {"padim_channels", "stem"}),
        ("spade", {"epochs", "loss", "padim_channels"}, {"neighbours", "pooled_layer", "sigma"}),
        ("mkd", {"loss", "oce_width", "stem"}, {"epochs", "lr", "value_weight", "sigma"}),
    ],
)
def test_a_method_lacks_the_fields_of_the_others(method, lacking, having):
    assert lacking <= foreign_fields(method) and not having & foreign_fields(method)


def test_differences_from_the_papers_protocol_leave_free_fields_out():
    config = RunConfig(epochs=3, seed=5, category="wood", sigma=0)
    assert protocol_differences(config) == {"epochs": (3, 200), "sigma": (0, 4)}


def test_overrides():
    assert parse_overrides("oce_width=64  map_combine=product") == {
        "oce_width": 64,
        "map_combine": "product",
    }
    assert parse_overrides("") == {}
    with pytest.raises(ValueError, match=r"'oce_with' is not a setting\. Did you mean 'oce_width'"):
        parse_overrides("oce_with=64")
    with pytest.raises(ValueError, match="epochs is given twice in overrides"):
        parse_overrides("epochs=1 epochs=2")
    with pytest.raises(ValueError, match="'oce_width' is not of the form name=value"):
        parse_overrides("oce_width")

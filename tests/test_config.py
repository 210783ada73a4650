"""RunConfig: resolved, checked, and two keys that move only when a result can."""

from dataclasses import make_dataclass, replace

import pytest

from rdrepro import config as config_module
from rdrepro.config import (
    EVAL_FIELDS,
    FIELD_NAMES,
    RunConfig,
    eval_key,
    parse,
    parse_overrides,
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
    "eval_every": 5,
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
    monkeypatch.setitem(config_module._TYPES, "new_switch", bool)
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
        ("epochs", 2.0, 2),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("lr", "1e-3", 0.001),
        ("sigma", 0, 0.0),
        ("mff_projection", "true", True),
        ("mff_projection", False, False),
        ("train_layers", "3,2,3", (2, 3)),
        ("map_layers", 3, (3,)),
        ("map_layers", [1, 2], (1, 2)),
    ],
)
def test_values_are_parsed_from_text_and_plain_values(name, text, value):
    parsed = parse(name, text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 1.5, "epochs=1.5 must be a whole number"),
        ("epochs", False, "epochs=False must be a whole number"),
        ("epochs", float("inf"), "epochs=inf must be a whole number"),
        ("lr", "fast", "lr='fast' must be a number"),
        ("lr", float("nan"), "lr=nan must be a number"),
        ("sigma", float("inf"), "sigma=inf must be a number"),
        ("mff_projection", 1, "mff_projection=1 must be True or False"),
        ("backbone", 3, "backbone=3 must be text"),
        ("train_layers", "1,4", "train_layers='1,4' must name layers among 1, 2 and 3"),
        ("epoch", 1, "'epoch' is no setting. Did you mean 'epochs'"),
    ],
)
def test_values_of_another_kind_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        parse(name, value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"category": "botle"}, "category='botle' is none .* Did you mean 'bottle'"),
        ({"image_size": 250}, "not a multiple of 32.* 224 and 256"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"sigma": -1}, "sigma=-1.0 must be at least 0"),
        ({"beta2": 1}, r"beta2=1.0 must lie in \[0, 1\)"),
        ({"lr": 0}, "lr=0.0 must be positive"),
        ({"rotation": 360}, r"rotation=360.0 must lie in \[0, 360\), in degrees"),
        ({"rotation": -90}, r"rotation=-90.0 must lie in \[0, 360\), in degrees"),
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


def test_overrides():
    assert parse_overrides("oce_width=64  map_combine=product") == {
        "oce_width": 64,
        "map_combine": "product",
    }
    assert parse_overrides("") == {}
    with pytest.raises(ValueError, match=r"'oce_with' is no setting\. Did you mean 'oce_width'"):
        parse_overrides("oce_with=64")
    with pytest.raises(ValueError, match="epochs is given twice in overrides"):
        parse_overrides("epochs=1 epochs=2")
    with pytest.raises(ValueError, match="'oce_width' is not of the form name=value"):
        parse_overrides("oce_width")

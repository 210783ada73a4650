"""Presets: what they change, and what a method means where nothing is chosen."""

import pytest

from rdrepro.config import RunConfig
from rdrepro.presets import (
    CHOSEN_CLASSES,
    PRESETS,
    SELECTED,
    mkd_settings,
    preset_settings,
    selection,
)
from rdrepro.runs.configure import configure


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_legal_configuration_that_has_its_settings(name):
    config = configure(PRESETS[name], {}, "float32")
    assert {k: getattr(config, k) for k in PRESETS[name]} == PRESETS[name]


def test_the_papers_preset_is_the_defaults():
    assert configure(preset_settings("paper"), {}, RunConfig.precision) == RunConfig()
    assert preset_settings("official") == preset_settings("paper")


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"preset='quik' is none of auto, .*Did you mean 'quick'"):
        preset_settings("quik")


def test_settings_are_a_copy_that_a_caller_may_change():
    preset_settings("demo")["epochs"] = 1
    assert preset_settings("demo")["epochs"] == PRESETS["demo"]["epochs"] != 1


@pytest.mark.parametrize(("backbone", "channels"), [("resnet18", 100), ("wide_resnet50_2", 550)])
def test_padim_keeps_as_many_channels_as_its_authors_of_such_a_network(backbone, channels):
    chosen = {"method": "padim", "backbone": backbone}
    assert configure({}, chosen, "float32").padim_channels == channels
    assert configure({}, chosen | {"padim_channels": 7}, "float32").padim_channels == 7


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", {"epochs": 51, "normalise": "none"}),
        ("cifar10", {"epochs": 201, "normalise": "imagenet"}),
        ("mvtec", {"epochs": 601, "normalise": "none", "value_weight": 0.5}),
        ("head_ct", {"epochs": 201, "normalise": "none"}),
    ],
)
def test_mkd_means_its_authors_settings_for_each_data_set(dataset, expected):
    settings = mkd_settings({"method": "mkd"}, dataset)
    assert settings == settings | expected
    assert ("value_weight" in settings) == ("value_weight" in expected)


def test_another_methods_preset_decides_all_of_mkd_but_optimiser_and_teacher():
    settings = mkd_settings({"lr": 0.7, "backbone": "resnet18", "epochs": 3}, "mnist")
    assert (settings["lr"], settings["backbone"], settings["epochs"]) == (0.001, "vgg16", 3)
    own = mkd_settings({"method": "mkd", "lr": 0.7}, "mnist")
    assert own["lr"] == 0.7


def test_a_tuned_preset_says_which_classes_it_was_chosen_by():
    assert set(SELECTED) <= set(PRESETS)
    for dataset, number in CHOSEN_CLASSES.items():
        assert selection("novelty_tuned", dataset, number).startswith("this class and two others")
        assert selection("novelty_tuned", dataset, 3).startswith("other classes were used")
        assert f"{dataset} {number}" in selection("novelty_tuned", dataset, 3)
    assert selection("novelty_official", "mnist", 5) is None

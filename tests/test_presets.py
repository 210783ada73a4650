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
    with pytest.raises(ValueError, match=r"preset='quik' is not one of auto, .*mean 'quick'"):
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
        ("mnist", {"epochs": 52, "image_size": 32, "normalise": "none"}),
        ("fashion_mnist", {"epochs": 52, "image_size": 32, "normalise": "none"}),
        ("cifar10", {"epochs": 202, "image_size": 224, "normalise": "imagenet"}),
        (
            "mvtec",
            {"epochs": 602, "image_size": 128, "normalise": "none", "value_weight": 0.5},
        ),
        ("retinal_oct", {"epochs": 202, "image_size": 128, "normalise": "none"}),
        ("head_ct", {"epochs": 202, "image_size": 224, "normalise": "none"}),
        ("brain_mri", {"epochs": 202, "image_size": 224, "normalise": "none"}),
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


@pytest.mark.parametrize(
    ("preset", "chosen", "size"),
    [
        ({"method": "mkd"}, {"image_size": 96}, 96),  # the user's choice
        (PRESETS["mkd"], {"dataset": "mvtec"}, 128),
        (PRESETS["mkd"], {"dataset": "head_ct"}, 224),
        (PRESETS["paper"], {"method": "mkd"}, 128),
        (PRESETS["extension"], {"method": "mkd"}, 224),  # a size that another preset has
        (PRESETS["novelty_official"], {"method": "mkd", "dataset": "cifar10"}, 32),
    ],
)
def test_mkds_image_size_gives_way_to_every_choice(preset, chosen, size):
    assert configure(preset, chosen, "float32").image_size == size


# Of Masciulli's report: Eqs. 1-2 and 5; Sec. 3.1 (teacher), 3.2 (score) and 4.1.
PRINTED_BY_THE_EXTENSION = {
    "backbone": "wide_resnet50_2",
    "image_size": 224,
    "normalise": "imagenet",
    "teacher_bn": "frozen",
    "loss": "kd",
    "loss_reduction": "pointwise",
    "epochs": 200,
    "lr": 0.005,
    "beta1": 0.5,
    "beta2": 0.99,
    "early_stopping": "none",
    "map_combine": "sum",
    "score": "max",
}


@pytest.mark.parametrize("dataset", ["mvtec", "head_ct", "brain_mri", "retinal_oct"])
def test_the_literal_text_of_the_extension_runs_on_all_of_its_data(dataset):
    config = configure(preset_settings("extension_printed"), {"dataset": dataset}, "float32")
    found = {name: getattr(config, name) for name in PRINTED_BY_THE_EXTENSION}
    assert found == PRINTED_BY_THE_EXTENSION


def test_the_extensions_text_is_the_papers_protocol_but_for_what_it_prints():
    config = configure(preset_settings("extension_printed"), {}, "float32")
    changed = {"image_size": 224, "loss_reduction": "pointwise", "beta2": 0.99}
    assert config == RunConfig(**changed)


@pytest.mark.parametrize(
    "column",
    [{"early_stopping": "train"}, {"loss": "mkd", "score": "mkd_loss"}, {"score": "kd_loss"}],
)
def test_every_column_of_the_extension_is_a_change_of_its_text(column):
    chosen = {"dataset": "head_ct", **column}
    config = configure(preset_settings("extension_printed"), chosen, "float32")
    assert {name: getattr(config, name) for name in column} == column
    if "early_stopping" in column:
        assert (config.patience, config.validation_fraction) == (15, 0.25)


def test_a_tuned_preset_says_which_classes_it_was_chosen_by():
    assert set(SELECTED) <= set(PRESETS)
    for dataset, number in CHOSEN_CLASSES.items():
        assert selection("novelty_tuned", dataset, number).startswith("this class and two others")
        assert selection("novelty_tuned", dataset, 3).startswith("other classes were used")
        assert f"{dataset} {number}" in selection("novelty_tuned", dataset, 3)
    assert selection("novelty_official", "mnist", 5) is None

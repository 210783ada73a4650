"""From what somebody typed to a configuration, without torch."""

import pytest

from rdrepro.config import RunConfig
from rdrepro.presets import PATIENCE, PRESETS, SHARE
from rdrepro.registry import DATASETS
from rdrepro.runs.configure import check_study, configure, separate, set_aside


def configured(preset="demo", **parameters):
    _, chosen = separate(parameters)
    return configure(PRESETS[preset], chosen, "float32")


def test_places_and_settings_are_kept_apart():
    places, chosen = separate(
        {"study": 2024, "epochs": 3, "seed": None, "device": "cpu", "overrides": "sigma=0"}
    )
    assert places == {"study": "2024", "device": "cpu", "keep_maps": False}
    assert chosen == {"epochs": 3, "sigma": 0.0}


def test_what_is_given_beats_the_preset_and_none_is_as_the_preset_says():
    config = configured(epochs=3, seed=0, sigma=0, overrides="score=sum")
    assert (config.epochs, config.seed, config.sigma, config.score) == (3, 0, 0, "sum")
    assert configured(epochs=None).epochs == PRESETS["demo"]["epochs"]


def test_maps_follow_the_trained_layers_and_width_the_backbone():
    assert configured(train_layers="2,3").map_layers == (2, 3)
    assert configured(backbone="wide_resnet50_2").oce_width == 128
    assert configured().oce_width == 64


def test_a_presets_projection_is_left_out_with_a_bottleneck_that_has_no_fusion():
    assert configured("as_printed").mff_projection
    assert not configured("as_printed", bottleneck="oce").mff_projection
    with pytest.raises(ValueError, match="mff_projection=True needs bottleneck="):
        configured("as_printed", bottleneck="oce", mff_projection=True)


def test_weights_are_those_of_the_backbone_and_keep_the_name_that_was_given():
    assert configured().weights == "shipped"
    assert configured(backbone="resnet18").weights == "IMAGENET1K_V1"
    assert configured(backbone="timm/resnet18").weights == "pretrained"
    assert configured(weights="some/file.pth").weights == "some/file.pth"


def test_automatic_precision_is_that_of_the_device():
    assert configure({}, {}, "bfloat16").precision == "bfloat16"
    assert configure({}, {"precision": "auto"}, "bfloat16").precision == "bfloat16"
    assert configure({}, {"precision": "float32"}, "bfloat16").precision == "float32"


@pytest.mark.parametrize(
    ("dataset", "normalise"),
    [("mnist", "none"), ("fashion_mnist", "none"), ("cifar10", "imagenet")],
)
def test_the_official_preset_has_each_loaders_own_normalisation(dataset, normalise):
    given = {"preset": "novelty_official", "dataset": dataset}
    config = configured(**given, normal_class=5)
    assert (config.normalise, config.score, config.image_size) == (normalise, "sum", 32)
    assert (config.category, config.sigma) == (DATASETS[dataset].categories[5], 4)
    other = "imagenet" if normalise == "none" else "none"
    assert configured(**given, normalise=other).normalise == other


def test_a_medical_run_has_its_first_split_and_fold():
    config = configured("medical")
    assert (config.category, config.split, config.fold) == ("normal", "blocks", 0)
    config = configured("medical", dataset="retinal_oct", split="official")
    assert (config.split, config.fold) == ("official", None)


def test_early_stopping_has_the_extensions_patience_and_share():
    stopped = configured(early_stopping="train")
    assert (stopped.patience, stopped.validation_fraction) == (PATIENCE, SHARE)
    leaky = configured("medical", early_stopping="leaky", patience=3)
    assert (leaky.patience, leaky.validation_fraction) == (3, 0)
    assert configured().patience is None


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_fields_of_other_methods_keep_their_defaults(method):
    config = configured("extension", method=method)
    assert (config.epochs, config.map_combine) == (RunConfig.epochs, RunConfig.map_combine)
    assert config.image_size == PRESETS["extension"]["image_size"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"categroy": "wood"}, "'categroy' is not a parameter. Did you mean 'category'"),
        ({"category": "woood"}, "category='woood' is not one of .* Did you mean 'wood'"),
        ({"study": "a" * 65}, "must be a folder's name: up to 64"),
        ({"study": "../x"}, "study='../x' must be a folder's name"),
        ({"study": False}, "study=False must be text"),
        ({"device": ""}, "device='' is empty; leave it out"),
        ({"keep_maps": 1}, "keep_maps=1 must be True or False"),
        ({"epochs": 2, "overrides": "epochs=3"}, "epochs is given twice"),
        ({"oce_width": 128}, "oce_width=128 does not fit backbone='efficientnet_lite0'"),
        ({"method": "padin"}, "method='padin' is not reverse_distillation, padim, spade or mkd"),
        ({"method": "padim", "epochs": 3}, "epochs has no meaning with method='padim'"),
        ({"neighbours": 3}, "neighbours has no meaning with method='reverse_distillation'"),
        ({"dataset": "mnistt"}, "dataset='mnistt' is not .* Did you mean 'mnist'"),
        ({"method": "PaDiM"}, "method='PaDiM' is not .* Did you mean 'padim'"),
        ({"category": "Wood"}, "category='Wood' is not one of .* Did you mean 'wood'"),
        ({"backbone": "wrn50"}, "not torchvision's name. Did you mean 'wide_resnet50_2'"),
        ({"backbone": "WRN-101-2"}, "Did you mean 'wide_resnet101_2'"),
        ({"backbone": "wideresnet50"}, "Did you mean 'wide_resnet50_2'"),
        ({"overrides": "lr=1000"}, "lr=1000 is too high: .*; use 1 or less"),
        ({"category": "all"}, "category='all' names several, .* `make study TABLE=table1`"),
        ({"category": "bottle,wood"}, "category='bottle,wood' names several, but a run has one"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given, message):
    with pytest.raises(ValueError, match=message) as error:
        configured(**given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("preset", "given", "message"),
    [
        ("paper", {"data_seed": 2}, "data_seed=2 has no meaning with dataset='mvtec'"),
        ("paper", {"overrides": "data_seed=2"}, "data_seed=2 has no meaning with"),
        ("novelty_demo", {"data_seed": 2}, "data_seed=2 has no meaning with dataset='digits'"),
        (
            "medical",
            {"dataset": "retinal_oct", "split": "official", "data_seed": 2},
            "data_seed=2 has no meaning with dataset='retinal_oct' and split='official'",
        ),
        ("medical", {"mask_threshold": 0}, "mask_threshold=0.0 has no meaning with dataset='head"),
        ("novelty_demo", {"label_source": "mask"}, "label_source='mask' has no meaning with"),
        (
            "paper",
            {"bottleneck": "pretrained", "oce_width": "64"},
            "oce_width=64 has no meaning with bottleneck='pretrained'",
        ),
    ],
)
def test_what_was_chosen_without_a_meaning_is_refused_in_one_sentence(preset, given, message):
    with pytest.raises(ValueError, match=f"^{message}.*; leave it out$"):
        configured(preset, **given)


@pytest.mark.parametrize(
    ("preset", "given"),
    [
        ("paper", {"data_seed": 1}),
        ("paper", {"method": "padim", "batch_size": 16}),
        ("paper", {"bottleneck": "pretrained", "oce_width": 128}),
        ("demo", {"data_seed": 2}),
        ("medical", {"data_seed": 2}),
        ("medical", {"dataset": "retinal_oct", "data_seed": 2}),
        ("demo", {"method": "padim", "seed": 3}),
    ],
)
def test_what_has_a_meaning_or_its_usual_value_is_kept(preset, given):
    config = configured(preset, **given)
    assert {name: getattr(config, name) for name in given} == given


def test_a_presets_setting_without_a_meaning_has_its_usual_value():
    wide = configured("extension", bottleneck="pretrained")
    assert wide.oce_width == RunConfig.oce_width != PRESETS["extension"]["oce_width"]
    assert configured("mkd", method="padim", backbone="resnet18").batch_size == 16
    drawn = configure({"dataset": "mvtec", "data_seed": 2}, {}, "float32")
    assert drawn.data_seed == RunConfig.data_seed


def test_a_memory_banks_batch_size_is_set_aside_with_a_sentence():
    for method in ("padim", "spade"):
        chosen = {"method": method, "batch_size": 32}
        config = configured("paper", **chosen)
        assert config.batch_size == RunConfig.batch_size
        (said,) = set_aside(chosen, config)
        assert said.startswith(f"batch_size=32 has no meaning with method={method!r}; the run has")


def test_spades_seed_is_set_aside_with_a_sentence():
    chosen = {"method": "spade", "seed": "3"}
    config = configured("paper", **chosen)
    assert config.seed == RunConfig.seed
    assert set_aside(chosen, config) == [
        "seed=3 has no meaning with method='spade' and weights='IMAGENET1K_V1'; the run has "
        "seed=111, whatever was given."
    ]
    assert set_aside({"method": "spade", "seed": RunConfig.seed}, config) == []
    for kept in ({"method": "padim"}, {"method": "spade", "weights": "random"}, {}):
        config = configured("paper", **kept, seed=3)
        assert config.seed == 3 and set_aside({**kept, "seed": 3}, config) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"normal_class": 12}, "normal_class=12 is not a class of digits: 0 to 9$"),
        ({"normal_class": True}, "normal_class=True must be a whole number"),
        ({"category": "wood"}, "category='wood' is not '0', that of normal_class"),
        ({"stem": "small"}, "stem='small' is not original or no_maxpool"),
        ({"inlier_categories": 2}, "inlier_categories=2 is not 1, 3 or 5"),
        ({"inlier_categories": 3}, "inlier_categories has no meaning with dataset='digits'"),
        ({"dataset": "caltech256", "split": "validation"}, "split has no meaning with"),
        ({"dataset": "synthetic", "normal_class": 1}, "normal_class has no meaning with"),
        ({"dataset": "synthetic", "split": "validation"}, "'validation' is not official or pasted"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        configured("novelty_demo", **{"dataset": "digits", **given})


def test_a_data_root_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "mvtec.tar.xz"
    file.touch()
    with pytest.raises(ValueError, match=r"data_root=.* is a file; give the folder that holds"):
        separate({"data_root": str(file)})
    assert separate({"data_root": tmp_path})[0]["data_root"] == str(tmp_path)
    assert separate({"data_root": "nowhere"})[0]["data_root"] == "nowhere"  # `resolve` says more


@pytest.mark.parametrize("study", [None, "2024", "small-backbones", "a.b_c-D"])
def test_names_of_folders_are_names_of_studies(study):
    assert check_study(study) == study


@pytest.mark.parametrize("study", ["", ".hidden", "a/b", "a b", "-x"])
def test_other_names_are_no_names_of_studies(study):
    with pytest.raises(ValueError, match="must be a folder's name"):
        check_study(study)

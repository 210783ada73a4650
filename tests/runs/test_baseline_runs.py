"""Settings and whole runs of PaDiM, SPADE and MKD."""

import numpy as np
import pandas as pd
import pytest

import rdrepro as rd
from rdrepro.baselines.mkd import MKD
from rdrepro.data.mvtec import MVTecAD
from rdrepro.runs.cost import measure_cost
from rdrepro.runs.maps import keep_maps_command

SIZE = 64
SMALL = 32  # pixels, of MKD's larger networks
CLONER_PARAMETERS = 343_984  # of MKD: thirteen convolutions, eight batch norms of 16

# ------------------------------------------------------------------ PaDiM and SPADE


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_a_run_of_a_memory_bank_makes_a_row(method, small_mvtec):
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


def test_spade_pools_the_third_layer_where_the_weights_end_there(small_mvtec, resnet_file):
    given = {"preset": "quick", "method": "spade", "category": "bottle"}
    given |= {"data_root": str(small_mvtec), "weights": str(resnet_file)}
    assert rd.resolve(**given).config.pooled_layer == 3
    assert rd.resolve(**given | {"weights": "random"}).config.pooled_layer == 4
    with pytest.raises(ValueError, match=rf"{resnet_file.name} has no layer4"):
        rd.resolve(**given, overrides="pooled_layer=4")
    distilled = {k: v for k, v in given.items() if k != "method"}
    with pytest.raises(ValueError, match=rf"{resnet_file.name} has no layer4"):
        rd.resolve(**distilled, bottleneck="pretrained")


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_a_setting_that_a_memory_bank_does_not_have_is_refused(method):
    with pytest.raises(ValueError, match=f"epochs has no meaning with method='{method}'"):
        rd.resolve(method=method, epochs=3)


def test_padim_keeps_a_hundred_channels_of_small_networks():
    given = {"method": "padim", "weights": "random", "preset": "demo"}
    for backbone, channels in (("resnet34", 100), ("efficientnet_lite0", 100), ("resnet50", 550)):
        assert rd.resolve(**given, backbone=backbone).config.padim_channels == channels


# ------------------------------------------------------------------ MKD


@pytest.fixture
def run_at(small_mvtec):
    """A function from changed settings to a run of MKD of a few seconds."""

    def make(**changes):
        given = {"preset": "mkd", "category": "bottle", "data_root": str(small_mvtec)}
        given |= {"weights": "random", "image_size": SMALL, "epochs": 2, "batch_size": 4}
        return rd.resolve(**given | {"device": "cpu"} | changes)

    return make


def test_a_run_of_mkd_makes_a_row_and_its_cloner_is_found_again(run_at, monkeypatch):
    row = rd.execute(run_at())
    assert row["config"]["method"] == "mkd" and row["config"]["value_weight"] == 0.5
    assert row["counts"]["trainable_parameters"] == CLONER_PARAMETERS
    assert row["history"]["epoch"] == [1, 2] and len(row["history"]["seconds"]) == 2
    assert row["history"]["loss"][1] < row["history"]["loss"][0]
    monkeypatch.setattr(MKD, "fit", None)  # nothing may be trained now
    again = rd.execute(run_at())
    assert again["provenance"]["student_reused"]
    assert again["scores"] == row["scores"] and again["metrics"] == row["metrics"]
    rescored = rd.execute(run_at(overrides="sigma=1"))
    assert rescored["scores"] == row["scores"] and rescored["metrics"] != row["metrics"]


def test_the_cost_of_mkd_is_that_of_teacher_cloner_and_map(run_at, monkeypatch):
    monkeypatch.setattr("rdrepro.runs.cost.TIMED", 2)
    run = run_at(epochs=1)
    model = rd.build_model(run.config, run.weights)
    cost = measure_cost(model, run.dataset("test"), run.config)
    assert cost["trained_mib"] == pytest.approx(4 * CLONER_PARAMETERS / 2**20, abs=1e-3)
    assert {"teacher_seconds", "student_seconds", "map_seconds"} <= set(cost)
    assert not {"bank_mib", "checkpoint_mib", "search_seconds"} & set(cost)


class WithoutMasks(MVTecAD):
    """A data set whose defects have no place."""

    def __getitem__(self, index):
        return {k: v for k, v in super().__getitem__(index).items() if k != "gt_mask"}


def test_the_notebooks_steps_run_with_masks_and_without(run_at):
    run, started = run_at(), rd.now()
    trained = rd.train(run, run.dataset("train"))
    assert trained.seconds == trained.history["seconds"].sum() > 0
    figure, ax = rd.new_figure()
    rd.plot_history(ax, trained.history)
    found = {}
    for kind in (MVTecAD, WithoutMasks):
        data = kind(run.data_root, "bottle", "test", SMALL)
        predictions = rd.predict(trained.model, data, run.config)
        found[kind] = rd.evaluate(predictions)
        row = rd.make_row(run, trained, predictions, found[kind], started)
        assert "Row valid" in rd.check_run(row, predictions, [figure], expected=1)
        assert len(rd.compared_with_paper(found[kind], run)) == len(found[kind])
    assert "pixel_auroc" in found[MVTecAD] and "pixel_auroc" not in found[WithoutMasks]
    assert found[MVTecAD]["image_auroc"] == found[WithoutMasks]["image_auroc"]
    saved = rd.save_row(row, run.rows_dir)
    rd.save_maps(predictions, saved)
    kept = rd.load_maps(saved).maps  # float16, whose range gradients must not leave
    np.testing.assert_allclose(kept, predictions.maps, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("settings", ["", "epochs=200 normalise=imagenet value_weight=0.01"])
def test_the_command_that_makes_maps_resolves_to_the_same_run(settings, small_mvtec):
    given = {"preset": "paper", "category": "bottle", "data_root": str(small_mvtec)}
    run = rd.resolve(**given, method="mkd", weights="random", overrides=settings)
    row = pd.Series(vars(run.config) | {"provenance.preset": "paper", "provenance.study": None})
    command = keep_maps_command(row)
    overrides = command.split("overrides '")[1].split("'")[0]
    assert rd.resolve(**given, overrides=overrides).config == run.config


def resolved(**given):
    return rd.resolve(weights="random", device="cpu", **given).config


def test_mkds_settings_are_its_authors_where_nothing_is_given(small_mvtec):
    where = {"data_root": str(small_mvtec), "category": "bottle"}
    for config in (
        resolved(method="mkd", preset="paper", **where),
        resolved(preset="mkd", **where),
    ):
        found = (config.method, config.backbone, config.lr, config.beta1, config.beta2)
        assert found == ("mkd", "vgg16", 0.001, 0.9, 0.999)
        found = (config.batch_size, config.epochs, config.value_weight, config.normalise)
        assert found == (64, 602, 0.5, "none")
    assert resolved(preset="mkd", **where).image_size == 128
    assert resolved(preset="mkd", lr=0.1, overrides="beta1=0.5", **where).lr == 0.1
    quick = resolved(preset="quick", method="mkd", **where)
    assert (quick.epochs, quick.backbone) == (rd.PRESETS["quick"]["epochs"], "vgg16")
    digits = resolved(preset="mkd", dataset="digits")
    assert (digits.epochs, digits.value_weight) == (202, 0.01)


@pytest.mark.parametrize(
    ("dataset", "epochs", "normalise"), [("mnist", 52, "none"), ("cifar10", 202, "imagenet")]
)
def test_mkds_epochs_and_input_are_the_data_sets(dataset, epochs, normalise):
    config = resolved(method="mkd", preset="mkd", dataset=dataset)
    found = (config.epochs, config.normalise, config.value_weight)
    assert found == (epochs, normalise, 0.01)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backbone": "resnet18"}, "backbone='resnet18' does not fit method='mkd'.* use .*vgg16"),
        (
            {"method": "padim", "backbone": "vgg16"},
            "backbone='vgg16' is the teacher of method='mkd'",
        ),
        (
            {"method": "reverse_distillation", "backbone": "vgg16"},
            "alone, not of 'reverse_distillation'; use another backbone",
        ),
        ({"loss": "mkd"}, "loss has no meaning with method='mkd'; leave it out"),
        ({"score": "sum"}, "score has no meaning with method='mkd'"),
        ({"overrides": "stem=no_maxpool"}, "stem has no meaning with method='mkd'"),
        ({"overrides": "neighbours=3"}, "neighbours has no meaning with method='mkd'"),
        ({"method": "padim", "overrides": "value_weight=1"}, "value_weight has no meaning with"),
        ({"weights": "IMAGENET"}, "vgg16 has no weights of that name; use IMAGENET1K_V1"),
    ],
)
def test_settings_that_do_not_fit_mkd_are_refused_in_a_sentence(given, message):
    with pytest.raises(ValueError, match=message) as error:
        rd.resolve(**{"preset": "demo", "method": "mkd", "weights": "random"} | given)
    assert "\n" not in str(error.value)

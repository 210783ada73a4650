"""The extension's Table 3: its columns as presets, folds of the notebook, stopping curves."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from builders import scores_of

import rdrepro as rd
from rdrepro.presets import preset_settings
from rdrepro.registry import FOLDS
from rdrepro.runs.configure import configure
from rdrepro.study import medical
from rdrepro.training import VALIDATION

# ------------------------------------------------------------------ the notebook's folds


@pytest.fixture
def without_data(tmp_path, monkeypatch):
    """A notebook's parameters where neither data nor kagglehub are at hand."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # not installed
    monkeypatch.setattr("rdrepro.paths.data_dir", lambda: tmp_path / "none")
    return {"results_dir": str(tmp_path)}


def test_without_data_the_notebook_runs_all_folds_of_the_drawn_scans(without_data):
    runs = medical.resolve_folds(without_data | {"fold": -1})
    assert list(runs) == [f"fold {n}" for n in range(FOLDS)]
    first = runs["fold 0"]
    assert first.preset == "medical_demo" and "show no patient" in first.banner
    assert len(medical.resolve_folds(without_data | {"fold": "all"})) == FOLDS


def test_the_notebook_runs_one_fold_or_one_draw_where_it_is_named(without_data):
    assert list(medical.resolve_folds(without_data | {"fold": 3})) == ["fold 3"]
    drawn = medical.resolve_folds(without_data | {"split": "report", "fold": 2})
    assert list(drawn) == ["draw 2"]
    with pytest.raises(ValueError, match="give fold as a parameter"):
        medical.resolve_folds(without_data | {"overrides": "fold=2"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset": "mvtec"}, "'mvtec' is not head_ct, brain_mri, retinal_oct or scans"),
        ({"preset": "demo"}, "preset='demo' is of dataset=synthetic; .* preset='medical_demo'"),
        ({"early_stopping": True}, "early_stopping=True must be text: none, train or leaky"),
    ],
)
def test_parameters_that_do_not_fit_the_notebook_are_refused(given, message, without_data):
    with pytest.raises(ValueError, match=message):
        medical.resolve_folds(without_data | {"fold": -1} | given)


def test_a_data_root_without_data_is_an_error_and_no_reason_to_run_scans(without_data, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"head_ct .* is not in"):  # before any weights
        medical.resolve_folds(without_data | {"data_root": str(tmp_path)})


# ------------------------------------------------------------------ tables of one run


def made_outcome(value, scores):
    counts = {"test_normal": 3, "test_anomalous": 2}
    row = {"metrics": {"image_auroc": value}, "counts": counts, "scores": scores}
    return SimpleNamespace(row=row | {"history": {"epoch": [1, 2], "loss": [2.0, 1.0]}})


def test_the_mean_of_folds_is_their_mean_and_one_fold_has_none():
    folds = [
        scores_of([0, 1, 2], [2.5, 1.5], 3 * k) | {"score": [*range(k), *range(5 - k)]}
        for k in range(3)
    ]
    values = (0.9, 0.6, 0.75)
    outcomes = {
        f"fold {n}": made_outcome(value, scores)
        for n, (value, scores) in enumerate(zip(values, folds, strict=True))
    }
    table = medical.folds_table(outcomes)
    assert table.loc["mean of folds", "image AUROC"] == pytest.approx(75)
    assert list(medical.folds_table({"fold 1": outcomes["fold 1"]}).index) == ["fold 1"]


@pytest.mark.parametrize(
    ("history", "epoch"),
    [
        ({"epoch": [1, 2, 3], "loss": [3, 1, 2]}, 3),  # the last one counts
        ({"epoch": [1, 2, 3], "loss": [3, 2, 1], "validation_loss": [2, 1, 4]}, 2),
        ({"epoch": [], "loss": []}, 0),
    ],
)
def test_the_epoch_that_counts(history, epoch):
    assert medical.best_epoch(history) == epoch


# ------------------------------------------------------------------ readings and printed values


def configured(dataset, how):
    """The configuration of a reading of Table 3, without its data and weights."""
    given = {name: value for name, value in how.items() if name != "preset"}
    chosen = {"dataset": dataset, "weights": "random"} | given
    return configure(preset_settings(how["preset"]), chosen, "float32")


def test_every_printed_column_has_readings_that_can_run():
    printed = medical.printed_columns("head_ct")
    assert list(medical.READINGS) == list(printed["column"])
    for dataset in ("head_ct", "brain_mri"):
        for readings in medical.READINGS.values():
            for how in readings.values():
                config = configured(dataset, how)
                assert (config.dataset, config.image_size) == (dataset, 224)


def test_both_readings_of_a_column_have_a_variant():
    for column in ("Ours+L_MKD", "Ours+L_MKD AS"):
        readings = medical.READINGS[column].values()
        stopped = {configured("head_ct", how).early_stopping for how in readings}
        assert stopped == {"none", "train"}
    scored = medical.READINGS["Ours+L_MKD AS"].values()
    assert {configured("head_ct", how).score for how in scored} == {"kd_loss", "mkd_loss"}


@pytest.mark.parametrize(
    ("dataset", "column", "low", "high"),
    [
        ("head_ct", "Ours+L_MKD", 67.8, 93.6),
        ("brain_mri", "MKD", 81.2, 98.7),
        ("retinal_oct", "Ours", np.nan, np.nan),  # the counts are not printed
    ],
)
def test_printed_values_have_the_score_interval_at_their_counts(dataset, column, low, high):
    line = medical.printed_columns(dataset).set_index("column").loc[column]
    assert [line["low"], line["high"]] == pytest.approx([low, high], abs=0.05, nan_ok=True)


# ------------------------------------------------------------------ stopping curves


@pytest.fixture
def scans(tmp_path):
    """A function from changed settings to a run on the drawn scans."""

    def resolve(**changes):
        given = {"dataset": "scans", "image_size": 32, "results_dir": str(tmp_path)}
        return rd.resolve(**given | changes)

    return resolve


@pytest.mark.parametrize(
    ("method", "own"), [("padim", {"padim_channels": 9}), ("spade", {"neighbours": 5})]
)
def test_a_method_without_early_stopping_is_drawn_alone(method, own, scans):
    histories = medical.stopping_histories(scans(method=method, **own))
    (name,) = histories
    assert name.lower() == method
    _, ax = rd.new_figure()
    rd.plot_stopping(ax, histories[name], name)
    assert "trains nothing" in ax.texts[0].get_text()


def test_curves_with_and_without_stopping_share_an_axis_that_shows_them(scans):
    histories = medical.stopping_histories(scans(epochs=2))
    assert list(histories) == ["without early stopping", "early stopping (train)"]
    assert VALIDATION in histories["early stopping (train)"]
    assert VALIDATION not in histories["without early stopping"]
    _, ax = rd.new_figure()
    for name, history in histories.items():
        rd.plot_stopping(ax, history.assign(**{VALIDATION: 1e6}), name)
    low, high = ax.get_ylim()
    losses = pd.concat(histories.values())["loss"]
    assert low < losses.min() and high == pytest.approx(2 * losses.max())

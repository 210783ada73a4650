"""A method of one's own goes all the way from its name to a table."""

import pandas as pd
import pytest
import torch

import rdrepro as rd
from rdrepro.config import METHODS
from rdrepro.detector import Detector
from rdrepro.methods import DETECTORS, register
from rdrepro.runs.checks import check_run
from rdrepro.study.one_run import compared_with_paper
from rdrepro.study.tables import beside_table, row_table
from rdrepro.training import HISTORY


@pytest.fixture
def far_from_mean():
    """A detector that measures how far each pixel is from the mean of the training images."""
    detectors, methods = dict(DETECTORS), list(METHODS)

    @register("far_from_mean")
    class FarFromMean(Detector):
        @classmethod
        def build(cls, config, weights):
            return cls()

        def fit(self, data, config, device="cpu", look=None, validation=None):
            self.mean = torch.stack([item["image"] for item in data]).mean(dim=0)
            return pd.DataFrame(columns=HISTORY, dtype=float)

        def stages(self, config, size):
            return {"map": self.score}

        def score(self, images):
            maps = (images - self.mean).abs().mean(dim=1)
            return maps, maps.amax(dim=(1, 2))

    yield FarFromMean
    DETECTORS.clear()
    DETECTORS.update(detectors)
    METHODS[:] = methods


@pytest.fixture
def run(far_from_mean, small_mvtec):
    given = {"method": "far_from_mean", "data_root": str(small_mvtec), "category": "bottle"}
    return rd.resolve(**given, preset="quick", weights="random", image_size=64, study="own")


def test_a_name_is_registered_once_and_only_for_a_detector(far_from_mean):
    for taken in ("", "padim", "far_from_mean"):
        with pytest.raises(ValueError, match="is taken or empty"):
            register(taken)(far_from_mean)
    with pytest.raises(TypeError, match="is not a Detector"):
        register("something")(dict)


def test_every_method_of_the_configuration_has_a_detector():
    assert list(DETECTORS) == METHODS


def test_a_registered_method_runs_from_its_name_to_a_table(run, far_from_mean):
    outcome = rd.carry_out(run, timed=True)
    row = outcome.row
    assert row["config"]["method"] == "far_from_mean" and row["status"] == "complete"
    assert row["counts"]["trainable_parameters"] == 0 and outcome.history.empty
    check_run(row, outcome.predictions, [], 0)
    train = torch.stack([item["image"] for item in run.dataset("train")])
    first = run.dataset("test")[0]["image"]
    expected = (first - train.mean(dim=0)).abs().mean(dim=0)
    torch.testing.assert_close(torch.from_numpy(outcome.predictions.maps[0]), expected)

    rd.save_row(row, run.rows_dir)
    runs = rd.load_runs(run.results_dir / "runs")
    assert runs["method"].tolist() == ["far_from_mean"] and runs["study"].tolist() == ["own"]
    shown = row_table(runs.iloc[0])
    assert shown.loc["image_auroc", "%"] == round(100 * row["metrics"]["image_auroc"], 1)


def test_its_rows_on_real_data_have_lines_of_their_own_without_printed_numbers(run):
    row = rd.execute(run)
    row["provenance"]["dirty"] = False
    rd.save_row(row, run.rows_dir)
    table = beside_table(rd.load_runs(run.results_dir / "runs"), "own")
    assert len(table) == 3 and set(table["study"]) == {"own"}
    assert table["printed"].isna().all()
    assert list(compared_with_paper(row["metrics"], run)) == ["ours (%)"]


def test_it_may_have_only_the_fields_of_all_methods(far_from_mean, small_mvtec):
    with pytest.raises(ValueError, match="epochs has no meaning with method='far_from_mean'"):
        rd.resolve(preset="demo", method="far_from_mean", epochs=3)


def test_after_its_registration_is_undone_it_is_unknown():
    assert "far_from_mean" not in DETECTORS and "far_from_mean" not in METHODS
    with pytest.raises(ValueError, match="method='far_from_mean' is not reverse_distillation, "):
        rd.resolve(preset="demo", method="far_from_mean")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_by_name_has_a_detector(method):
    assert issubclass(DETECTORS[method], Detector)

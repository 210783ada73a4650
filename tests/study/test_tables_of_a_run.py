"""The tables of one run: its metrics beside the printed ones, and what it changes."""

from dataclasses import replace

import pytest
from builders import make_row

import rdrepro as rd
from rdrepro.study import tables

METRICS = {"image_auroc": 0.95, "pixel_auroc": 0.9123, "pixel_aupro_official": 0.8}


@pytest.fixture
def run(small_mvtec):
    """A resolved run of two epochs on a real category, at the paper's resolution."""
    settings = {"preset": "quick", "backbone": "efficientnet_lite0", "epochs": 2}
    return rd.resolve(data_root=str(small_mvtec), category="bottle", **settings)


def test_a_real_category_has_its_printed_numbers_beside_it(run):
    table = rd.beside_print(METRICS, run)
    assert table["paper (%)"].dropna().to_dict() == {
        "image_auroc": 100.0,
        "pixel_auroc": 98.7,
        "pixel_aupro_official": 96.6,
    }
    assert table.loc["pixel_auroc", "difference"] == pytest.approx(91.23 - 98.7, abs=0.051)


def test_the_settings_that_leave_the_papers_protocol_are_listed(run):
    table = rd.protocol_table(run)
    assert table.loc["epochs"].tolist() == ["2", "200"]
    assert "category" not in table.index and "sigma" not in table.index


def test_another_resolution_has_no_printed_number(run):
    smaller = replace(run, config=replace(run.config, image_size=64))
    assert list(rd.beside_print(METRICS, smaller)) == ["ours (%)"]


def test_embedded_data_have_no_printed_number():
    run = rd.resolve(preset="demo", category="bottle")
    assert list(rd.beside_print({"image_auroc": 0.9}, run)) == ["ours (%)"]


def test_the_latest_row_is_the_demos_and_not_that_of_a_digit(monkeypatch, tmp_path):
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make demo"):
        tables.latest_row()
    demo = make_row(dataset="synthetic", metrics=METRICS)
    digits = {"dataset": "digits", "category": "3", "normal_class": 3, "score": "sum"}
    later = {"finished": "2026-01-02T00:00:00+00:00"}
    rd.save_row(demo, tmp_path / "scratch")
    digit = make_row(**digits, metrics={"image_auroc": 0.123}, provenance=later)
    rd.save_row(digit, tmp_path / "scratch")  # 03_novelty's rows lie in the same folder
    assert tables.latest_row().loc["image_auroc", "%"] == 95.0

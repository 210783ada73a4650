"""The tables of one run: its metrics next to the printed ones, and what each metric means."""

import html
import re
from dataclasses import replace

import pandas as pd
import pytest
from builders import make_row

import rdrepro as rd
from rdrepro.metric_names import METRICS as ALL
from rdrepro.study import tables
from rdrepro.study.one_run import meanings

METRICS = {"image_auroc": 0.95, "pixel_auroc": 0.9123, "pixel_aupro_official": 0.8}


def cells(shown):
    """The cells of each line of an HTML table, by the first one."""
    found = {}
    for line in re.findall(r"<tr.*?</tr>", shown, re.DOTALL):
        first, *rest = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)
        found[first] = [html.unescape(cell) for cell in rest]
    return found


@pytest.fixture
def run(small_mvtec):
    """A resolved run of two epochs on a real category, at the paper's resolution."""
    settings = {"preset": "quick", "backbone": "efficientnet_lite0", "epochs": 2}
    return rd.resolve(data_root=str(small_mvtec), category="bottle", **settings)


def test_a_real_category_has_its_printed_numbers_beside_it(run):
    table = rd.compared_with_paper(METRICS, run)
    assert table["paper (%)"].dropna().to_dict() == {
        "image_auroc": 100.0,
        "pixel_auroc": 98.7,
        "pixel_aupro_official": 96.6,
    }
    assert table.loc["pixel_auroc", "difference"] == pytest.approx(91.23 - 98.7, abs=0.051)


def test_another_resolution_has_no_printed_number(run):
    smaller = replace(run, config=replace(run.config, image_size=64))
    assert list(rd.compared_with_paper(METRICS, smaller)) == ["ours (%)"]


def test_embedded_data_have_no_printed_number():
    run = rd.resolve(preset="demo", category="bottle")
    assert list(rd.compared_with_paper({"image_auroc": 0.9}, run)) == ["ours (%)"]


def test_every_metric_has_a_sentence_that_says_what_it_measures():
    found = meanings(metric.title for metric in ALL)
    assert {metric.title for metric in ALL} | {"AUROC"} == set(found)
    assert meanings(["image AP", "category"]).keys() == {"image AP"}  # without AUROC


def test_the_metrics_of_a_run_are_shown_with_what_they_measure(run):
    shown = rd.metrics_table({**METRICS, "image_ap": 0.75}, run).data
    lines = cells(shown)
    assert lines["pixel AUROC"][:3] == ["91.2", "98.7", "-7.5"]
    assert lines["image AP"][:3] == ["75.0", "-", "-"]
    assert lines["image AP"][3] == meanings(["image AP"])["image AP"]


def test_a_missing_value_is_a_dash_and_metrics_are_explained_below():
    table = pd.DataFrame({"PRO": [90.04, None], "minutes": [1.0, 2.0]}, index=["a", "b"])
    shown = rd.show_table(table, "Two runs.").data
    assert cells(shown)["a"] == ["90.0", "1.0"] and cells(shown)["b"] == ["-", "2.0"]
    assert shown.count("<li>") == 1 and "<li>PRO: " in shown
    assert "<li>" not in rd.show_table(table[["minutes"]], "Two runs.").data
    nowhere = rd.show_table(table.assign(printed=None), "Two runs.").data
    assert nowhere == shown  # a column without any value is left out
    assert "Nothing ran." in rd.show_table(table[:0], "No runs", empty="Nothing ran.").data


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

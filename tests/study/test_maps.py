"""Anomaly maps of committed rows: a figure for every row, and none of another result."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch
from builders import make_row
from PIL import Image

import rdrepro as rd
from rdrepro.study import maps_of_rows
from rdrepro.study.maps_of_rows import (
    draw_row,
    draw_rows,
    extremes,
    figure_file,
    files_named,
    is_drawn,
    row_files,
)
from rdrepro.study.report.pictures import map_gallery

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


@pytest.fixture(autouse=True)
def without_a_screen():
    """No test opens a window."""
    matplotlib.use("Agg")


def test_every_embedded_row_has_a_figure_and_every_figure_has_a_row():
    rows = {file.stem for file in (RESULTS / "runs" / maps_of_rows.STUDY).glob("*.json")}
    files = sorted((RESULTS / "figures" / "maps").glob("*"))
    assert {file.stem for file in files} == rows and len(files) == len(rows) == 15
    for file in files:
        assert file.suffix == ".png" and file.stat().st_size < 400_000
        with Image.open(file) as picture:
            assert picture.width == 1035  # a page of a paper at 150 dots an inch


def test_every_committed_figure_shows_the_result_of_its_row(monkeypatch):
    monkeypatch.setenv("RDREPRO_RESULTS", str(RESULTS))
    assert [file.name for file in row_files() if not is_drawn(file)] == []


def outcome(row):
    """A finished run with two kinds of defect, as `repeat` gives it."""
    masks = np.zeros((3, 16, 16), bool)
    masks[1:, 4:8, 4:8] = True
    maps = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    names, kinds = ["good/0.png", "bent/0.png", "cut/0.png"], ["good", "bent", "cut"]
    labels = np.array([0, 1, 1])
    p = rd.Predictions(maps, maps.max((1, 2)), masks, labels, kinds, names, "abc", 1.0)
    data = [
        {"image": torch.rand(3, 16, 16), "gt_mask": torch.tensor(mask), "path": name}
        for mask, name in zip(masks, names, strict=True)
    ]
    return SimpleNamespace(run=SimpleNamespace(dataset=lambda _: data), predictions=p, row=row)


@pytest.fixture
def file(tmp_path):
    """A committed row of the study."""
    return rd.save_row(make_row(), tmp_path / "results" / "runs" / maps_of_rows.STUDY)


def test_the_maps_of_a_row_are_drawn_under_its_name(file):
    places = []

    def repeated(row, results):
        places.append(results)
        return outcome(row)

    assert draw_row(file, repeated) == "The result is the same, to the bit."
    target = figure_file(file)
    assert target.name == f"{file.stem}.png" and target.is_file()
    assert [f.name for f in target.parent.iterdir()] == [target.name]
    assert row_files() == [file]
    assert "scratch" in places[0]
    assert is_drawn(file)


def test_another_result_is_not_drawn_under_the_name_of_the_row(file):
    def repeated(row, results):
        metrics = row["metrics"] | {"image_auroc": row["metrics"]["image_auroc"] - 0.02}
        return outcome(row | {"metrics": metrics})

    with pytest.raises(ValueError, match="this is a different result"):
        draw_row(file, repeated)
    assert not figure_file(file).exists()


def same(row, results):
    """A repetition with the same result."""
    return outcome(row)


def change(file):
    """Write another result into a row."""
    row = json.loads(file.read_text())
    row["metrics"]["image_auroc"] -= 0.02
    file.write_text(json.dumps(row))


def test_figures_that_exist_are_left_alone_unless_asked(file, monkeypatch, capsys):
    draw_row(file, same)
    drawn = []
    monkeypatch.setattr(maps_of_rows, "draw_row", lambda file: drawn.append(file) or "the same")
    assert draw_rows([file]) == {} and drawn == []
    assert capsys.readouterr() == ("", "")
    assert draw_rows([file], again=True) == {} and drawn == [file]


def test_a_figure_of_an_earlier_result_is_drawn_anew(file, monkeypatch):
    draw_row(file, same)
    change(file)
    assert not is_drawn(file)
    monkeypatch.setattr(maps_of_rows, "draw_row", lambda file: draw_row(file, same))
    assert draw_rows([file]) == {} and is_drawn(file)


@pytest.mark.parametrize("changed", [True, False])
def test_only_a_figure_of_an_earlier_result_is_removed_if_drawing_fails(file, monkeypatch, changed):
    def failing(file):
        raise ValueError("this is a different result.")

    draw_row(file, same)
    if changed:
        change(file)
    monkeypatch.setattr(maps_of_rows, "draw_row", failing)
    assert draw_rows([file], again=True) == {file.name: "this is a different result."}
    assert figure_file(file).exists() != changed


def test_a_file_that_is_no_picture_is_no_figure(file):
    figure_file(file).parent.mkdir(parents=True)
    figure_file(file).write_bytes(b"")
    assert not is_drawn(file)


def test_rows_are_named_by_how_their_files_begin(file):
    assert files_named([]) == files_named(["bottle"]) == [file]
    with pytest.raises(ValueError, match="no row's name begins with 'nosuch'; the rows are bottle"):
        files_named(["bottle", "nosuch"])


def test_the_program_ends_with_1_where_a_figure_is_lacking(file, monkeypatch, capsys):
    program = runpy.run_path(str(ROOT / "benchmarks" / "maps.py"))["main"]
    monkeypatch.setattr(maps_of_rows, "draw_row", lambda file: draw_row(file, same))
    assert program([]) == 0 and program(["bottle"]) == 0

    def failing(file):
        raise FileNotFoundError("no weights")

    monkeypatch.setattr(maps_of_rows, "draw_row", failing)
    assert program(["--again"]) == 1
    assert f"{file.name} was not drawn: no weights" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        program(["nosuch"])
    assert stopped.value.code == 2 and "'nosuch'" in capsys.readouterr().err


def test_the_gallery_has_no_raw_markup(tmp_path):
    assert "<code>make maps</code>" in "".join(part.data for part in map_gallery(tmp_path))
    (tmp_path / "maps").mkdir()
    evil = tmp_path / "maps" / "<img src=x>-net-s1-0123.png"
    evil.write_bytes(b"")
    page = "".join(part.data for part in map_gallery(tmp_path))
    assert "<img src=x" not in page and page.count("<b>&lt;img src=x&gt;</b>") == 1


def test_a_row_that_cannot_be_drawn_is_named_and_the_others_go_on(file, monkeypatch):
    def drawing(each):
        if each == file:
            raise FileNotFoundError("no weights")
        return "the same"

    monkeypatch.setattr(maps_of_rows, "draw_row", drawing)
    other = file.with_name("other.json")
    assert draw_rows([file, other]) == {file.name: "no weights"}


def test_the_picture_shows_the_highest_and_the_lowest_metric(tmp_path):
    values = {"bottle": 0.9, "cable": 0.7, "grid": 0.95, "zipper": 0.7}
    files = []
    for category, value in values.items():
        row = make_row(category=category)
        row["metrics"]["pixel_aupro"] = value
        files.append(rd.save_row(row, tmp_path))
    (best, best_row), (worst, worst_row) = extremes(files, "pixel_aupro")
    assert (best_row["config"]["category"], worst_row["config"]["category"]) == ("grid", "cable")
    assert (best, worst) == (files[2], files[1])


def test_a_later_setting_changes_no_figure_until_it_is_changed(tmp_path):
    file = sorted((RESULTS / "runs" / maps_of_rows.STUDY).glob("*.json"))[0]
    row = json.loads(file.read_text())
    hashes = []
    for config in ({}, {"deterministic": True}, {"deterministic": False}):
        changed = tmp_path / file.name
        changed.write_text(json.dumps(row | {"config": row["config"] | config}))
        hashes.append(maps_of_rows._result_hash(changed))
    assert hashes[0] == hashes[1] != hashes[2]

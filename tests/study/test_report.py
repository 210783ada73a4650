"""The report: what it says with no rows, with misses, and with rows that do not count."""

import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from builders import ROOT, load, make_row
from study_rows import SEEDS, all_classes, as_printed, aurocs, class_row, grid_row

from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import report
from rdrepro.study.novelty import CURVES_STUDY, STUDY
from rdrepro.study.novelty_choice import GRID_STUDY
from rdrepro.study.tables import table1

EMPTY = pd.DataFrame()


def test_without_rows_everything_says_so(tmp_path):
    assert "No rows." in report.row_counts(EMPTY).data
    assert report.misses(EMPTY).empty
    assert set(report.verdicts(EMPTY)) == {"paper", "table", "not run", "not printed"}
    assert report.against_print(EMPTY) == report.deltas(EMPTY) == report.NO_ROWS
    assert report.newest(EMPTY, "embedded", "category") == []
    shown = " ".join(part.data for part in report.printed_tables(EMPTY, tmp_path))
    assert all(caption in shown for caption in report.CAPTIONS.values())
    assert len(list(tmp_path.glob("*.tex"))) == len(report.CAPTIONS)


def test_misses_are_listed_from_the_widest_on(tmp_path):
    made = [
        make_row(category=c, seed=s, metrics=as_printed(c, shift + s / 10))
        for c, shift in (("cable", -5), ("pill", -9), ("wood", 0))
        for s in SEEDS
    ]
    runs = load(made, tmp_path)
    missed = report.misses(runs)
    assert missed["category"].tolist() == ["pill"] * 3 + ["cable"] * 3
    assert set(missed["verdict"]) == {"differs"}
    counts = report.verdicts(runs).set_index(["paper", "table"])
    assert counts.loc[("rd4ad", "1"), ["differs", "reproduced"]].tolist() == [2, 1]


def test_a_table_names_the_rows_that_it_leaves_out(tmp_path):
    made = [make_row(category="cable", provenance={"dirty": dirty}) for dirty in (True, False)]
    shown = [part.data for part in report.printed_tables(load(made, tmp_path), tmp_path / "out")]
    first = next(i for i, html in enumerate(shown) if "<b>Table 2</b>" in html)
    *_, notes, left = shown[:first]
    assert "float32 on cpu" in notes and "not from a clean tree" in left


def test_tiers_are_counted_without_printed_dashes(tmp_path):
    runs = load([make_row(category="bottle")], tmp_path)
    counts = report.tier_counts(runs).set_index(["paper", "table"])
    verdicts = report.verdicts(runs).set_index(["paper", "table"])
    printed = verdicts.drop(columns="not printed").sum(axis=1)
    assert counts.sum(axis=1).to_dict() == printed.to_dict()
    assert counts.loc[("rd4ad", "1"), "printed protocol"] == 1


def test_a_block_without_runs_has_a_verdict_and_a_tier_and_stays_visible(tmp_path):
    runs = load([make_row(category=c) for c in MVTEC_CATEGORIES], tmp_path)
    table = report.compact(table1(runs))
    assert list(table["ours: Ours, 128 px"]) == ["verdict", "tier"]
    assert "delta" in table["ours: Ours, 256 px"]
    assert "metal nut" in table.index


def test_figures_come_from_rows_alone(tmp_path):
    metrics = as_printed("bottle")
    made = load([make_row(category="bottle", seed=s, metrics=metrics) for s in SEEDS], tmp_path)
    figure = report.against_print(made)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[0] == "bottle, 256 px, image AUROC"
    rows = report.newest(made, "made-up", "backbone")
    shown = report.show(report.curves(rows), "curves", tmp_path)
    assert len(shown.axes) == 3
    assert {f.suffix for f in tmp_path.glob("curves.*")} == {".png", ".svg", ".pdf"}


def test_without_kept_maps_the_command_that_makes_them_is_named(tmp_path):
    made = load([make_row(category="bottle")], tmp_path)
    rows = report.newest(made, "made-up", "backbone")
    kept, note = report.kept_maps(rows, tmp_path)
    assert kept == [] and "keep_maps true" in note.data
    assert "Left out" in report.regions(kept)
    ((name, sentence),) = report.overlays(kept, tmp_path)
    assert name == "overlays" and "Left out" in sentence


def test_two_protocols_of_one_backbone_are_two_lines(tmp_path):
    small = {"category": "bottle", "backbone": "resnet18", "oce_width": 64}
    made = [make_row(epochs=e, **small) for e in (20, 40)]
    made.append(make_row(epochs=40, sigma=2.0, **small))
    runs = load(made, tmp_path, "small-backbones")
    labels = report.cells_with_runs(runs)["label"].unique()
    assert "bottle, resnet18, 40 epochs sigma=2" in labels and len(labels) == 3
    assert len(report.deltas(runs).axes[0].get_yticklabels()) == 3


def test_rows_of_changed_files_are_drawn_nowhere(tmp_path):
    made = [make_row(category="bottle", provenance={"dirty": True}), make_row(category="cable")]
    rows = report.newest(load(made, tmp_path), "made-up", "category")
    assert [row["category"] for row in rows] == ["cable"]


def test_the_newest_rows_are_in_the_order_of_the_printed_table(tmp_path):
    made = [make_row(category=c) for c in ("zipper", "carpet", "bottle")]
    made.append(make_row(category="grid", sigma=2.0))  # a variant
    rows = report.newest(load(made, tmp_path), "made-up", "category")
    assert [row["category"] for row in rows] == ["carpet", "bottle", "zipper"]


def test_every_row_has_an_interval_of_its_auroc(tmp_path):
    counts = {"test_normal": 20, "test_anomalous": 30}
    runs = load([make_row(metrics={"image_auroc": 1.0}, counts=counts)], tmp_path)
    line = report.single_intervals([runs.iloc[0]]).iloc[0]
    assert line["image AUROC"] == line["high"] == 100 and 70 < line["low"] < 95


# Table 4 in full


@pytest.fixture
def novelty_runs(tmp_path):
    """Rows of novelty detection: averages, a grid of choices, and two long trainings."""
    load(all_classes("novelty_official", [0.98, 0.99]), tmp_path, STUDY)
    load(all_classes("novelty_tuned", [0.97], sigma=0.0), tmp_path, STUDY)
    grid = [grid_row("mnist", 1, 0.9), grid_row("mnist", 1, 0.95, image_size=64)]
    load(grid, tmp_path, GRID_STUDY)
    history = {"epoch": [1, 2, 3], "loss": [3, 2, 1], "seconds": [1, 1, 1]}
    tested = history | {"image_auroc": [None, 0.9, 0.99]}
    long = [
        class_row(5, seed, epochs=3, metrics=aurocs(0.99), history=one)
        for seed, one in ((1, history), (2, tested))
    ]
    return load(long, tmp_path, CURVES_STUDY)


def test_table_4_in_full_has_three_tables(novelty_runs, tmp_path):
    shown = [part.data for part in report.novelty_tables(novelty_runs, tmp_path / "out", tmp_path)]
    assert len(shown) == 3 and "other classes were used" in shown[0]
    saved = {f.stem for f in (tmp_path / "out").glob("*.csv")}
    assert saved == {"novelty", "novelty_classes", "novelty_grid"}


def test_table_4_in_full_has_figures_of_classes_and_of_long_training(novelty_runs):
    panel = report.novelty_classes(novelty_runs).axes[0]
    assert [len(dots.get_offsets()) for dots in panel.collections] == [20, 10]
    loss, looks = report.novelty_curves(novelty_runs).axes
    assert len(loss.lines) == 2 and looks.lines[0].get_ydata().tolist() == [90, 99]
    assert looks.lines[0].get_label() == "MNIST, 5: +9.0 points from epoch 2 to 3"


def test_without_rows_table_4_in_full_says_so(tmp_path):
    assert all("No rows" in t.data for t in report.novelty_tables(EMPTY, tmp_path, tmp_path))
    assert report.novelty_classes(EMPTY) == report.novelty_curves(EMPTY) == report.NO_NOVELTY


# As HTML


def test_the_report_as_html_needs_no_network(tmp_path):
    notebook = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("stream", text="said")
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# Title\n\n$x$"),
        nbformat.v4.new_code_cell("hidden = 1", outputs=[output]),
    ]
    nbformat.write(notebook, tmp_path / "a.ipynb")
    script = ROOT / "benchmarks" / "write_report.py"
    command = [sys.executable, script, tmp_path / "a.ipynb", tmp_path / "report" / "a.html"]
    subprocess.run(command, check=True)
    html = (tmp_path / "report" / "a.html").read_text()
    assert "said" in html and "hidden = 1" not in html
    addresses = r"""(src|href)=["']?(https?:)?//|(from |import\()["']https?:"""
    assert not re.search(addresses, html)

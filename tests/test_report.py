"""The report: what it says with no rows, with misses, and with rows that do not count."""

import re
import subprocess
import sys

import nbformat
from test_tables import SEEDS, as_printed, both, chosen, classes, grid, novelty, row, runs

import rdrepro as rd
from rdrepro.paths import ROOT
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import report


def test_without_rows_everything_says_so(tmp_path):
    empty = rd.load_runs(tmp_path)
    assert "No rows." in report.row_counts(empty).data
    assert report.misses(empty).empty
    assert set(report.verdicts(empty)) == {"paper", "table", "not run", "not printed"}
    assert report.against_print(empty) == report.deltas(empty) == report.NO_ROWS
    assert report.newest(empty, "embedded", "category") == []
    assert len(list(report.printed_tables(empty, tmp_path))) == len(report.CAPTIONS)
    assert len(list(tmp_path.glob("*.tex"))) == len(report.CAPTIONS)


def test_misses_come_first_and_widest_first(tmp_path):
    made = [row("cable", s, metrics=as_printed("cable", -5 + s / 10)) for s in SEEDS]
    made += [row("pill", s, metrics=as_printed("pill", -9 + s / 10)) for s in SEEDS]
    made += [row("wood", s, metrics=as_printed("wood", s / 100)) for s in SEEDS]
    table = runs(made, tmp_path)
    missed = report.misses(table)
    assert missed["category"].tolist() == ["pill"] * 3 + ["cable"] * 3
    assert set(missed["verdict"]) == {"differs"}
    counts = report.verdicts(table).set_index(["paper", "table"])
    assert counts.loc[("rd4ad", "1"), ["differs", "reproduced"]].tolist() == [2, 1]


def test_a_table_names_the_rows_that_it_leaves_out(tmp_path):
    made = runs([row("cable", 1, dirty=True), row("cable", 1)], tmp_path)
    shown = [part.data for part in report.printed_tables(made, tmp_path)]
    first = next(i for i, html in enumerate(shown) if "<b>Table 1</b>" in html)
    assert "float32 on cpu" in shown[first + 1] and "not from a clean tree" in shown[first + 2]


def test_a_block_without_runs_is_one_column_and_stays_visible(tmp_path):
    made = runs([row(c, 1) for c in MVTEC_CATEGORIES], tmp_path)
    table = report.compact(rd.table1(made))
    assert list(table["ours: Ours, 128 px"]) == ["verdict"]
    assert "delta" in table["ours: Ours, 256 px"]
    assert "metal nut" in table.index


def test_figures_come_from_rows_alone(tmp_path):
    made = runs([row("bottle", s, metrics=as_printed("bottle")) for s in SEEDS], tmp_path)
    figure = report.against_print(made)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[0] == "bottle, 256 px, image AUROC"
    rows = report.newest(made, "made-up", "backbone")
    shown = report.show(report.curves(rows), "curves", tmp_path)
    assert len(shown.axes) == 3
    assert {f.suffix for f in tmp_path.glob("curves.*")} == {".png", ".svg", ".pdf"}
    kept, note = report.kept_maps(rows, tmp_path)
    assert kept == [] and "keep_maps true" in note.data
    assert "Left out" in report.regions(kept)


def test_table_4_in_full_has_tables_and_figures(tmp_path):
    for made in [
        *classes("novelty_official", [0.98, 0.99]),
        *classes("novelty_tuned", [0.97], sigma=0),
    ]:
        rd.save_row(made, tmp_path / "novelty")
    rd.save_row(grid("mnist", 1, 0.9), tmp_path / "novelty-grid")
    rd.save_row(grid("mnist", 1, 0.95, image_size=64), tmp_path / "novelty-grid")
    long = novelty(5, metrics=both(0.99), epochs=3)
    long["history"] = {"epoch": [1, 2, 3], "loss": [3, 2, 1], "seconds": [1, 1, 1]}
    rd.save_row(chosen(long, "novelty_official"), tmp_path / "novelty-curves")
    long["config"]["seed"], long["history"]["image_auroc"] = 2, [None, 0.9, 0.99]
    rd.save_row(chosen(long, "novelty_official"), tmp_path / "novelty-curves")
    table = rd.load_runs(tmp_path)
    shown = [part.data for part in report.novelty_tables(table, tmp_path / "out", tmp_path)]
    assert len(shown) == 3 and "other classes were used" in shown[0]
    assert {f.stem for f in (tmp_path / "out").glob("*.csv")} == {
        "novelty",
        "novelty_classes",
        "novelty_grid",
    }
    panel = report.novelty_classes(table).axes[0]
    assert [len(dots.get_offsets()) for dots in panel.collections] == [20, 10]
    loss, looks = report.novelty_curves(table).axes
    assert len(loss.lines) == 2 and looks.lines[0].get_ydata().tolist() == [90, 99]
    assert looks.lines[0].get_label() == "MNIST, 5: +9.0 points from epoch 2 to 3"


def test_without_rows_table_4_in_full_says_so(tmp_path):
    empty = rd.load_runs(tmp_path)
    assert all("No rows" in t.data for t in report.novelty_tables(empty, tmp_path, tmp_path))
    assert report.novelty_classes(empty) == report.novelty_curves(empty) == report.NO_NOVELTY


def test_two_protocols_of_one_backbone_are_two_lines(tmp_path):
    small = {"backbone": "resnet18", "oce_width": 64}
    made = [row("bottle", 1, epochs=e, **small) for e in (20, 40)]
    made.append(row("bottle", 1, epochs=40, sigma=2, **small))
    for one in made:
        rd.save_row(one, tmp_path / "small-backbones")
    table = rd.load_runs(tmp_path)
    labels = report.cells_with_runs(table)["label"].unique()
    assert "bottle, resnet18, 40 epochs sigma=2" in labels and len(labels) == 3
    assert len(report.deltas(table).axes[0].get_yticklabels()) == 3


def test_rows_of_changed_files_are_drawn_nowhere(tmp_path):
    table = runs([row("bottle", 1, dirty=True), row("cable", 1)], tmp_path)
    assert [r["category"] for r in report.newest(table, "made-up", "category")] == ["cable"]


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

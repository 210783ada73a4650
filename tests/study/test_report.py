"""Notebook 10 of the report: verdicts, misses, printed tables, figures; also without any row."""

from html import escape

import pandas as pd
import pytest
from builders import load, make_row
from study_rows import SEEDS, as_printed

from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study.found import cell_title
from rdrepro.study.glossary import TABLES
from rdrepro.study.report import results, shared

EMPTY = pd.DataFrame()
SMALL = {"category": "bottle", "backbone": "resnet18", "oce_width": 64}


def test_without_rows_everything_says_so(tmp_path):
    assert results.misses(EMPTY).empty
    assert set(results.verdicts(EMPTY)) == {"table", "not run", "not printed"}
    assert results.against_printed(EMPTY) == results.deltas(EMPTY) == results.NO_ROWS
    assert results.newest(EMPTY, "embedded", "category") == []
    kept, note = results.kept_maps([], tmp_path)
    assert kept == [] and "no runs" in note.data


def test_the_results_of_a_named_folder_are_opened(tmp_path, monkeypatch):
    load([make_row(category="bottle")], tmp_path / "named" / "runs")
    folder, runs = shared.open_results(str(tmp_path / "named"))
    assert folder == tmp_path / "named" and runs["category"].tolist() == ["bottle"]
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path / "named"))
    assert len(shared.open_results(None)[1]) == 1


def test_a_table_of_which_nothing_ran_is_one_folded_line(tmp_path):
    shown = [part.data for part in shared.printed_tables(EMPTY, tmp_path)]
    assert len(shown) == 3 and all(html.count("<details>") == 1 for html in shown)
    assert "Table 1: none of 72 values was run at the printed protocol.<" in shown[0]
    captions = [escape(TABLES[name]) for name in ("table1", "table2", "table3")]
    assert all(caption in html for caption, html in zip(captions, shown, strict=True))
    assert {file.stem for file in tmp_path.glob("*.tex")} == {"table1", "table2", "table3"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (SMALL, "The nearest runs follow a reduced protocol."),
        (
            {"dataset": "synthetic", "category": "bottle"},
            "The nearest runs are on embedded images.",
        ),
    ],
    ids=["reduced", "embedded"],
)
def test_a_folded_line_names_the_nearest_tier(tmp_path, row, said):
    runs = load([make_row(**row)], tmp_path)
    first, *_ = shared.printed_tables(runs, tmp_path / "out", numbers="1")
    assert said in first.data


def test_misses_are_listed_from_the_widest_on(tmp_path):
    made = [
        make_row(category=c, seed=s, metrics=as_printed(c, shift + s / 10))
        for c, shift in (("cable", -5), ("metal_nut", -9), ("wood", 0))
        for s in SEEDS
    ]
    runs = load(made, tmp_path)
    missed = results.misses(runs)
    places = [cell.split(", ")[0] for cell in missed["cell"]]
    assert places == ["metal nut"] * 3 + ["cable"] * 3
    assert set(missed["verdict"]) == {"differs"} and "order" not in missed
    counts = results.verdicts(runs).set_index("table")
    assert counts.loc["Table 1", ["differs", "reproduced"]].tolist() == [2, 1]


def test_our_runs_stand_below_the_printed_table_with_their_conditions(tmp_path):
    runs = load([make_row(category="cable")], tmp_path)
    shown = [part.data for part in shared.printed_tables(runs, tmp_path / "out", numbers="1")]
    printed, ours, conditions = shown
    assert "<details>" not in printed and "metal nut" in printed
    assert "our runs: 1 of the 72 values that we can run" in ours and "cable" in ours
    assert "float32 on CPU" in conditions and "precision" not in conditions


def test_collapsed_repetitions_are_counted_where_there_are_any(tmp_path):
    made = [
        make_row(category="cable", seed=s, metrics={"image_auroc": v})
        for s, v in enumerate((0.9, 0.9, 0.5), 1)
    ]
    found = shared.conditions_of(load(made, tmp_path / "some"), "rd4ad", "1")
    assert found["collapsed"].tolist() == [1]
    none = shared.conditions_of(load(made[:2], tmp_path / "none"), "rd4ad", "1")
    assert "collapsed" not in none and none["cells"].tolist() == [1]


def test_tiers_are_counted_without_printed_dashes(tmp_path):
    runs = load([make_row(category="bottle")], tmp_path)
    counts = results.tier_counts(runs).set_index("table")
    verdicts = results.verdicts(runs).set_index("table")
    printed = verdicts.drop(columns="not printed").sum(axis=1)
    assert counts.sum(axis=1).to_dict() == printed.to_dict()
    assert counts.loc["Table 1", "printed protocol"] == 1


def test_a_cell_is_named_without_what_goes_without_saying():
    cell = pd.Series({"dataset": "mvtec", "category": "metal_nut", "metric": "pro"}, dtype=object)
    cell["image_size"] = 256
    assert cell_title(cell.to_dict() | {"method": "Ours"}) == "metal nut, PRO"
    other = cell.to_dict() | {"method": "PaDiM", "category": "average", "dataset": "mnist"}
    assert cell_title(other, "28 px") == "MNIST, PaDiM, 28 px, PRO"


def test_figures_come_from_rows_alone(tmp_path):
    metrics = as_printed("bottle")
    made = load([make_row(category="bottle", seed=s, metrics=metrics) for s in SEEDS], tmp_path)
    figure = results.against_printed(made)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[0] == "image AUROC" and figure.axes[0].texts[0].get_text() == "256 px"
    rows = results.newest(made, "made-up", "backbone")
    figure = results.curves(rows)
    assert len(figure.axes) == 3
    shared.show(figure, "small_backbones", tmp_path)
    saved = {file.suffix for file in tmp_path.glob("small_backbones.*")}
    assert saved == {".png", ".svg", ".pdf"}


def test_without_kept_maps_the_command_that_makes_them_is_named(tmp_path):
    made = load([make_row(category="bottle")], tmp_path)
    rows = results.newest(made, "made-up", "backbone")
    kept, note = results.kept_maps(rows, tmp_path)
    assert kept == [] and "0 of 1 runs" in note.data and "keep_maps true" in note.data
    assert "Left out" in results.regions(kept)
    ((name, sentence),) = results.overlays(kept, tmp_path)
    assert name == "overlays" and "Left out" in sentence


def test_two_protocols_of_one_teacher_are_two_lines(tmp_path):
    made = [make_row(epochs=e, **SMALL) for e in (20, 200)]
    made.append(make_row(epochs=40, sigma=2.0, **SMALL))  # another method than the printed one
    runs = load(made, tmp_path)
    labels = results.cells_with_runs(runs)["label"].unique().tolist()
    assert labels == ["bottle, ResNet-18, 200 epochs", "bottle, ResNet-18, 20 epochs"]
    assert len(results.deltas(runs).axes[0].get_yticklabels()) == 2


def test_rows_of_changed_files_are_drawn_nowhere(tmp_path):
    made = [make_row(category="bottle", provenance={"dirty": True}), make_row(category="cable")]
    rows = results.newest(load(made, tmp_path), "made-up", "category")
    assert [row["category"] for row in rows] == ["cable"]


def test_the_newest_rows_are_in_the_order_of_the_printed_table(tmp_path):
    made = [make_row(category=c) for c in ("zipper", "carpet", "bottle")]
    made.append(make_row(category="grid", sigma=2.0))  # a variant
    rows = results.newest(load(made, tmp_path), "made-up", "category")
    assert [row["category"] for row in rows] == ["carpet", "bottle", "zipper"]


def test_every_row_has_an_interval_of_its_auroc(tmp_path):
    counts = {"test_normal": 20, "test_anomalous": 30}
    runs = load([make_row(metrics={"image_auroc": 1.0}, counts=counts)], tmp_path)
    line = results.single_intervals([runs.iloc[0]]).iloc[0]
    low, high = (float(text) for text in line["95 % interval"].strip("[]").split(", "))
    assert line["image AUROC"] == high == 100 and 70 < low < 95


def test_the_widest_move_by_another_seed_is_said(tmp_path):
    def drawn(category, auroc, **changes):
        return make_row(
            dataset="synthetic", category=category, metrics={"image_auroc": auroc}, **changes
        )

    load([drawn("screw", 0.95), drawn("wood", 0.97)], tmp_path, "embedded")
    others = [drawn("screw", 0.85, seed=7), drawn("wood", 0.98, seed=7)]
    others += [drawn("screw", 0.5, seed=8, sigma=2.0)]  # another setting
    runs = load(others, tmp_path, "another")
    found = results.other_seeds(runs)
    assert found == {"screw": pytest.approx([95, 85]), "wood": pytest.approx([97, 98])}
    assert "screw is 95.0 % in the table below, and 85.0 %" in results.seeds_in_words(runs)
    assert results.seeds_in_words(EMPTY) == ""


def test_a_table_with_every_category_has_as_many_lines(tmp_path):
    runs = load([make_row(category=c) for c in MVTEC_CATEGORIES], tmp_path)
    _, ours, *_ = shared.printed_tables(runs, tmp_path / "out", numbers="1")
    # the categories, and the averages of textures, of objects and of all
    assert ours.data.count("<tr>") == 1 + len(MVTEC_CATEGORIES) + 3

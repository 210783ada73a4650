"""Printed tables in their layout, and tables of one run or row beside the printed values."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row
from study_rows import SEEDS

import rdrepro as rd
from rdrepro.config import RunConfig
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import tables

T_OF_TWO = 4.302652729911275  # Student's 97.5 % quantile at two degrees of freedom


def test_rows_around_the_printed_values_reproduce_tables_1_and_2(reproduced):
    first, second = tables.table1(reproduced), tables.table2(reproduced)
    detection = first["ours: Ours, 256 px"]
    assert (detection.loc[list(MVTEC_CATEGORIES), "verdict"] == "reproduced").all()
    assert detection.loc["average", "verdict"] == "reproduced"
    assert detection.loc["average_textures", "verdict"] == "reproduced"
    assert detection.loc["cable", "ours"] == pytest.approx(95.0)
    assert detection.loc["cable", "delta"] == pytest.approx(0, abs=1e-9)
    assert (detection["n_seeds"] == 3).all()
    half = 0.1 * T_OF_TWO / np.sqrt(3)
    assert detection.loc["cable", "interval"] == f"[{95 - half:.1f}, {95 + half:.1f}]"
    assert (first["ours: Ours, 128 px"]["verdict"] == "not run").all()
    for metric in ("pixel AUROC", "PRO"):
        block = second[f"ours: Ours, 256 px, {metric}"]
        assert block.loc["average", "verdict"] == "reproduced"
    assert second["printed", "US, 256 px"]["carpet"] == "-/87.9"


def test_the_same_runs_fill_the_last_columns_of_tables_5_to_7(reproduced):
    for table, column in (("5", "Pre+OCE+MFM"), ("6", "WResNet50"), ("7", "M1,2,3")):
        block = tables.printed_table("rd4ad", table, reproduced)
        assert (block[f"ours: {column}"]["verdict"] == "reproduced").all()
        assert (block["ours", "order"] == "not run").all()


def test_table_3_has_the_checkpoint_in_mib_and_no_verdict_on_time(tmp_path):
    cost = {"checkpoint_mib": 351.7, "image_seconds": [0.2, 0.25, 0.3]}
    block = tables.table3(load([make_row(image_size=224, cost=cost)], tmp_path))
    assert block["ours: memory (MiB)"].loc["Ours", "verdict"] == "reproduced"
    assert block["ours: seconds per image"].loc["Ours", "verdict"] == "no verdict"
    assert block["ours: seconds per image"].loc["Ours", "ours"] == 0.25
    assert block["printed", "time and memory"]["PaDiM"] == tables.QUOTED
    other = load([make_row(cost={"checkpoint_mib": 319.7})], tmp_path / "other")
    assert tables.table3(other)["ours: memory (MiB)"].loc["Ours", "verdict"] == "differs"


@pytest.mark.parametrize(("paper", "number"), tables.LAYOUTS, ids="-".join)
def test_tables_without_rows_show_every_printed_cell(paper, number):
    name = f"{'table' if paper == 'rd4ad' else 'medical'}{number}"
    table = getattr(tables, name)(pd.DataFrame())
    verdicts = [table[c] for c in table.columns if c[1] == "verdict"]
    said = set(pd.concat(verdicts).dropna())
    assert said <= {"not run", "not printed"} and "not run" in said
    assert table["printed"].notna().any(axis=None)


def test_a_table_reads_the_rows_of_the_results_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path))
    load([make_row(category="cable")], tmp_path / "runs")
    assert tables.table1()["ours: Ours, 256 px"].loc["cable", "n_seeds"] == 1


def test_only_cells_with_runs_are_filled_cells(tmp_path):
    aurocs = dict(zip(SEEDS, (0.949, 0.95, 0.951), strict=True))
    made = [
        make_row(category="cable", seed=s, metrics={"image_auroc": a}) for s, a in aurocs.items()
    ]
    table = tables.filled_cells("rd4ad", "1", load(made, tmp_path))
    half = 0.1 * T_OF_TWO / np.sqrt(3)
    assert table.to_dict("records") == [
        {
            "cell": "cable, Ours, 256 px, image AUROC",
            "printed": "95.0",
            "ours": "95.0",
            "95 % interval": f"[{95 - half:.1f}, {95 + half:.1f}]",
            "delta": "+0.0",
            "seeds": 3,
            "verdict": "reproduced",
        }
    ]
    assert tables.filled_cells("rd4ad", "1", pd.DataFrame()).empty


def test_printed_values_stand_as_printed_and_memory_names_its_unit(tmp_path):
    cost = {"checkpoint_mib": 351.697, "image_seconds": [0.2, 0.25, 0.3]}
    table = tables.filled_cells("rd4ad", "3", load([make_row(image_size=224, cost=cost)], tmp_path))
    lines = table.set_index("cell")[["printed", "ours", "delta"]]
    assert lines.loc["Ours, size of the checkpoint in MiB; 369 MB"].tolist() == [
        *("352", "351.7", "-0.3")
    ]
    assert lines.loc["Ours, seconds per image"].tolist() == ["0.31", "0.25", "-0.06"]


# Tables of one run, and of rows of other protocols


def test_each_study_with_smaller_teachers_has_its_lines_and_no_other_table_has_them(tmp_path):
    small = {"backbone": "resnet18", "oce_width": 64, "metrics": {"image_auroc": 0.99}}
    for study in (*tables.SMALLER, "another"):
        load([make_row(seed=s, epochs=40, **small) for s in SEEDS], tmp_path, study)
    runs = rd.load_runs(tmp_path)
    table = tables.smaller_teachers(runs)
    assert table["study"].drop_duplicates().tolist() == list(tables.SMALLER)
    assert table["seeds"].eq(3).all() and table["metric"].value_counts().eq(2).all()
    assert set(tables.other_runs(runs)["study"]) == {"another"}
    assert tables.smaller_teachers(pd.DataFrame()).empty
    assert tables.other_runs(pd.DataFrame()).empty


def test_a_baseline_has_no_epochs_and_the_exact_overlap(tmp_path):
    metrics = {"pixel_aupro": 0.952, "pixel_aupro_official": 0.948}
    made = [
        make_row(method="padim", backbone="resnet18", padim_channels=100, metrics=metrics),
        make_row(sigma=2.0, metrics=metrics),
    ]
    table = tables.other_runs(load(made, tmp_path))
    baseline = table["differs in"].str.contains("padim")
    exact, official = (table[rows].set_index("metric") for rows in (baseline, ~baseline))
    assert set(exact["epochs"]) == {"-"} and exact.loc["AUPRO", "ours"] == pytest.approx(95.2)
    assert set(official["epochs"]) == {200} and official.loc["PRO", "ours"] == pytest.approx(94.8)
    assert "PRO" not in exact.index


def test_lines_of_other_protocols_are_readable(tmp_path):
    made = [make_row(seed=s, epochs=10, metrics={"image_auroc": 0.99}) for s in SEEDS]
    line = tables.beside_table(load(made, tmp_path)).set_index("metric").loc["image AUROC"]
    assert line[["ours", "seeds", "px", "printed"]].tolist() == pytest.approx([99, 3, 256, 100])
    assert line["interval"] == "[99.0, 99.0]"
    assert tables.beside_table(pd.DataFrame()).empty


def test_a_baselines_run_has_its_own_printed_numbers_beside_it():
    config = RunConfig(category="bottle", method="spade")
    run = SimpleNamespace(preset="quick", config=config)
    table = rd.compared_with_paper({"image_auroc": 0.9, "pixel_auroc": 0.9}, run)
    assert table.loc["pixel_auroc", "paper (%)"] == 98.4
    assert np.isnan(table.loc["image_auroc", "paper (%)"])  # Table 1 has no SPADE


def test_the_extensions_presets_are_compared_with_its_own_tables():
    """Bottle of its Table 2 and carpet of its Table 4, whose "PRO" is recall at Youden's J."""
    metrics = {"pixel_auroc": 0.5, "pixel_aupro": 0.4, "recall_at_youden": 0.9}
    printed = {("extension", "bottle"): (98.4, 97.4), ("extension_mkd", "carpet"): (97.9, 92.7)}
    for (preset, category), (auroc, recall) in printed.items():
        config = RunConfig(category=category, image_size=224)
        table = rd.compared_with_paper(metrics, SimpleNamespace(preset=preset, config=config))
        assert table.loc["pixel_auroc", "extension (%)"] == auroc
        assert table.loc["recall_at_youden", "extension (%)"] == recall
        assert table.loc["recall_at_youden", "difference"] == round(90 - recall, 1)
        assert np.isnan(table.loc["pixel_aupro", "extension (%)"])


def test_the_embedded_benchmark_has_its_categories_and_their_mean(tmp_path):
    made = [
        make_row(dataset="synthetic", category=c, metrics={"image_auroc": 0.9 + i / 1000})
        for i, c in enumerate(MVTEC_CATEGORIES)
    ]
    made.append(make_row(dataset="synthetic", category="carpet", provenance={"dirty": True}))
    table = tables.embedded_table(load(made, tmp_path)).set_index("category")
    assert list(table.index) == [*MVTEC_CATEGORIES, "mean"]
    assert table["image AUROC"].iloc[[0, -1]].tolist() == [90.0, 90.7]


def test_a_rows_table_has_the_metrics_that_it_has(tmp_path):
    made = make_row(category="grid", metrics={"image_auroc": 0.912, "pixel_ap": None})
    table = tables.row_table(load([made], tmp_path).iloc[0])
    assert table.loc["image_auroc", "%"] == 91.2 and "pixel_ap" not in table.index
    assert table.index.name == "grid (mvtec)"

"""Rows compared with printed cells: value, difference, interval, verdict, order."""

import numpy as np
import pytest
from builders import load, make_row
from study_rows import SEEDS, as_printed, on

from rdrepro.backbones import LITE0, RANDOM, usual_weights
from rdrepro.presets import PRESETS, mkd_settings
from rdrepro.registry import MVTEC_CATEGORIES, TEXTURES
from rdrepro.study import tables
from rdrepro.study.compare import compare, departures, left_out, other_protocols
from rdrepro.study.printed import paper_cells, printed_cells
from rdrepro.study.tiers import highest

OURS = "ours: Ours, 256 px"
T_OF_TWO = 4.302652729911275  # Student's 97.5 % quantile at two degrees of freedom
LAYERS = ([1], [2], [3], [2, 3], [1, 2, 3])


def of_table1(runs, method="Ours", image_size=256):
    """The lines of Table 1 for one method and image size, by category."""
    lines = compare(paper_cells("rd4ad", "1"), runs)
    kept = (lines["method"] == method) & (lines["image_size"] == image_size)
    return lines[kept].set_index("category")


def test_the_average_over_categories_is_taken_within_seeds(reproduced):
    average = of_table1(reproduced).loc["average"]
    metrics = [
        np.mean([as_printed(c, 0.1 * (s - 2))["image_auroc"] for c in MVTEC_CATEGORIES])
        for s in SEEDS
    ]
    assert average["ours"] == pytest.approx(100 * np.mean(metrics))
    half = T_OF_TWO * 100 * np.std(metrics, ddof=1) / np.sqrt(3)
    assert average["high"] - average["low"] == pytest.approx(2 * half)


@pytest.mark.parametrize(
    ("shift", "expected"), [(-0.3, "reproduced"), (-2.8, "close"), (-4.0, "differs")]
)
def test_a_verdict_follows_the_margin(tmp_path, shift, expected):
    made = load(
        [
            make_row(category="cable", seed=s, metrics=as_printed("cable", shift + 0.1 * s))
            for s in SEEDS
        ],
        tmp_path,
    )
    assert tables.table1(made)[OURS].loc["cable", "verdict"] == expected


def test_two_seeds_are_no_verdict_and_one_has_no_interval(tmp_path):
    made = [make_row(category="cable", seed=s) for s in (1, 2)]
    block = tables.table1(load([*made, make_row(category="pill")], tmp_path))[OURS]
    assert block.loc[["cable", "pill"], "verdict"].tolist() == ["no verdict"] * 2
    assert block.loc[["cable", "pill"], "n_seeds"].tolist() == [2, 1]
    assert block.loc["cable", "interval"] and not block.loc["pill", "interval"]
    assert not np.isnan(block.loc["pill", "delta"])


def test_fourteen_categories_are_no_average(tmp_path):
    made = [make_row(category=c, seed=s) for c in MVTEC_CATEGORIES[1:] for s in SEEDS]
    block = tables.table1(load(made, tmp_path))[OURS]
    assert block.loc["average", "verdict"] == "incomplete (14/15)"
    assert np.isnan(block.loc["average", "delta"])
    assert block.loc["average_textures", "verdict"] == "incomplete (4/5)"
    assert block.loc["average_objects", "n_seeds"] == 3
    assert block.loc["carpet", "verdict"] == "not run"


def test_seeds_that_no_category_shares_make_no_average(tmp_path):
    made = [make_row(category=c, seed=1 + (c == "zipper")) for c in MVTEC_CATEGORIES]
    block = tables.table1(load(made, tmp_path))[OURS]
    assert block.loc["average", "verdict"] == "incomplete (no seed has all 15)"
    assert block.loc["average_textures", "n_seeds"] == 1


def test_a_collapsed_repetition_counts_and_is_flagged(tmp_path):
    values = (0.95, 0.94, 0.4)
    made = [
        make_row(category="cable", seed=s, metrics={"image_auroc": v})
        for s, v in zip(SEEDS, values, strict=True)
    ]
    line = of_table1(load(made, tmp_path)).loc["cable"]
    assert line["collapsed"] == 1 and line["ours"] == pytest.approx(100 * np.mean(values))


def test_a_row_that_says_that_it_collapsed_is_flagged(tmp_path):
    row = make_row(category="cable", status="collapsed")
    assert of_table1(load([row], tmp_path)).loc["cable", "collapsed"] == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.90, 0.95, 0.94, 0.96, 0.97), "as printed"),
        ((0.90, 0.94, 0.95, 0.96, 0.97), "differs"),
    ],
)
def test_the_printed_order_is_judged(tmp_path, values, expected):
    made = [
        make_row(category=c, map_layers=k, metrics={"image_auroc": v})
        for k, v in zip(LAYERS, values, strict=True)
        for c in MVTEC_CATEGORIES
    ]
    table = tables.table7(load(made, tmp_path))
    assert table["ours", "order"]["image_auroc"] == expected


def test_a_reversed_order_is_no_reproduction(tmp_path):
    values = (90.1, 97.2, 97.5, 98.0, 98.5)
    made = [
        make_row(category=c, seed=s, map_layers=k, metrics={"image_auroc": v / 100})
        for k, v in zip(LAYERS, values, strict=True)
        for c in MVTEC_CATEGORIES
        for s in SEEDS
    ]
    block = tables.table7(load(made, tmp_path))
    assert block["ours", "order"]["image_auroc"] == "differs"
    assert block["ours: M1"].loc["image_auroc", "verdict"] == "close"


# The extension

CODED = {"image_size": 224, "loss_reduction": "pointwise", "map_combine": "product"}
CODED |= {"oce_width": 64, "teacher_bn": "train", "epochs": 199}


def scan(fold, value, **changes):
    """A row of one fold of Head CT by the extension's code."""
    settings = {"dataset": "head_ct", "split": "kfold", "fold": fold} | CODED | changes
    return make_row(metrics={"image_auroc": value}, **settings)


def folds(values, seed=1, **changes):
    """The rows of the folds of one seed, an AUROC each."""
    return [scan(fold, value, seed=seed, **changes) for fold, value in enumerate(values)]


def head_ct(rows, tmp_path, column="Ours"):
    """The line of Head CT in the extension's Table 3, for one column."""
    return tables.medical3(load(rows, tmp_path))[f"ours: {column}"].loc["head_ct"]


def test_folds_are_parts_of_a_repetition(tmp_path):
    rows = folds((0.80, 0.82, 0.84, 0.86, 0.88)) + folds((0.70, 0.72, 0.74, 0.76, 0.78), seed=2)
    line = head_ct(rows, tmp_path)
    assert line[["n_seeds", "verdict"]].tolist() == [2, "no verdict"]
    assert line["ours"] == pytest.approx((84 + 74) / 2)


def test_missing_folds_are_named(tmp_path):
    line = head_ct(folds((0.80, 0.82, 0.84)), tmp_path)
    assert line["verdict"] == "incomplete (3/5)" and np.isnan(line["ours"])


def test_rows_of_an_incomplete_repetition_are_named_and_enter_no_count(tmp_path):
    rows = [row for s in (1, 2) for row in folds([0.74] * 5, seed=s)]
    rows += folds([0.5] * 4, seed=3)
    runs = load(rows, tmp_path)
    line = compare(paper_cells("rkd_medical", "3"), runs).set_index(["dataset", "method"])
    ours = line.loc[("head_ct", "Ours")]
    assert ours[["n_seeds", "collapsed"]].tolist() == [2, 0]
    assert ours["ours"] == pytest.approx(74.0)
    reasons = left_out(runs)
    assert set(reasons["reason"]) == {"not in a complete repetition"} and len(reasons) == 4
    few = load(folds((0.8, 0.8, 0.8)), tmp_path / "few")
    assert set(left_out(few)["reason"]) == {"not in a complete repetition (3/5)"}


def test_a_hard_fold_is_no_collapse(tmp_path):
    rows = [row for s in SEEDS for row in folds([0.80, 0.95, 0.95, 0.95, 0.95], seed=s)]
    lines = compare(paper_cells("rkd_medical", "3"), load(rows, tmp_path))
    assert lines.set_index(["dataset", "method"]).loc[("head_ct", "Ours"), "collapsed"] == 0
    rows += folds([0.80, 0.95, 0.5, 0.95, 0.95], seed=4)
    lines = compare(paper_cells("rkd_medical", "3"), load(rows, tmp_path / "fallen"))
    assert lines.set_index(["dataset", "method"]).loc[("head_ct", "Ours"), "collapsed"] == 1


@pytest.mark.parametrize(
    "stray", [{"split": "report"}, {"split": "blocks"}], ids=lambda changes: changes["split"]
)
def test_a_stray_fold_of_another_split_removes_no_complete_repetitions(tmp_path, stray):
    rows = [row for s in SEEDS for row in folds([0.84 + s / 1000] * 5, seed=s)]
    rows += [scan(0, 0.5, seed=9, **stray)]
    line = head_ct(rows, tmp_path)
    if stray["split"] == "report":  # a draw is complete by itself, and it is the printed split
        assert line[["n_seeds", "ours"]].tolist() == [1, 50.0]
    else:
        assert line[["n_seeds", "verdict"]].tolist() == [3, "overlaps"]


@pytest.mark.parametrize(("value", "expected"), [(0.84, "overlaps"), (0.993, "does not overlap")])
def test_intervals_of_seeds_overlap_the_printed_one(tmp_path, value, expected):
    rows = [row for s in SEEDS for row in folds([value + s / 1000] * 5, seed=s)]
    assert head_ct(rows, tmp_path)[["n_seeds", "verdict"]].tolist() == [3, expected]


def test_draws_of_the_printed_split_are_parts_of_a_repetition_and_precede_folds(tmp_path):
    rows = folds([0.9] * 5)
    rows += [
        scan(d, 0.70 + d / 100 + s / 50, seed=s, split="report") for d in (0, 1) for s in SEEDS
    ]
    line = head_ct(rows, tmp_path)
    assert line["n_seeds"] == 3 and line["ours"] == pytest.approx(74.5)


def test_ten_draws_of_caltech_are_one_repetition_of_each_seed(tmp_path):
    settings = {"dataset": "caltech256", "score": "sum", "backbone": "resnet18", "image_size": 32}
    rows = [
        make_row(
            **settings,
            seed=s,
            normal_class=k,
            category=f"draw_{k}",
            metrics={"image_auroc": 0.9 + k / 1000 + s / 100},
        )
        for s in SEEDS
        for k in range(10)
    ]
    lines = compare(paper_cells("rd4ad", "4"), load(rows, tmp_path))
    ours = lines[(lines["method"] == "Ours") & (lines["dataset"] == "caltech256")].iloc[0]
    assert ours["n_seeds"] == 3 and ours["ours"] == pytest.approx(92.45)


def test_one_run_of_a_method_without_chance_gives_a_verdict(tmp_path):
    def line(auroc, folder):
        row = make_row(category="bottle", method="spade", metrics={"pixel_auroc": auroc})
        lines = compare(paper_cells("rd4ad", "2"), load([row], tmp_path / folder))
        keys = ["method", "category", "metric"]
        return lines.set_index(keys).loc[("SPADE", "bottle", "pixel_auroc")]

    assert line(0.99, "near")[["printed", "verdict"]].tolist() == [98.4, "reproduced"]
    assert line(0.90, "far")["verdict"] == "differs"


def test_a_collapse_in_one_category_is_counted_in_its_averages(tmp_path):
    made = [
        make_row(
            category=c,
            seed=s,
            metrics={"image_auroc": 0.5 if (c, s) == ("screw", 2) else 0.95},
        )
        for c in MVTEC_CATEGORIES
        for s in SEEDS
    ]
    counts = of_table1(load(made, tmp_path))["collapsed"]
    assert counts[["average", "average_objects", "screw"]].tolist() == [1, 1, 1]
    assert counts.sum() == 3


# What the papers say and exclude


@pytest.mark.parametrize(
    ("column", "changes", "admitted"),
    [
        ("Ours+ES", {"patience": 15, "validation_fraction": 0.25}, True),
        ("Ours+ES", {"patience": 20, "validation_fraction": 0.25}, True),
        ("Ours+ES", {"patience": 3, "validation_fraction": 0.25}, False),
        ("Ours+ES", {"patience": 15, "validation_fraction": 0.5}, False),
        ("Ours+L_MKD", {"loss": "mkd_coded", "patience": 3, "validation_fraction": 0.25}, False),
        ("Ours+L_MKD", {"loss": "mkd_coded", "patience": 15, "validation_fraction": 0.25}, True),
    ],
)
def test_early_stopping_is_admitted_as_printed(tmp_path, column, changes, admitted):
    rows = folds([0.9] * 5, early_stopping="train", **changes)
    assert (head_ct(rows, tmp_path, column)["verdict"] != "not run") == admitted


@pytest.mark.parametrize(("split", "verdict"), [("report", "reproduced"), ("official", "not run")])
def test_retinal_oct_needs_half_of_its_training_images(tmp_path, split, verdict):
    fold = 0 if split == "report" else None
    settings = {"dataset": "retinal_oct", "split": split, "fold": fold} | CODED
    rows = [make_row(metrics={"image_auroc": 0.946}, seed=s, **settings) for s in SEEDS]
    table = tables.medical3(load(rows, tmp_path))
    assert table["ours: Ours"].loc["retinal_oct", "verdict"] == verdict


def test_the_extensions_text_enters_its_cells_behind_its_code(tmp_path):
    words = PRESETS["extension_printed"]
    rows = [make_row(category="grid", seed=s, **words) for s in SEEDS]
    grid = tables.medical1(load(rows, tmp_path))["ours: Ours, pixel AUROC"].loc["grid"]
    assert grid["n_seeds"] == 3
    mixed = [make_row(category="wood", **words | {"epochs": 199, "beta2": 0.999})]
    wood = tables.medical1(load(mixed, tmp_path))["ours: Ours, pixel AUROC"].loc["wood"]
    assert wood["verdict"] == "not run"
    coded = [make_row(category="grid", metrics={"pixel_auroc": 0.5}, **CODED)]
    runs = load(coded, tmp_path)
    grid = tables.medical1(runs)["ours: Ours, pixel AUROC"].loc["grid"]
    assert grid[["n_seeds", "ours"]].tolist() == [1, 50.0]
    assert set(left_out(runs)["reason"]) == {"another choice of what the paper leaves open"}


def test_a_stray_row_of_the_codes_protocol_removes_no_complete_average(tmp_path):
    words = PRESETS["extension_printed"]
    rows = [make_row(category=c, seed=s, **words) for c in TEXTURES for s in SEEDS]
    rows += [make_row(category="carpet", metrics={"pixel_auroc": 0.5}, **CODED)]
    block = tables.medical1(load(rows, tmp_path))["ours: Ours, pixel AUROC"]
    assert block["n_seeds"].to_dict() == dict.fromkeys(block.index, 3) | {"carpet": 1}


@pytest.mark.parametrize(
    ("dataset", "changes", "admitted"),
    [
        ("retinal_oct", {"split": "official", "fold": None}, True),
        ("retinal_oct", {"split": "report"}, False),
        ("head_ct", {"split": "report", "image_size": 224}, True),
        ("head_ct", {"split": "report", "image_size": 256}, True),
        ("head_ct", {"split": "report", "image_size": 32}, False),
    ],
)
def test_mkd_on_medical_images_follows_its_own_paper(tmp_path, dataset, changes, admitted):
    settings = {"method": "mkd"} | mkd_settings({"method": "mkd"}, dataset) | {"fold": 0} | changes
    rows = [make_row(dataset=dataset, category="normal", **settings)]
    block = tables.medical3(load(rows, tmp_path))["ours: MKD"]
    assert (block.loc[dataset, "n_seeds"] == 1) == admitted


# Methods of other papers

MKD = mkd_settings({"method": "mkd"}, "mvtec")


MKD = mkd_settings({"method": "mkd"}, "mvtec")


def test_columns_of_other_papers_methods_receive_runs():
    cells = [c for c in printed_cells() if c.method in ("PaDiM", "SPADE", "MKD") and c.protocols]
    known = [c for c in cells if not np.isnan(c.value)]
    assert len([c for c in known if c.table != "3" or c.paper == "rkd_medical"]) == 149


@pytest.mark.parametrize(
    ("method", "settings", "table", "column"),
    [
        ("padim", {}, tables.table1, "ours: PaDiM, 256 px"),
        ("spade", {}, tables.table2, "ours: SPADE, 256 px, pixel AUROC"),
        ("mkd", MKD, tables.table1, "ours: MKD, 128 px"),
        ("mkd", MKD, tables.medical1, "ours: MKD, pixel AUROC"),
    ],
    ids=["padim", "spade", "mkd", "mkd in the extension"],
)
def test_a_run_of_another_papers_method_enters_its_column(
    tmp_path, method, settings, table, column
):
    row = make_row(category="carpet", **{"method": method} | settings)
    block = table(load([row], tmp_path))[column]
    assert block.loc["carpet", "n_seeds"] == 1
    assert block.loc["carpet", "tier"] == "printed protocol"


def test_the_pro_of_other_papers_is_the_exact_one(tmp_path):
    metrics = {"pixel_aupro": 0.91, "pixel_aupro_official": 0.5}
    runs = load([make_row(category="wood", method="padim", metrics=metrics)], tmp_path)
    assert tables.table2(runs)["ours: PaDiM, 256 px, PRO"].loc["wood", "ours"] == 91.0


# Tiers


def test_the_tier_of_a_cell_says_how_near_the_nearest_runs_come(tmp_path):
    small = {"backbone": "resnet18", "oce_width": 64, "epochs": 20}
    made = [make_row(category="wood"), make_row(category="tile", **small)]
    made += [make_row(category="tile", loss_reduction="pointwise", **small | {"epochs": 10})]
    made += [make_row(category="grid", dataset="synthetic", **small)]
    made += [make_row(category="pill", weights="random"), make_row(category="cable", rotation=90)]
    made += [make_row(category="screw", provenance={"dirty": True}, **small)]
    tiers = tables.table1(load(made, tmp_path))[OURS]["tier"]
    expected = {
        "wood": "printed protocol",
        "tile": "reduced (backbone=resnet18 epochs=20)",
        "grid": "embedded",
        "cable": "reduced (rotation=90)",
        "average": "reduced (1 of 15 categories)",
        "average_textures": "reduced (1 of 5 categories)",
        **dict.fromkeys(("pill", "screw"), "not run"),
    }
    assert tiers[list(expected)].to_dict() == expected


def test_an_average_counts_its_units_in_one_seed(tmp_path):
    half = {c: 1 + (number % 2) for number, c in enumerate(MVTEC_CATEGORIES)}
    made = [make_row(category=c, seed=s, epochs=20) for c, s in half.items()]
    tier = tables.table1(load(made, tmp_path))[OURS].loc["average", "tier"]
    assert tier == "reduced (8 of 15 categories; epochs=20)"
    made += [make_row(category=c, seed=3 - s, epochs=20) for c, s in half.items()]
    runs = load(made, tmp_path / "both")
    assert tables.table1(runs)[OURS].loc["average", "tier"] == "reduced (epochs=20)"


def test_an_embedded_average_needs_all_its_categories(tmp_path):
    made = [make_row(dataset="synthetic", category=c) for c in MVTEC_CATEGORIES[:14]]
    assert tables.table1(load(made, tmp_path))[OURS].loc["average", "tier"] == "not run"
    made += [make_row(dataset="synthetic", category=MVTEC_CATEGORIES[14])]
    assert tables.table1(load(made, tmp_path / "all"))[OURS].loc["average", "tier"] == "embedded"


@pytest.mark.parametrize(
    ("tiers", "best"),
    [
        (["embedded", "reduced (epochs=20)", "not run"], "reduced"),
        (["reduced (1 of 15 categories)", "printed protocol"], "printed protocol"),
        ([], "not run"),
    ],
)
def test_the_highest_tier_stands_without_its_remark(tiers, best):
    assert highest(tiers) == best


def test_an_incomplete_average_shows_the_reduced_runs_that_are_complete(tmp_path):
    made = [make_row(category=c, epochs=20) for c in MVTEC_CATEGORIES]
    made += [make_row(category=c) for c in MVTEC_CATEGORIES[:14]]
    average = tables.table1(load(made, tmp_path))[OURS].loc["average"]
    assert average[["verdict", "tier"]].tolist() == ["incomplete (14/15)", "reduced (epochs=20)"]


@pytest.mark.parametrize(
    "settings", [{"method": "padim"}, {"method": "spade"}, MKD | {"method": "mkd"}, {}], ids=str
)
def test_other_protocols_have_the_tier_that_printed_cells_give(tmp_path, settings):
    runs = load([make_row(category="bottle", **settings)], tmp_path)
    lines = other_protocols(runs, "made-up")
    assert set(lines["tier"]) == {"printed protocol"}
    changed = load([make_row(category="bottle", sigma=2.0, **settings)], tmp_path / "changed")
    assert set(other_protocols(changed)["tier"]) == {"reduced (sigma=2)"}


def test_a_reduced_run_has_what_its_column_is_about(tmp_path):
    made = [make_row(category=c, epochs=20) for c in MVTEC_CATEGORIES]
    runs = load(made, tmp_path)
    columns = {name: tables.table5(runs)[f"ours: {name}"] for name in ("Pre", "Pre+OCE+MFM")}
    tiers = {name: set(block["tier"]) for name, block in columns.items()}
    assert tiers == {"Pre": {"not run"}, "Pre+OCE+MFM": {"reduced (epochs=20)"}}
    average = tables.table1(runs)[OURS].loc["average"]
    assert average[["tier", "verdict"]].tolist() == ["reduced (epochs=20)", "not run"]


def test_the_extensions_average_leaves_out_the_blank_category(tmp_path):
    stopped = {"early_stopping": "train", "patience": 15, "validation_fraction": 0.25}
    made = [
        make_row(category=c, seed=s, loss="mkd", **CODED, **stopped)
        for c in ("carpet", "leather", "tile", "wood")
        for s in SEEDS
    ]
    block = tables.medical4(load(made, tmp_path))["ours: Ours+L_MKD, pixel AUROC"]
    assert block.loc["average_textures", "n_seeds"] == 3
    assert block.loc["grid", "verdict"] == "not printed"


# Rows of other protocols


def test_other_protocols_are_compared_without_a_verdict(tmp_path):
    made = [
        make_row(category="bottle", seed=s, epochs=10, metrics={"image_auroc": 0.99}) for s in SEEDS
    ]
    lines = other_protocols(load(made, tmp_path)).set_index("metric")
    assert lines.loc["image_auroc", "delta"] == pytest.approx(-1.0)
    assert lines.loc["image_auroc", "n"] == 3 and "verdict" not in lines


def test_rows_of_an_incomplete_average_are_other_protocols_too(tmp_path):
    small = {"category": "bottle", "backbone": "resnet18", "oce_width": 64}
    made = [make_row(seed=s, epochs=e, **small) for e in (200, 20) for s in SEEDS]
    made += [make_row(category="bottle", provenance=on("2026-02-01")), make_row(category="bottle")]
    runs = load(made, tmp_path)
    assert set(tables.table6(runs)["ours: ResNet18"]["verdict"]) == {"incomplete (1/15)"}
    lines = other_protocols(runs)
    assert lines.groupby("epochs")["n"].unique().map(list).to_dict() == {20: [3], 200: [3]}
    assert set(lines["differs in"]) == {""} and set(lines["backbone"]) == {"resnet18"}
    whole_study = other_protocols(runs, "made-up")
    assert set(whole_study["backbone"]) == {"resnet18", "wide_resnet50_2"}


def test_other_protocols_say_what_differs(tmp_path):
    made = [make_row(category="bottle", loss_reduction="pointwise")]
    made += [make_row(category="bottle", image_size=512)]
    small = {"category": "bottle", "backbone": LITE0, "oce_width": 64, "epochs": 40}
    made += [make_row(weights=weights, **small) for weights in (usual_weights(LITE0), RANDOM)]
    lines = tables.beside_table(load(made, tmp_path))
    assert set(lines["differs in"]) == {"loss_reduction=pointwise", "weights=random", ""}
    assert lines[lines["px"] == 512]["printed"].isna().all()


def test_a_baseline_is_compared_with_its_own_printed_values(tmp_path):
    padim = make_row(category="bottle", method="padim", backbone="resnet18", padim_channels=100)
    runs = load([padim], tmp_path)
    lines = other_protocols(runs).set_index("metric")
    assert lines["printed"].to_dict() == {
        "image_auroc": 99.9,
        "pixel_auroc": 98.3,
        "pixel_aupro": 94.8,
    }
    assert departures(runs.iloc[0]) == {"method": "padim", "padim_channels": 100}


def test_rows_that_others_sent_count_and_bear_their_name(tmp_path):
    made = [make_row(category="cable", seed=s, metrics=as_printed("cable")) for s in SEEDS]
    runs = load(made[1:], tmp_path, "paper")
    assert not runs["sender"].any()
    runs = load([made[0], make_row(category="pill", epochs=7)], tmp_path, "paper/lab-of-a")
    cable = of_table1(runs).loc["cable"]
    assert cable["n_seeds"] == len(SEEDS)
    assert cable["footnotes"].endswith("; rows sent by lab-of-a")
    assert set(other_protocols(runs)["study"]) == {"paper (rows sent by lab-of-a)"}

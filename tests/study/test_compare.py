"""Rows compared with printed cells: value, difference, interval, verdict, order."""

import numpy as np
import pytest
from builders import load, make_row
from study_rows import SEEDS, as_printed, on

from rdrepro.backbones import LITE0, RANDOM, usual_weights
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import tables
from rdrepro.study.compare import compare, departures, other_protocols
from rdrepro.study.printed import paper_cells

OURS = "ours: Ours, 256 px"
T_OF_TWO = 4.302652729911275  # Student's 97.5 % quantile at two degrees of freedom
LAYERS = ([1], [2], [3], [2, 3], [1, 2, 3])


def test_the_average_over_categories_is_taken_within_seeds(reproduced):
    lines = compare(paper_cells("rd4ad", "1"), reproduced).set_index(["image_size", "category"])
    average = lines.loc[(256, "average")]
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
    lines = compare(paper_cells("rd4ad", "1"), load(made, tmp_path))
    line = lines.set_index(["category", "image_size"]).loc[("cable", 256)]
    assert line["collapsed"] == 1 and line["ours"] == pytest.approx(100 * np.mean(values))


def test_a_row_that_says_that_it_collapsed_is_flagged(tmp_path):
    row = make_row(category="cable", status="collapsed")
    lines = compare(paper_cells("rd4ad", "1"), load([row], tmp_path))
    line = lines.set_index(["category", "image_size"]).loc[("cable", 256)]
    assert line["collapsed"] == 1


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
STOPPED = {"early_stopping": "train", "patience": 15, "validation_fraction": 0.25}


def scan(fold, value, **changes):
    """A row of one fold of Head CT by the extension's code."""
    settings = {"dataset": "head_ct", "split": "kfold", "fold": fold} | CODED | changes
    return make_row(metrics={"image_auroc": value}, **settings)


def test_medical_folds_are_repetitions_and_intervals_overlap(tmp_path):
    rows = [scan(k, v) for k, v in enumerate((0.80, 0.82, 0.84))]
    rows += [scan(k, 0.99 + k / 1000, **STOPPED) for k in range(3)]
    table = tables.medical3(load(rows, tmp_path))
    ours = table["ours: Ours"].loc["head_ct"]
    assert ours[["n_seeds", "verdict"]].tolist() == [3, "overlaps"]
    assert ours["ours"] == pytest.approx(82.0)
    stopped = table["ours: Ours+ES"].loc["head_ct"]
    assert stopped[["n_seeds", "verdict"]].tolist() == [3, "does not overlap"]


def test_the_extensions_average_leaves_out_what_its_print_does(tmp_path):
    made = [
        make_row(category=c, seed=s, loss="mkd", **CODED, **STOPPED)
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
    assert lines["printed"].to_dict() == {"image_auroc": 99.9, "pixel_auroc": 98.3, "pro": 94.8}
    assert departures(runs.iloc[0]) == {"method": "padim", "padim_channels": 100}


def test_rows_that_others_sent_count_and_bear_their_name(tmp_path):
    made = [make_row(category="cable", seed=s, metrics=as_printed("cable")) for s in SEEDS]
    runs = load(made[1:], tmp_path, "paper")
    assert not runs["sender"].any()
    runs = load([made[0], make_row(category="pill", epochs=7)], tmp_path, "paper/lab-of-a")
    line = compare(paper_cells("rd4ad", "1"), runs).set_index(["image_size", "category"])
    cable = line.loc[(256, "cable")]
    assert cable["n_seeds"] == len(SEEDS)
    assert cable["footnotes"].endswith("; rows sent by lab-of-a")
    assert set(other_protocols(runs)["study"]) == {"paper (rows sent by lab-of-a)"}

"""Printed tables: which row enters which cell, and what delta and verdict come out."""

import copy
import hashlib
import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import rdrepro as rd
from rdrepro.config import FREE_FIELDS, RunConfig
from rdrepro.paths import ROOT
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.runs.rows import later_fields
from rdrepro.study import tables
from rdrepro.study.blocks import usual_protocol
from rdrepro.study.compare import compare, left_out, other_protocols
from rdrepro.study.deviations import measured_effects
from rdrepro.study.matching import cell_matches
from rdrepro.study.novelty import averages_table, predictions_table
from rdrepro.study.novelty_choice import GRID_EPOCHS, chosen_switches, grid_table
from rdrepro.study.printed import Cell, paper_cells, printed_cells, protocol_defaults

SEEDS = (1, 2, 3)
TEMPLATE = json.loads(next((ROOT / "results/runs/readme").glob("*.json")).read_text())


def row(category="carpet", seed=1, dirty=False, finished="2026-01-01", metrics=(), **changes):
    """A made-up row of the paper's protocol, or one that leaves it in the fields named."""
    made = copy.deepcopy(TEMPLATE)
    config = asdict(RunConfig(category=category, seed=seed))
    config |= {name: list(config[name]) for name in ("train_layers", "map_layers")}
    cost = {k: changes.pop(k) for k in list(changes) if k in ("checkpoint_mib", "image_seconds")}
    made["config"] = config | changes
    made["cost"] |= cost
    made["metrics"] = made["metrics"] | dict(metrics)
    made["provenance"] |= {"dirty": dirty, "finished": f"{finished}T00:00:{seed:02d}+00:00"}
    return made


def runs(rows, folder, study="made-up"):
    for made in rows:
        rd.save_row(made, folder / study)
    return rd.load_runs(folder)


def as_printed(category, shift=0.0):
    """The paper's own numbers for a category, as a row's metrics, shifted by so many points."""
    metrics = {}
    for table in "12":
        for cell in paper_cells("rd4ad", table):
            if (cell.method, cell.image_size, cell.category) == ("Ours", 256, category):
                metrics[cell.row_metric] = min((cell.value + shift) / 100, 1.0)
    return metrics


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All categories, three seeds, a tenth of a point around print."""
    rows = [
        row(c, s, metrics=as_printed(c, 0.1 * (s - 2))) for c in MVTEC_CATEGORIES for s in SEEDS
    ]
    return runs(rows, tmp_path_factory.mktemp("whole"))


def test_rows_around_print_reproduce_tables_1_and_2(whole):
    first, second = tables.table1(whole), tables.table2(whole)
    detection = first["ours: Ours, 256 px"]
    assert (detection.loc[list(MVTEC_CATEGORIES), "verdict"] == "reproduced").all()
    assert detection.loc["average", "verdict"] == "reproduced"
    assert detection.loc["average_textures", "verdict"] == "no verdict"  # no margin is declared
    assert detection.loc["cable", "ours"] == pytest.approx(95.0)
    assert detection.loc["cable", "delta"] == pytest.approx(0, abs=1e-9)
    assert (detection["n_seeds"] == 3).all()
    half = 0.1 * 4.302652729911275 / np.sqrt(3)  # t at 97.5 %, two degrees of freedom
    assert detection.loc["cable", "interval"] == f"[{95 - half:.1f}, {95 + half:.1f}]"
    assert (first["ours: Ours, 128 px"]["verdict"] == "not run").all()
    for metric in ("pixel AUROC", "PRO"):
        block = second[f"ours: Ours, 256 px, {metric}"]
        assert block.loc["average", "verdict"] == "reproduced"
    assert second["printed", "US, 256 px"]["carpet"] == "-/87.9"


def test_the_average_over_categories_is_taken_within_seeds(whole):
    block = tables.table1(whole)["ours: Ours, 256 px"]
    metrics = [
        np.mean([as_printed(c, 0.1 * (s - 2))["image_auroc"] for c in MVTEC_CATEGORIES])
        for s in SEEDS
    ]
    assert block.loc["average", "ours"] == pytest.approx(100 * np.mean(metrics))
    first = compare(paper_cells("rd4ad", "1"), whole).set_index(["image_size", "category"])
    width = first.loc[(256, "average"), "high"] - first.loc[(256, "average"), "low"]
    half = 4.302652729911275 * 100 * np.std(metrics, ddof=1) / np.sqrt(3)
    assert width == pytest.approx(2 * half)


def test_the_same_runs_fill_the_last_columns_of_tables_5_to_7(whole):
    for table, column in (("5", "Pre+OCE+MFM"), ("6", "WResNet50"), ("7", "M1,2,3")):
        block = tables.printed_table("rd4ad", table, whole)
        assert (block[f"ours: {column}"]["verdict"] == "reproduced").all()
        assert (block["ours", "order"] == "not run").all()


@pytest.mark.parametrize(
    ("shift", "expected"), [(-0.3, "reproduced"), (-2.8, "close"), (-4.0, "differs")]
)
def test_a_verdict_follows_the_margin(tmp_path, shift, expected):
    made = runs(
        [row("cable", s, metrics=as_printed("cable", shift + 0.1 * s)) for s in SEEDS], tmp_path
    )
    assert tables.table1(made)["ours: Ours, 256 px"].loc["cable", "verdict"] == expected


def test_random_weights_have_a_cost_and_no_performance(tmp_path):
    cost = {"checkpoint_mib": 351.697, "image_seconds": [0.2, 0.25, 0.3]}
    made = [row(c, 1, weights="random", epochs=1, **cost) for c in MVTEC_CATEGORIES]
    block = tables.table3(runs(made, tmp_path))
    assert block["ours: memory (MiB)"].loc["Ours", "verdict"] == "reproduced"
    assert block["ours: seconds per image"].loc["Ours", "ours"] == pytest.approx(0.25)
    assert block["ours: image AUROC"].loc["Ours", "verdict"] == "not run"


def test_complexity_says_what_was_measured_and_no_performance_of_random_weights(tmp_path):
    cost = {"trained_mib": 319.7, "weights_mib": 414.5, "peak_mib": 1000.0, "bank_mib": None}
    made = []
    for seed, weights in ((1, "random"), (2, "IMAGENET1K_V1")):
        new = row("bottle", seed, weights=weights, checkpoint_mib=351.7)
        quartiles = {f"{n}_seconds": [0.1, 0.2, 0.3] for n in ("image", "teacher", "map")}
        new["cost"] |= quartiles | {k: v for k, v in cost.items() if v is not None}
        new["config"]["backbone"] = "resnet50" if seed == 2 else "wide_resnet50_2"
        made.append(new)
    table = tables.complexity_table(runs(made, tmp_path)).set_index("backbone")
    assert table.loc["wide_resnet50_2", "official checkpoint MiB"] == 351.7
    assert table["seconds"].tolist() == [0.2, 0.2]
    assert np.isnan(table.loc["wide_resnet50_2", "image AUROC"])
    assert table.loc["resnet50", "image AUROC"] == pytest.approx(100.0)
    assert tables.complexity_table(runs([], tmp_path / "none")).empty


def test_a_baseline_stands_beside_its_own_print(tmp_path, small_mvtec):
    padim = row("bottle", 1, method="padim", backbone="resnet18", padim_channels=100)
    lines = other_protocols(runs([padim], tmp_path)).set_index("metric")
    assert lines["printed"].to_dict() == {"image_auroc": 99.9, "pixel_auroc": 98.3, "pro": 94.8}
    run = rd.resolve(
        preset="quick",
        method="spade",
        category="bottle",
        data_root=str(small_mvtec),
        weights="random",
    )
    table = rd.beside_print({"image_auroc": 0.9, "pixel_auroc": 0.9}, run)
    assert table.loc["pixel_auroc", "paper (%)"] == 98.4
    assert np.isnan(table.loc["image_auroc", "paper (%)"])  # Table 1 has no SPADE


def test_variants_of_an_ablation_are_not_the_readmes_results(tmp_path):
    made = [row("bottle", s, epochs=40) for s in SEEDS]
    made += [row("bottle", s, epochs=40, bottleneck="oce") for s in SEEDS]
    table = tables.beside_table(runs(made, tmp_path), "made-up")
    assert set(table["differs in"]) == {"", "bottleneck=oce"}
    shown = usual_protocol(table)
    assert len(shown) == 3 and "differs in" not in shown


def test_two_seeds_are_no_verdict_and_one_has_no_interval(tmp_path):
    made = [row("cable", s) for s in (1, 2)] + [row("pill", 1)]
    block = tables.table1(runs(made, tmp_path))["ours: Ours, 256 px"]
    assert block.loc[["cable", "pill"], "verdict"].tolist() == ["no verdict"] * 2
    assert block.loc[["cable", "pill"], "n_seeds"].tolist() == [2, 1]
    assert block.loc["cable", "interval"] and not block.loc["pill", "interval"]
    assert not np.isnan(block.loc["pill", "delta"])


def test_fourteen_categories_are_no_average(tmp_path):
    made = [row(c, s) for c in MVTEC_CATEGORIES[1:] for s in SEEDS]
    block = tables.table1(runs(made, tmp_path))["ours: Ours, 256 px"]
    assert block.loc["average", "verdict"] == "incomplete (14/15)"
    assert np.isnan(block.loc["average", "delta"])
    assert block.loc["average_textures", "verdict"] == "incomplete (4/5)"
    assert block.loc["average_objects", "n_seeds"] == 3
    assert block.loc["carpet", "verdict"] == "not run"


def another(value):
    """Return a value of the same kind that differs."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple | list):
        return [3]
    return 7 if value is None else f"{value}-other"


ODD = {"normalise": "none", "early_stopping": "train", "validation_fraction": 0.25}


@pytest.mark.parametrize("name", sorted(protocol_defaults()))
def test_every_field_that_affects_a_result_takes_a_row_out_of_its_table(name, tmp_path):
    value = protocol_defaults()[name]
    changed = {name: ODD.get(name, another(value))}
    fits, leaves = row("carpet", 1), row("carpet", 2, **changed)
    cell = next(
        c
        for c in paper_cells("rd4ad", "1")
        if (c.category, c.method, c.image_size) == ("carpet", "Ours", 256)
    )
    assert cell_matches(fits, cell) and not cell_matches(leaves, cell)
    block = tables.table1(runs([fits, leaves], tmp_path))["ours: Ours, 256 px"]
    assert block.loc["carpet", "n_seeds"] == 1


def test_no_field_of_a_row_is_forgotten():
    free = {"category", "seed", *FREE_FIELDS}
    assert set(protocol_defaults()) == (set(asdict(RunConfig())) | set(later_fields())) - free


@pytest.mark.parametrize("name", ["seed", "precision", "eval_every"])
def test_what_affects_no_result_keeps_a_row(name, tmp_path):
    changed = {"seed": 9, "precision": "bfloat16", "eval_every": 10}[name]
    block = tables.table1(runs([row("carpet", **{name: changed})], tmp_path))["ours: Ours, 256 px"]
    assert block.loc["carpet", "n_seeds"] == 1


def test_of_two_rows_for_a_seed_the_newest_clean_one_counts(tmp_path):
    made = [
        row("carpet", 1, finished="2026-01-01", metrics={"image_auroc": 0.90}),
        row("carpet", 1, finished="2026-01-02", metrics={"image_auroc": 0.95}),
        row("carpet", 1, finished="2026-01-03", metrics={"image_auroc": 0.99}, dirty=True),
        row("grid", 1, dirty=None),
    ]
    table = runs(made, tmp_path)
    block = tables.table1(table)["ours: Ours, 256 px"]
    assert block.loc["carpet", "ours"] == pytest.approx(95.0)
    assert block.loc["carpet", "n_seeds"] == 1 and block.loc["grid", "verdict"] == "not run"
    reasons = left_out(table)["reason"].value_counts()
    assert reasons.to_dict() == {"not from a clean tree": 2, "superseded by a newer row": 1}


def test_a_collapsed_repetition_counts_and_is_flagged(tmp_path):
    made = [
        row("cable", s, metrics={"image_auroc": v})
        for s, v in zip(SEEDS, (0.95, 0.94, 0.4), strict=True)
    ]
    line = (
        compare(paper_cells("rd4ad", "1"), runs(made, tmp_path))
        .set_index(["category", "image_size"])
        .loc[("cable", 256)]
    )
    assert line["collapsed"] == 1 and line["ours"] == pytest.approx(100 * (0.95 + 0.94 + 0.4) / 3)


def test_embedded_rows_enter_no_table(tmp_path):
    made = runs(
        [row(c, s, dataset="synthetic") for c in ("carpet", "wood") for s in SEEDS], tmp_path
    )
    assert set(compare(printed_cells(), made)["verdict"]) == {"not run", "not printed"}
    assert other_protocols(made).empty


def test_other_protocols_stand_beside_print_without_a_verdict(tmp_path):
    made = [row("bottle", s, epochs=10, metrics={"image_auroc": 0.99}) for s in SEEDS]
    beside = other_protocols(runs(made, tmp_path)).set_index("metric")
    assert beside.loc["image_auroc", "delta"] == pytest.approx(-1.0)
    assert beside.loc["image_auroc", "n"] == 3 and "verdict" not in beside


def test_the_printed_order_is_judged(tmp_path):
    def made(values):
        layers = ([1], [2], [3], [2, 3], [1, 2, 3])
        return [
            row(c, 1, map_layers=k, metrics={"image_auroc": v})
            for k, v in zip(layers, values, strict=True)
            for c in MVTEC_CATEGORIES
        ]

    kept = tables.table7(runs(made((0.90, 0.95, 0.94, 0.96, 0.97)), tmp_path / "kept"))
    assert kept["ours", "order"]["image_auroc"] == "as printed"
    turned = tables.table7(runs(made((0.90, 0.94, 0.95, 0.96, 0.97)), tmp_path / "turned"))
    assert turned["ours", "order"]["image_auroc"] == "differs"


def test_table_3_holds_the_checkpoint_in_mib_and_no_verdict_on_time(tmp_path):
    cost = {"checkpoint_mib": 351.7, "image_seconds": [0.2, 0.25, 0.3]}
    block = tables.table3(runs([row("bottle", 1, image_size=224, **cost)], tmp_path))
    assert block["ours: memory (MiB)"].loc["Ours", "verdict"] == "reproduced"
    assert block["ours: seconds per image"].loc["Ours", "verdict"] == "no verdict"
    assert block["ours: seconds per image"].loc["Ours", "ours"] == 0.25
    trained = tables.table3(runs([row("bottle", 1, checkpoint_mib=319.7)], tmp_path / "trained"))
    assert trained["ours: memory (MiB)"].loc["Ours", "verdict"] == "differs"


def novelty(digit, seed=1, **changes):
    settings = {"dataset": "mnist", "score": "sum", "normalise": "none", "backbone": "resnet18"}
    settings |= {"image_size": 32, "normal_class": digit} | changes
    made = row("carpet", seed, **settings)
    made["config"]["category"] = str(digit)
    made["counts"] |= {"test_normal": 1000, "test_anomalous": 9000}
    return made


def test_table_4_averages_ten_classes_and_pools_no_two_protocols(tmp_path):
    long = [
        novelty(k, s, epochs=20, metrics={"image_auroc": 0.993}) for k in range(10) for s in SEEDS
    ]
    short = [
        novelty(k, epochs=2, metrics={"image_auroc": 0.5}, finished="2026-02-01") for k in range(9)
    ]
    block = tables.table4(runs(long + short, tmp_path))["ours: MNIST"]
    assert block.loc["Ours", ["ours", "n_seeds", "verdict"]].tolist() == [99.3, 3, "reproduced"]
    told = compare(paper_cells("rd4ad", "4"), runs(long, tmp_path / "long"))["footnotes"]
    assert any("epochs=20" in note and "float32 on cpu" in note for note in told)
    missing = tables.table4(runs(short, tmp_path / "short"))["ours: MNIST"]
    assert missing.loc["Ours", "verdict"] == "incomplete (9/10)"
    tuned = tables.table4(
        runs([novelty(k, normalise="imagenet") for k in range(10)], tmp_path / "tuned")
    )
    assert tuned["ours: MNIST"].loc["Ours", "verdict"] == "not run"


def scan(fold, value, **changes):
    coded = {"image_size": 224, "loss_reduction": "pointwise", "map_combine": "product"}
    coded |= {"oce_width": 64, "teacher_bn": "train", "epochs": 199, "split": "kfold"}
    settings = {"dataset": "head_ct", "fold": fold} | coded | changes
    return row("carpet", 1, metrics={"image_auroc": value}, **settings)


def test_medical_folds_are_repetitions_and_intervals_overlap(tmp_path):
    rows = [scan(k, v) for k, v in enumerate((0.80, 0.82, 0.84))]
    rows += [
        scan(k, 0.99 + k / 1000, early_stopping="train", patience=15, validation_fraction=0.25)
        for k in range(3)
    ]
    table = tables.medical3(runs(rows, tmp_path))
    ours = table["ours: Ours"].loc["head_ct"]
    assert ours[["n_seeds", "verdict"]].tolist() == [3, "overlaps"]
    assert ours["ours"] == pytest.approx(82.0)
    stopped = table["ours: Ours+ES"].loc["head_ct"]
    assert stopped[["n_seeds", "verdict"]].tolist() == [3, "does not overlap"]


def test_cells_are_the_papers_and_each_of_ours_has_a_protocol():
    cells = printed_cells()
    assert len(cells) == 758 and len({(*asdict(c).values(),)[:7] for c in cells}) == 758
    ours = [c for c in cells if c.method.startswith("Ours") or c.table in "567"]
    assert all(isinstance(c, Cell) for c in ours)
    assert all(c.protocol for c in cells if c.paper == "rd4ad" and c.method == "Ours")
    assert not any(c.protocol for c in cells if c.method in ("MKD", "RKD", "US", "CutPaste"))


@pytest.mark.parametrize(
    "name",
    [
        "table1",
        "table2",
        "table3",
        "table4",
        "table5",
        "table6",
        "table7",
        "medical1",
        "medical2",
        "medical3",
        "medical4",
    ],
)
def test_tables_without_rows_show_every_printed_cell(name, tmp_path):
    table = getattr(tables, name)(rd.load_runs(tmp_path))
    verdicts = [table[c] for c in table.columns if c[1] == "verdict"]
    said = set(pd.concat(verdicts).dropna())
    assert said <= {"not run", "not printed"} and "not run" in said
    files = tables.save_table(table, name, tmp_path / "tables")
    assert [f.suffix for f in files] == [".csv", ".md", ".tex"]
    assert "\\toprule" in files[2].read_text() and "not run" in files[0].read_text()
    back = pd.read_csv(files[0], index_col=0)
    assert list(back.index) == list(table.index)


def test_a_claim_has_the_verdict_of_its_cells(whole, tmp_path):
    claims = tables.claims_table(whole)
    backbones = claims[claims["evidence"].str.contains("ResNet18 image AUROC 97.9")]
    assert len(backbones) and backbones["our runs"].str.contains("not run").all()
    assert set(backbones["verdict"]) == {"open"}
    untested = claims[claims["evidence"] == "untested by the paper"]
    assert set(untested["verdict"]) == {"untested by the paper"} and len(untested) > 5
    assert claims["verdict"].eq("supported").any()
    assert "2.5%" in claims.loc["C2", "evidence"]
    missed = runs([row("transistor", s, metrics={"pixel_auroc": 0.8}) for s in SEEDS], tmp_path)
    assert tables.claims_table(missed)["verdict"].eq("contradicted in part").any()
    nothing = tables.claims_table(runs([row("bottle", 1, dataset="synthetic")], tmp_path / "none"))
    assert set(nothing["verdict"]) == {"not tested yet", "untested by the paper"}
    one_category = [row("bottle", 1, backbone="resnet18", oce_width=64)]  # of Table 6's fifteen
    nothing = tables.claims_table(runs(one_category, tmp_path / "one"))
    assert set(nothing["verdict"]) == {"not tested yet", "untested by the paper"}


def test_a_row_without_the_cost_hides_none_that_has_it(tmp_path):
    cost = {"checkpoint_mib": 351.7, "image_seconds": [0.2, 0.25, 0.3]}
    made = [row("bottle", s, **cost) for s in SEEDS]
    made += [row("cable", s, finished="2026-02-01") for s in SEEDS]
    table = runs(made, tmp_path)
    assert tables.table3(table)["ours: seconds per image"].loc["Ours", "n_seeds"] == 3
    assert left_out(table).empty


def test_rows_of_an_incomplete_average_stand_beside_print_too(tmp_path):
    made = [row("bottle", s, backbone="resnet18", oce_width=64) for s in SEEDS]
    made += [row("bottle", s, backbone="resnet18", oce_width=64, epochs=20) for s in SEEDS]
    made += [row("bottle", 1, finished="2026-02-01"), row("bottle", 1)]
    table = runs(made, tmp_path)
    assert set(tables.table6(table)["ours: ResNet18"]["verdict"]) == {"incomplete (1/15)"}
    beside = other_protocols(table)
    assert beside.groupby("epochs")["n"].unique().map(list).to_dict() == {20: [3], 200: [3]}
    assert set(beside["differs in"]) == {""} and set(beside["backbone"]) == {"resnet18"}
    whole_study = other_protocols(table, "made-up")
    assert set(whole_study["backbone"]) == {"resnet18", "wide_resnet50_2"}


def test_other_protocols_say_what_differs(tmp_path):
    made = [row("bottle", 1, loss_reduction="pointwise"), row("bottle", 1, image_size=512)]
    shipped = rd.resolve(preset="demo", backbone="efficientnet_lite0").config.weights
    lite0 = {"backbone": "efficientnet_lite0", "oce_width": 64, "epochs": 40}
    made += [
        row("bottle", 1, weights=shipped, **lite0),
        row("bottle", 1, weights="random", **lite0),
    ]
    beside = tables.beside_table(runs(made, tmp_path))
    assert set(beside["differs in"]) == {"loss_reduction=pointwise", "weights=random", ""}
    assert beside[beside["px"] == 512]["printed"].isna().all()


def test_the_extensions_average_leaves_out_what_its_print_does(tmp_path):
    coded = {"image_size": 224, "loss_reduction": "pointwise", "map_combine": "product"}
    coded |= {"oce_width": 64, "teacher_bn": "train", "epochs": 199, "loss": "mkd"}
    coded |= {"early_stopping": "train", "patience": 15, "validation_fraction": 0.25}
    made = [row(c, s, **coded) for c in ("carpet", "leather", "tile", "wood") for s in SEEDS]
    block = tables.medical4(runs(made, tmp_path))["ours: Ours+L_MKD, pixel AUROC"]
    assert block.loc["average_textures", "n_seeds"] == 3
    assert block.loc["grid", "verdict"] == "not printed"


def test_seeds_that_no_category_shares_make_no_average(tmp_path):
    made = [row(c, 1 + (c == "zipper")) for c in MVTEC_CATEGORIES]
    block = tables.table1(runs(made, tmp_path))["ours: Ours, 256 px"]
    assert block.loc["average", "verdict"] == "incomplete (no seed has all 15)"
    assert block.loc["average_textures", "n_seeds"] == 1


def test_the_smaller_of_two_open_protocols_is_listed(tmp_path):
    made = [novelty(k, epochs=20) for k in range(10)] + [novelty(k, epochs=2) for k in range(9)]
    reasons = left_out(runs(made, tmp_path))["reason"].value_counts()
    assert reasons.to_dict() == {"another choice of what print leaves open": 9}


def test_classes_of_caltech_are_repetitions_of_their_own(tmp_path):
    made = [
        novelty(k, s, dataset="caltech256", normalise="imagenet") for k in (3, 7) for s in SEEDS
    ]
    block = tables.table4(runs(made, tmp_path))["ours: Caltech-256"]
    assert block.loc["Ours", "n_seeds"] == 6


def test_a_turned_order_is_no_reproduction(tmp_path):
    values = {(1,): 90.1, (2,): 97.2, (3,): 97.5, (2, 3): 98.0, (1, 2, 3): 98.5}
    made = [
        row(c, s, map_layers=list(k), metrics={"image_auroc": v / 100})
        for k, v in values.items()
        for c in MVTEC_CATEGORIES
        for s in SEEDS
    ]
    block = tables.table7(runs(made, tmp_path))
    assert block["ours", "order"]["image_auroc"] == "differs"
    assert block["ours: M1"].loc["image_auroc", "verdict"] == "close"


def test_newest_is_newest_whatever_the_time_zone(tmp_path):
    early, late = row("carpet", 1, metrics={"image_auroc": 0.9}), row("carpet", 1)
    early["provenance"]["finished"] = "2026-01-01T10:00:00+09:00"
    late["provenance"]["finished"] = "2026-01-01T02:00:00+00:00"
    late["metrics"]["image_auroc"] = 0.95
    block = tables.table1(runs([late, early], tmp_path))["ours: Ours, 256 px"]
    assert block.loc["carpet", "ours"] == pytest.approx(95.0)


def chosen(made, preset, selection=None):
    """Return a made-up row with its preset, and with what its settings were chosen by."""
    made["provenance"] |= {"preset": preset} | ({"selection": selection} if selection else {})
    settings = json.dumps(made["config"]).encode()
    made["provenance"]["eval_key"] = hashlib.sha256(settings).hexdigest()[:16]
    return made


def classes(preset, values, **changes):
    """Return rows of all ten classes of MNIST, a list of AUROCs per seed."""
    selection = "other classes were used" if preset == "novelty_tuned" else None
    return [
        chosen(novelty(k, s, metrics=both(v), **changes), preset, selection)
        for s, v in enumerate(values, 1)
        for k in range(10)
    ]


def both(value):
    return {"image_auroc": value, "image_auroc_sum": value, "image_auroc_max": value - 0.1}


def test_settings_that_validation_chose_enter_no_verdict(tmp_path):
    made = classes("novelty_tuned", [0.993] * 3) + classes("novelty_official", [0.99], epochs=5)
    whole = runs(made, tmp_path)
    block = tables.table4(whole)["ours: MNIST"]
    assert block.loc["Ours", ["ours", "n_seeds"]].tolist() == pytest.approx([99.0, 1])
    reasons = left_out(whole)["reason"].value_counts()
    assert reasons["settings chosen by validation"] == 30
    assert other_protocols(whole).empty  # Table 4 has tables of its own


def test_table_4_in_full_by_hand(tmp_path):
    made = classes("novelty_official", [0.98, 0.99, 1.0]) + classes(
        "novelty_tuned", [0.97], sigma=0
    )
    table = averages_table(runs(made, tmp_path, "novelty"), tmp_path).set_index("preset")
    official, tuned = table.loc["novelty_official"], table.loc["novelty_tuned"]
    assert official[["ours", "seeds", "printed", "maximum"]].tolist() == pytest.approx(
        [99, 3, 99.3, 89]
    )
    assert official["delta"] == pytest.approx(-0.3)
    half = 4.302652729911275 / np.sqrt(3)
    assert official["over seeds"] == f"[{99 - half:.2f}, {99 + half:.2f}]"
    assert official["remark"] == "" and tuned["remark"] == "other classes were used"
    assert tuned["over seeds"] == "" and tuned["classes"] == "10/10"


def test_each_class_says_where_one_more_seed_will_lie(tmp_path):
    table = predictions_table(runs(classes("novelty_official", [0.98, 0.99]), tmp_path, "novelty"))
    assert table["seeds"].tolist() == [2] * 10
    assert table["image AUROC"].tolist() == pytest.approx([98.5] * 10)
    low, high = map(float, table["one more seed"][0].strip("[]").split(", "))
    assert low < 98 and high > 99


def test_only_whole_and_official_protocols_are_held_against_print(tmp_path):
    official = classes("novelty_official", [0.98], epochs=5, oce_width=64)
    others = classes("other", [0.993, 0.993, 0.993], image_size=64, epochs=2)
    assert tables.table4(runs(others, tmp_path / "a"))["ours: MNIST"].loc["Ours", "n_seeds"] == 3
    block = tables.table4(runs(official + others, tmp_path / "b"))["ours: MNIST"]
    assert block.loc["Ours", ["ours", "n_seeds"]].tolist() == pytest.approx([98, 1])
    random = classes("novelty_official", [0.993] * 3, epochs=5, weights="random")
    assert tables.table4(runs(random, tmp_path / "c"))["ours: MNIST"].loc["Ours", "n_seeds"] == 0
    small = classes("novelty_official", [0.993], epochs=5)
    for made in small:
        made["counts"]["test_anomalous"] = 10
    assert tables.table4(runs(small, tmp_path / "d"))["ours: MNIST"].loc["Ours", "n_seeds"] == 0
    reasons = set(left_out(rd.load_runs(tmp_path))["reason"])
    assert {"random weights", "not the whole test set"} <= reasons


def test_averages_pool_no_two_protocols_and_need_every_class(tmp_path):
    made = classes("novelty_official", [0.98, 0.99])
    made += [chosen(novelty(0, map_combine="product", metrics=both(0.5)), "novelty_official")]
    made += [chosen(novelty(3, seed=3, metrics=both(0.5)), "novelty_official")]  # no whole seed
    made += [
        chosen(novelty(k, split="validation", metrics=both(0.1)), "novelty_official")
        for k in range(10)
    ]
    made += [
        chosen(novelty(k, dataset="digits", metrics=both(0.1)), "novelty_demo") for k in range(10)
    ]
    dirty = classes("novelty_official", [0.1], epochs=9)
    for made_row in dirty:
        made_row["provenance"]["dirty"] = True
    whole = runs(made + dirty, tmp_path, "novelty")
    table = averages_table(whole, tmp_path)
    table = table.sort_values("seeds", ascending=False)
    assert table["seeds"].tolist() == [2, 0]
    assert table["ours"].tolist() == pytest.approx([98.5, np.nan], nan_ok=True)
    assert table["classes"].tolist() == ["10/10", "1/10"]
    low, high = map(float, table["over images"].iloc[0].strip("[]").split(", "))
    assert 80 < low < high <= 100
    assert predictions_table(whole)["seeds"].tolist() == [2, 2, 2, 3] + [2] * 6


def test_draws_of_caltech_have_no_interval_over_one_test_set(tmp_path):
    made = [
        chosen(novelty(k, dataset="caltech256", normalise="imagenet", metrics=both(0.9)), "p")
        for k in range(10)
    ]
    for k, made_row in enumerate(made):
        made_row["scores"] = {n: v[: 5 + k] for n, v in made_row["scores"].items()}
    line = averages_table(runs(made, tmp_path, "novelty"), tmp_path).iloc[0]
    assert line["seeds"] == 1 and line["over images"] == ""


def grid(dataset, seed, value, **changes):
    settings = {"split": "validation", "epochs": GRID_EPOCHS, "dataset": dataset}
    settings |= {"normalise": "imagenet" if dataset == "cifar10" else "none"} | changes
    return chosen(novelty(5, seed, metrics=both(value), **settings), "novelty_official")


def test_the_grid_pairs_by_class_and_seed(tmp_path):
    made = [grid("mnist", 1, 0.90), grid("mnist", 2, 0.91), grid("cifar10", 1, 0.7)]
    made += [grid("mnist", 1, 0.93, image_size=64), grid("mnist", 2, 0.95, image_size=64)]
    made += [grid("cifar10", 1, 0.6, normalise="none")]
    for made_row in made:
        rd.save_row(made_row, tmp_path / "novelty-grid")
    table = grid_table(rd.load_runs(tmp_path)).set_index("switch")
    assert table.loc["novelty_official", "MNIST, 5"] == pytest.approx(90.5)
    assert table.loc["64 pixels", "MNIST, 5"] == pytest.approx(3.5)
    assert table.loc["64 pixels", "pairs"] == 2
    assert table.loc["not normalised", "CIFAR-10, dog"] == pytest.approx(-10)
    assert np.isnan(table.loc["not normalised", "MNIST, 5"])  # as it is anyway
    assert table.loc["not normalised", "pairs"] == 1
    assert chosen_switches(rd.load_runs(tmp_path)) == []  # no switch has all its data sets
    effects = measured_effects(rd.load_runs(tmp_path)).set_index(["entry", "switch"])
    assert effects.loc[("D10", "`image_size=64`"), "mean"] == pytest.approx(3.5)
    assert list(effects.loc["D9"].index) == ["`normalise=none`"]


def test_the_extensions_presets_stand_beside_its_own_print():
    """Bottle of its Table 2 and carpet of its Table 4, whose "PRO" is recall at Youden's J."""
    metrics = {"pixel_auroc": 0.5, "pixel_aupro": 0.4, "recall_at_youden": 0.9}
    printed = {("extension", "bottle"): (98.4, 97.4), ("extension_mkd", "carpet"): (97.9, 92.7)}
    for (preset, category), (auroc, recall) in printed.items():
        config = RunConfig(category=category, image_size=224)
        table = rd.beside_print(metrics, SimpleNamespace(preset=preset, config=config))
        assert table.loc["pixel_auroc", "extension (%)"] == auroc
        assert table.loc["recall_at_youden", "extension (%)"] == recall
        assert table.loc["recall_at_youden", "difference"] == round(90 - recall, 1)
        assert np.isnan(table.loc["pixel_aupro", "extension (%)"])

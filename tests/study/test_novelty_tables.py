"""Table 4 in full, from rows: which protocols and seeds count, and the grid of choices."""

import numpy as np
import pytest
from builders import load
from study_rows import TUNED, all_classes, aurocs, class_row, grid_row

from rdrepro.study.novelty import STUDY, averages_table, predictions_table
from rdrepro.study.novelty_choice import GRID_STUDY, chosen_switches, grid_table

T_OF_TWO = 4.302652729911275  # Student's 97.5 % quantile at two degrees of freedom


def test_averages_by_hand(tmp_path):
    made = all_classes("novelty_official", [0.98, 0.99, 1.0])
    made += all_classes("novelty_tuned", [0.97], sigma=0.0)
    table = averages_table(load(made, tmp_path, STUDY), tmp_path).set_index("preset")
    official, tuned = table.loc["novelty_official"], table.loc["novelty_tuned"]
    found = official[["ours", "seeds", "printed", "maximum", "delta"]].tolist()
    assert found == pytest.approx([99, 3, 99.3, 89, -0.3])
    half = T_OF_TWO / np.sqrt(3)
    assert official["over seeds"] == f"[{99 - half:.2f}, {99 + half:.2f}]"
    assert official["remark"] == "" and tuned["remark"] == TUNED
    assert tuned["over seeds"] == "" and tuned["classes"] == "10/10"


def test_averages_pool_no_two_protocols_and_need_every_class(tmp_path):
    made = all_classes("novelty_official", [0.98, 0.99])
    made += [class_row(0, map_combine="product", metrics=aurocs(0.5))]
    made += [class_row(3, seed=3, metrics=aurocs(0.5))]  # no whole seed
    made += [class_row(k, split="validation", metrics=aurocs(0.1)) for k in range(10)]
    made += [class_row(k, dataset="digits", metrics=aurocs(0.1)) for k in range(10)]
    made += all_classes("novelty_official", [0.1], epochs=9, provenance={"dirty": True})
    runs = load(made, tmp_path, STUDY)
    table = averages_table(runs, tmp_path).sort_values("seeds", ascending=False)
    assert table["seeds"].tolist() == [2, 0]
    assert table["ours"].tolist() == pytest.approx([98.5, np.nan], nan_ok=True)
    assert table["classes"].tolist() == ["10/10", "1/10"]
    low, high = map(float, table["over images"].iloc[0].strip("[]").split(", "))
    assert 80 < low < high <= 100
    assert predictions_table(runs)["seeds"].tolist() == [2, 2, 2, 3] + [2] * 6


def test_draws_of_caltech_have_no_interval_over_one_test_set(tmp_path):
    drawn = {"dataset": "caltech256", "normalise": "imagenet", "metrics": aurocs(0.9)}
    made = [class_row(k, **drawn) for k in range(10)]
    for number, row in enumerate(made):
        row["scores"] = {name: values[: 5 + number] for name, values in row["scores"].items()}
    line = averages_table(load(made, tmp_path, STUDY), tmp_path).iloc[0]
    assert line["seeds"] == 1 and line["over images"] == ""


def test_each_class_has_an_interval_of_one_more_seed(tmp_path):
    runs = load(all_classes("novelty_official", [0.98, 0.99]), tmp_path, STUDY)
    table = predictions_table(runs)
    assert table["seeds"].tolist() == [2] * 10
    assert table["image AUROC"].tolist() == pytest.approx([98.5] * 10)
    low, high = map(float, table["one more seed"][0].strip("[]").split(", "))
    assert low < 98 and high > 99


def test_the_grid_pairs_by_class_and_seed(tmp_path):
    made = [grid_row("mnist", 1, 0.90), grid_row("mnist", 2, 0.91), grid_row("cifar10", 1, 0.7)]
    made += [grid_row("mnist", s, v, image_size=64) for s, v in ((1, 0.93), (2, 0.95))]
    made += [grid_row("cifar10", 1, 0.6, normalise="none")]
    runs = load(made, tmp_path, GRID_STUDY)
    table = grid_table(runs).set_index("switch")
    assert table.loc["novelty_official", "MNIST, 5"] == pytest.approx(90.5)
    assert table.loc["64 pixels", "MNIST, 5"] == pytest.approx(3.5)
    assert table.loc["64 pixels", "pairs"] == 2
    assert table.loc["not normalised", "CIFAR-10, dog"] == pytest.approx(-10)
    assert np.isnan(table.loc["not normalised", "MNIST, 5"])  # as it is anyway
    assert table.loc["not normalised", "pairs"] == 1
    assert chosen_switches(runs) == []  # no switch has all its data sets

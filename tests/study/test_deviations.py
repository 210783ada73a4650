"""The register of deviations, and what each switch changes, from rows."""

import re

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row
from study_rows import grid_row

from rdrepro import presets
from rdrepro.study.deviations import (
    EFFECT_METRICS,
    FORMULA,
    REGISTER_PARTS,
    effect_text,
    effects,
    effects_table,
    measured_effects,
    register,
)
from rdrepro.study.novelty_choice import GRID_STUDY

STUDY = "deviations"


def switched(seed, image_auroc, pixel_auroc=0.9, category="carpet", **switch):
    """A row of a study in which one switch is changed at a time."""
    metrics = {"image_auroc": image_auroc, "pixel_auroc": pixel_auroc}
    metrics |= {"pixel_aupro": 0.8, "pixel_aupro_official": 0.85}
    settings = {"dataset": "synthetic", "category": category, "seed": seed, "epochs": 7}
    return make_row(metrics=metrics, **settings | switch)


@pytest.fixture
def measured(tmp_path):
    """The effects of two switches over two seeds."""
    made = [switched(s, 0.90) for s in (1, 2)]
    made += [switched(s, 0.90 + s / 100, loss_reduction="pointwise") for s in (1, 2)]
    made += [switched(s, 0.90, align_corners=False) for s in (1, 2)]
    made += [switched(1, 0.1, loss_reduction="pointwise", align_corners=False)]  # two at once
    return measured_effects(load(made, tmp_path, STUDY))


def test_effects_are_paired_by_seed_and_switch_one_field(measured):
    lines = measured[measured["metric"] == "image_auroc"].set_index("entry")
    assert set(lines.index) == {"D1", "D14"}
    one = lines.loc["D1"]
    assert one[["seeds", "base", "mean"]].tolist() == pytest.approx([2, 90, 1.5])
    half = 12.706204736 * np.std([1, 2], ddof=1) / np.sqrt(2)
    assert (one["low"], one["high"]) == pytest.approx((1.5 - half, 1.5 + half))
    assert one["switch"] == "`loss_reduction=pointwise`"
    assert one["data"] == "synthetic carpet, wide_resnet50_2, 7 epochs"
    assert lines.loc["D14", "mean"] == 0


def test_the_official_formula_is_an_effect_on_the_same_maps(measured):
    formula = measured[measured["entry"] == FORMULA]
    assert formula["metric"].tolist() == ["pixel_aupro"]
    assert formula["mean"].tolist() == pytest.approx([5.0])


def test_an_official_formula_that_no_row_defines_is_not_measured(tmp_path):
    undefined = {"image_auroc": 0.9, "pixel_auroc": 0.9, "pixel_aupro": 0.8}
    undefined |= {"pixel_aupro_official": None}
    made = [make_row(metrics=undefined, dataset="synthetic", seed=s) for s in (1, 2)]
    table = effects_table(measured_effects(load(made, tmp_path, STUDY)))
    assert table.set_index("entry").loc[FORMULA, "AUPRO"] == "not measured yet"


def test_categories_are_averaged_before_seeds_are_compared(tmp_path):
    made = [switched(1, v, category=c) for c, v in (("carpet", 0.9), ("grid", 0.8))]
    made += [
        switched(1, v, category=c, sigma=4.0, map_combine="product")
        for c, v in (("carpet", 0.92), ("grid", 0.86))
    ]
    lines = effects(load(made, tmp_path, STUDY))
    line = lines[(lines["entry"] == "D15") & (lines["metric"] == "image_auroc")].iloc[0]
    assert line[["seeds", "base", "mean"]].tolist() == pytest.approx([1, 85, 4])
    assert line["data"].startswith("synthetic 2 categories")


def test_the_grid_of_novelty_detection_measures_deviations_too(tmp_path):
    made = [grid_row("mnist", s, v) for s, v in ((1, 0.90), (2, 0.91))]
    made += [grid_row("mnist", s, v, image_size=64) for s, v in ((1, 0.93), (2, 0.95))]
    made += [grid_row("cifar10", 1, 0.7), grid_row("cifar10", 1, 0.6, normalise="none")]
    found = measured_effects(load(made, tmp_path, GRID_STUDY)).set_index(["entry", "switch"])
    assert found.loc[("D10", "`image_size=64`"), "mean"] == pytest.approx(3.5)
    assert found.loc[("D9", "`normalise=none`"), "mean"] == pytest.approx(-10)
    assert list(found.loc["D9"].index) == ["`normalise=none`"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"mean": np.nan, "low": np.nan, "high": np.nan}, "not measured yet"),
        ({"mean": -0.5, "low": np.nan, "high": np.nan}, "-0.50 (one run)"),
        ({"mean": 1.0, "low": 0.5, "high": 1.5}, "+1.00 [+0.50, +1.50]"),
        ({"mean": 0.1, "low": -0.5, "high": 0.7}, "+0.10 [-0.50, +0.70]"),
        ({"mean": 0.1, "low": -0.5, "high": 0.7, "base": 99.5}, "not resolvable"),
        ({"mean": 2.0, "low": 2.0, "high": 2.001}, "+2.00 (all alike)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_effect_in_words(line, text):
    assert effect_text(pd.Series({"base": 90.0} | line)) == text


def test_the_table_of_effects_has_a_column_per_metric_and_entries_in_order(measured):
    second = measured[measured["entry"] == "D1"].assign(entry="D2")
    table = effects_table(pd.concat([measured, second]))
    assert table["entry"].tolist() == ["D1", "D2", "D14", FORMULA]
    assert list(table.columns)[-3:] == list(EFFECT_METRICS.values())
    formula = table.set_index("entry").loc[FORMULA]
    assert formula["image AUROC"] == "" and formula["AUPRO"] == "+5.00 (all alike)"


@pytest.mark.parametrize("part", REGISTER_PARTS)
def test_every_entry_of_the_register_states_an_effect_or_why_none_is_measured(part):
    table = register(pd.DataFrame(), part)
    letter = REGISTER_PARTS[part]
    numbers = [int(entry.removeprefix(letter)) for entry in table["id"]]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers) > 5
    assert (table["effect, in points"] != "").all()


def entry(number):
    """An entry of the extension's part of the register."""
    return register(pd.DataFrame(), "extension").set_index("id").loc[number]


def numbers_in(text):
    return {int(number) for number in re.findall(r"\d+", text)}


def test_the_register_has_the_epochs_and_sizes_of_mkd_that_the_presets_have():
    epochs = {*presets.MKD_EPOCHS.values(), presets.MKD_OTHER_EPOCHS}
    assert {n - 1 for n in epochs} <= numbers_in(entry("E14")["paper"])
    assert epochs <= numbers_in(entry("E14")["ours"])
    assert {*presets.MKD_IMAGE_SIZE.values(), 256} <= numbers_in(entry("E15")["code"])
    assert presets.MKD_OTHER_IMAGE_SIZE in numbers_in(entry("E15")["ours"])


@pytest.mark.parametrize(
    ("number", "habit"),
    [("E12", "kornia's"), ("E13", "|TPR - FPR|"), ("E16", "99th percentile")],
)
def test_the_register_has_the_habits_of_both_codes_that_no_switch_has(number, habit):
    assert habit in entry(number)["code"] and entry(number)["switch"] == "-"


def test_the_register_names_the_committed_rows_in_which_youdens_variant_can_differ(committed_runs):
    possible = committed_runs[committed_runs["pixel_auroc"] <= 5 / 8]
    assert set(zip(possible["study"], possible["category"], strict=True)) == {
        ("rotation", "transistor")
    }
    effect = entry("E13")["effect, in points"]
    angles = " and ".join(f"{angle:g}" for angle in sorted(possible["rotation"]))
    assert f"transistor turned by {angles} degrees" in effect


def test_the_register_states_what_was_measured_and_no_change_in_a_word(measured):
    stated = register(measured, "register").set_index("id")["effect, in points"]
    assert stated["D1"].startswith("synthetic carpet") and "image AUROC +1.50" in stated["D1"]
    assert stated["D14"].endswith(": no change")


def test_without_rows_nothing_is_measured(tmp_path):
    assert measured_effects(pd.DataFrame()).empty
    other = load([switched(1, 0.9)], tmp_path, "another-study")
    assert measured_effects(other).empty

"""The register of deviations, and what each switch changes, from rows."""

import re

import numpy as np
import pandas as pd
import pytest
from builders import ROOT, load, make_row
from study_rows import grid_row

from rdrepro import presets
from rdrepro.study.deviations import (
    EFFECT_METRICS,
    FORMULA,
    MEASURED,
    REGISTER_PARTS,
    effect_text,
    effects,
    effects_block,
    effects_in_words,
    effects_table,
    measured_effects,
    register,
    register_block,
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
    assert one["data"] == "carpet (embedded), WideResNet-50-2, 7 epochs"
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
    assert table.set_index("entry").loc[FORMULA, "change"] == "not measured"


def test_categories_are_averaged_before_seeds_are_compared(tmp_path):
    made = [switched(1, v, category=c) for c, v in (("carpet", 0.9), ("grid", 0.8))]
    made += [
        switched(1, v, category=c, sigma=4.0, map_combine="product")
        for c, v in (("carpet", 0.92), ("grid", 0.86))
    ]
    lines = effects(load(made, tmp_path, STUDY))
    line = lines[(lines["entry"] == "D15") & (lines["metric"] == "image_auroc")].iloc[0]
    assert line[["seeds", "base", "mean"]].tolist() == pytest.approx([1, 85, 4])
    assert line["data"].startswith("2 embedded categories")


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
        ({"mean": np.nan, "low": np.nan, "high": np.nan}, ("not measured", "")),
        ({"mean": -0.5, "low": np.nan, "high": np.nan}, ("-0.50", "one run")),
        ({"mean": 1.0, "low": 0.5, "high": 1.5}, ("+1.00", "[+0.50, +1.50]")),
        ({"mean": 0.1, "low": -0.5, "high": 0.7}, ("+0.10", "[-0.50, +0.70]")),
        ({"mean": 0.1, "low": -0.5, "high": 0.7, "base": 99.5}, ("not resolvable", "")),
        ({"mean": 2.0, "low": 2.0, "high": 2.001}, ("+2.00", "all alike")),
    ],
)
def test_an_effect_in_words(line, text):
    assert effect_text(pd.Series({"base": 90.0} | line)) == text


def test_the_table_of_effects_has_a_line_per_metric_and_entries_in_order(measured):
    second = measured[measured["entry"] == "D1"].assign(entry="D2")
    table = effects_table(pd.concat([second, measured]))
    metrics = list(EFFECT_METRICS.values())
    every = [(entry, metric) for entry in ("D1", "D2", "D14") for metric in metrics]
    assert list(zip(table["entry"], table["metric"], strict=True)) == [*every, (FORMULA, "AUPRO")]
    line = table.iloc[0]
    assert line["data"] == "carpet (embedded), WideResNet-50-2, 7 epochs"
    assert line[["default (%)", "change", "over"]].tolist() == ["90.0", "+1.50", "2 seeds"]
    assert table.iloc[-1][["change", "95 % interval"]].tolist() == ["+5.00", "all alike"]


def test_effects_over_folds_say_so(measured):
    folds = measured.iloc[:1].assign(data="head_ct, resnet18, 60 epochs, 5 folds", seeds=1)
    line = effects_table(folds).iloc[0]
    assert (line["data"], line["over"]) == ("Head CT, ResNet-18, 60 epochs", "5 folds")


@pytest.mark.parametrize("part", REGISTER_PARTS)
def test_every_entry_is_one_line_and_says_what_is_known_of_its_effect(part):
    table = register(pd.DataFrame(), part)
    letter = REGISTER_PARTS[part]
    numbers = [int(entry.removeprefix(letter)) for entry in table["id"]]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers) > 5
    assert table["effect"].str.split().str.len().between(2, 3).all()
    assert table.drop(columns="switch").map(len).to_numpy().max() <= 90


# DEVIATIONS.md


@pytest.fixture(scope="module")
def text():
    return (ROOT / "DEVIATIONS.md").read_text()


def test_every_link_within_the_text_has_an_anchor(text):
    anchors = re.findall(r'<a id="([^"]+)">', text)
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    anchors += [heading.lower().replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors))
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links <= set(anchors) and {"d1-effects", "d1", "o18-notes"} <= links
    effects = {anchor for anchor in anchors if anchor.endswith("-effects")}
    assert effects == {link for link in links if link.endswith("-effects")}
    noted = {anchor for anchor in anchors if anchor.endswith("-notes")}
    assert noted - {link for link in links if link.endswith("-notes")} == set()


def test_sentences_are_short(text):
    notes = re.sub(r"\n {3,}", " ", text.partition("## Notes")[2])
    items = re.findall(r"^\d+\. (.+)$", notes, flags=re.MULTILINE)
    sentences = [s for item in items for s in re.split(r"(?<=[.:])\s", item)]
    assert len(sentences) > 100
    assert not [s for s in sentences if len(s.split()) > 30]


def test_blocks_link_entries_effects_and_notes(measured):
    lines = register_block(measured, "register").splitlines()
    assert lines[2].startswith('| <a id="d1"></a>[D1](#d1-effects) |')
    assert lines[4].startswith('| <a id="d3"></a>D3 |')
    assert "([notes](#d4-notes))" in lines[5]
    found = effects_block(measured).splitlines()[2:]
    assert found[0].startswith('| <a id="d1-effects"></a>[D1](#d1) |')
    assert found[1].startswith("| [D1](#d1) |")


def test_effects_in_words_name_the_largest_that_is_resolved(measured):
    sure = measured[measured["entry"] == FORMULA].assign(low=4.0, high=6.0)
    words = effects_in_words(pd.concat([measured[measured["entry"] == "D14"], sure]))
    assert "the effect of 2 was measured" in words and "For 1 of 4 measured" in words
    assert words.endswith("`pixel_aupro_official` changes AUPRO by +5.0 points [4.0, 6.0].")
    assert effects_in_words(pd.DataFrame()).endswith("no effect was measured.")


def entry(number):
    """An entry of the extension's part of the register."""
    return register(pd.DataFrame(), "extension").set_index("id").loc[number]


def numbers_in(text):
    return {int(number) for number in re.findall(r"\d+", text)}


def notes_on(number, text):
    """The notes on an entry in DEVIATIONS.md."""
    return text.partition(f"</a>{number}. ")[2].partition("###")[0]


def test_the_notes_have_the_epochs_and_sizes_of_mkd_that_the_presets_have(text):
    epochs = {*presets.MKD_EPOCHS.values(), presets.MKD_OTHER_EPOCHS}
    assert epochs | {n - 1 for n in epochs} <= numbers_in(notes_on("E14", text))
    assert {n - 1 for n in epochs} <= numbers_in(entry("E14")["paper"])
    assert epochs <= numbers_in(entry("E14")["ours"])
    sizes = {*presets.MKD_IMAGE_SIZE.values(), presets.MKD_OTHER_IMAGE_SIZE}
    assert sizes | {256} <= numbers_in(notes_on("E15", text))


@pytest.mark.parametrize(
    ("number", "habit"),
    [("E12", "kornia's"), ("E13", "|TPR - FPR|"), ("E16", "scaled and clipped")],
)
def test_the_register_has_the_habits_of_both_codes_that_no_switch_has(number, habit):
    assert habit in entry(number)["code"] and entry(number)["switch"] == "-"


def test_the_notes_name_the_committed_rows_in_which_youdens_variant_can_differ(
    committed_runs, text
):
    possible = committed_runs[committed_runs["pixel_auroc"] <= 5 / 8]
    assert set(zip(possible["study"], possible["category"], strict=True)) == {
        ("rotation", "transistor")
    }
    angles = " and ".join(f"{angle:g}" for angle in sorted(possible["rotation"]))
    assert f"transistor rotated by {angles} degrees" in " ".join(notes_on("E13", text).split())


def test_the_register_says_which_entries_were_measured(measured):
    effect = register(measured, "register").set_index("id")["effect"]
    assert set(effect.index[effect == MEASURED]) == {"D1", "D14", FORMULA}
    assert effect["D2"] == "not measured"


def test_without_rows_nothing_is_measured(tmp_path):
    assert measured_effects(pd.DataFrame()).empty
    other = load([switched(1, 0.9)], tmp_path, "another-study")
    assert measured_effects(other).empty

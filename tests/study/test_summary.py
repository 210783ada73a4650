"""The summary: which result stands for a table, and what its sentences say of rows."""

import pandas as pd
import pytest
from builders import load, make_row
from study_rows import SEEDS, all_classes, as_printed

from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import in_short, summary
from rdrepro.study.evidence import TABLES
from rdrepro.study.found import Found, and_, find, met_by_readings, steps_in_short
from rdrepro.study.novelty import STUDY
from rdrepro.study.summary import at_a_glance, headline_rows

EMPTY = pd.DataFrame()
SMALL = {"category": "bottle", "backbone": "resnet18", "oce_width": 64}


def bottles(value, seeds=SEEDS, **changes):
    """Rows of bottle with one image AUROC, a row per seed."""
    metrics = {"image_auroc": value}
    return [make_row(metrics=metrics, seed=seed, **SMALL | changes) for seed in seeds]


def headline(rows, folder, table="Table 1"):
    """The line of a table among the headlines of rows."""
    return headline_rows(load(rows, folder)).set_index("table").loc[table]


# What stands for a table


def test_a_better_value_of_a_lower_tier_loses(tmp_path):
    worse = [make_row(category="bottle", seed=s, metrics={"image_auroc": 0.7}) for s in SEEDS]
    line = headline(bottles(1.0) + worse, tmp_path)
    assert (line["ours"], line["what differs"]) == ("70.0", "nothing")


# In both, the loser differs from the protocol in fewer words or comes first by name.


def test_a_better_value_of_fewer_epochs_loses(tmp_path):
    paper = {"backbone": "wide_resnet50_2", "oce_width": 128}
    line = headline(bottles(0.99, epochs=100, **paper) + bottles(0.8), tmp_path)
    assert (line["ours"], line["what differs"]) == ("80.0", "ResNet-18 for WideResNet-50-2")


def test_a_better_value_at_a_smaller_image_size_loses(tmp_path):
    line = headline(bottles(0.99, image_size=128) + bottles(0.8, seeds=(1,)), tmp_path)
    assert (line["what"], line["ours"]) == ("bottle, image AUROC", "80.0")


def test_a_better_value_of_fewer_seeds_loses(tmp_path):
    other = {"backbone": "resnet50", "oce_width": 64}
    line = headline(bottles(0.99, seeds=(1,)) + bottles(0.8, **other), tmp_path)
    assert (line["ours"], line["95 % interval"]) == ("80.0", "[80.0, 80.0]")


@pytest.mark.parametrize("order", [1, -1])
def test_among_equals_the_order_of_rows_decides_nothing(order, tmp_path):
    rows = bottles(0.9, backbone="resnet18") + bottles(0.9, backbone="resnet50")
    line = headline(rows[::order], tmp_path)
    assert line["what differs"] == "ResNet-18 for WideResNet-50-2"


def test_steps_name_only_categories_that_have_any(tmp_path):
    columns = [{"bottleneck": "oce"}, {"bottleneck": "oce+mff"}]
    rows = [row for column in columns for row in bottles(0.9, **column)]
    rows += bottles(0.9, category="transistor")
    text = steps_in_short(find(load(rows, tmp_path)), "5")
    assert text.startswith("on bottle, ") and "transistor" not in text


def test_with_too_many_tables_the_highest_tier_stays_and_not_the_highest_value(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(summary, "MOST_ROWS", 1)
    rows = all_classes("novelty_official", [0.5]) + bottles(1.0)
    assert list(headline_rows(load(rows, tmp_path, STUDY))["table"]) == ["Table 4"]


def test_among_equals_the_first_name_stands(tmp_path):
    rows = [make_row(category=c, metrics={"image_auroc": v}) for c, v in (("wood", 1), ("pill", 0))]
    assert headline(rows, tmp_path)["what"] == "pill, image AUROC"


def test_a_run_that_differs_in_more_than_its_scale_stands_for_nothing(tmp_path):
    assert headline_rows(load(bottles(0.9, sigma=2.0), tmp_path)).empty


def test_embedded_rows_and_random_teachers_stand_for_nothing(tmp_path):
    rows = bottles(0.9, dataset="synthetic") + bottles(0.9, weights="random")
    runs = load(rows, tmp_path)
    assert headline_rows(runs).empty
    lines = at_a_glance(runs)
    assert set(lines["outcome"]) == {"not tested", "only embedded images ran"}
    assert set(lines["tier"]) == {"not run", "embedded"}


def test_a_gain_is_paired_by_seed(tmp_path):
    rows = [
        make_row(seed=s, metrics={"image_auroc": v}, bottleneck=b, **SMALL)
        for b, values in (("pretrained", (0.5, 0.6)), ("oce+mff", (0.7, 0.9)))
        for s, v in enumerate(values, 1)
    ]
    found = find(load(rows, tmp_path)).evidence["rd4ad", "5"]
    (one,) = [x for x in found if x.metric == "image_auroc"]
    assert one.what.endswith("Pre to Pre+OCE+MFM") and one.ours == pytest.approx(25)
    assert one.printed == pytest.approx(98.5 - 96.0) and one.seeds == 2


def test_at_most_eight_tables_have_a_headline(committed_runs):
    lines = headline_rows(committed_runs)
    ran = [key for key in TABLES if find(committed_runs).evidence[key]]
    assert 0 < len(lines) == min(len(ran), summary.MOST_ROWS)
    assert lines["table"].is_unique


# At a glance


def test_hours_count_a_reused_student_once(tmp_path):
    cost = {"train_seconds": 3600.0, "predict_seconds": 1800.0}
    reused = {"student_reused": True}
    rows = bottles(0.9, seeds=(1,), cost=cost)
    rows += bottles(0.9, seeds=(2,), cost=cost, provenance=reused)
    line = at_a_glance(load(rows, tmp_path)).iloc[0]
    assert line["hours"] == "2.0"
    assert line["scope"] == f"1 of {len(MVTEC_CATEGORIES)} categories (bottle)"


def test_every_table_has_a_line_also_without_rows():
    table = at_a_glance(EMPTY)
    assert len(table) == len(TABLES) and set(table["outcome"]) == {"not tested"}
    assert headline_rows(EMPTY).empty


@pytest.mark.parametrize(
    ("value", "said"), [(0.9, "10.0 points below"), (1.0, "as printed"), (0.9996, "as printed")]
)
def test_a_difference_in_words(value, said, tmp_path):
    line = at_a_glance(load(bottles(value), tmp_path)).iloc[0]
    assert line["outcome"] == f"image AUROC: {said}; no verdict"


# Sentences


def test_without_rows_the_sentences_say_so():
    assert in_short.in_short(EMPTY) == in_short.where_it_stands(EMPTY) == [in_short.NOTHING]


def test_without_a_verdict_the_first_sentence_says_so(tmp_path):
    first = in_short.in_short(load(bottles(0.9), tmp_path))[0]
    assert first.startswith("**Does Reverse Distillation reproduce?** It cannot be said yet.")


def test_verdicts_of_the_main_tables_are_counted(tmp_path):
    rows = [
        make_row(category=c, seed=s, metrics=as_printed(c, shift + s / 10))
        for c, shift in (("cable", -9), ("wood", 0))
        for s in SEEDS
    ]
    first, missed, kept, *_ = in_short.in_short(load(rows, tmp_path))
    assert "Of the accuracies in Tables 1 and 2, 6 have a verdict: differs 3, close 0" in first
    assert "3 of 6 verdicts are misses: Table 1, cable, image AUROC (-8.8 points)" in missed
    assert "Table 2, wood, PRO" in kept


def test_the_largest_miss_comes_first_and_a_wide_interval_is_close(tmp_path):
    made = [("pill", -7 + s / 10, s) for s in SEEDS] + [("tile", -20 + s / 10, s) for s in SEEDS]
    made += [("cable", shift, s) for s, shift in zip(SEEDS, (-4, 0, 2), strict=True)]
    rows = [make_row(category=c, seed=s, metrics=as_printed(c, shift)) for c, shift, s in made]
    first, missed, *_ = in_short.in_short(load(rows, tmp_path))
    assert "9 have a verdict: differs 6, close 3, reproduced 0" in first
    assert "tile" in missed.split(";")[0] and "and 3 more" in missed


@pytest.mark.parametrize(
    ("overlap", "counts"),
    [(["overlaps", "does not overlap", "overlaps", ""], (2, 3)), ([], (0, 0))],
)
def test_readings_that_overlap_are_counted_among_those_that_can(overlap, counts):
    columns = pd.DataFrame({"overlap": overlap})
    assert met_by_readings(Found(EMPTY, EMPTY, columns, {})) == counts


def test_novelty_detection_is_above_or_below_and_lacks_seeds(tmp_path):
    rows = all_classes("novelty_official", [0.98])
    line = in_short.where_it_stands(load(rows, tmp_path, STUDY))[1]
    assert "1.3 points below on MNIST" in line and "MNIST has too few seeds" in line


def test_what_is_missing_shrinks_with_the_rows(tmp_path):
    some = in_short.in_short(load([make_row(category="bottle")], tmp_path / "some"))[-1]
    assert "14 of 15 categories" in some and "No run has the paper's teacher" not in some
    every = [make_row(category=c) for c in MVTEC_CATEGORIES]
    assert "categories of MVTec AD" not in in_short.in_short(load(every, tmp_path / "all"))[-1]


def test_the_committed_rows_fill_every_line(committed_runs):
    found = dict(said.removeprefix("**").split("** ") for said in in_short.in_short(committed_runs))
    assert len(found) == 5
    # Results of a reduced protocol are in a paragraph of their own.
    assert "bottle" not in found["Misses."] + found["What was reproduced."]
    assert "bottle" in found["What else was seen."]
    assert len(in_short.where_it_stands(committed_runs)) == 5


@pytest.mark.parametrize(
    ("words", "said"), [(["a"], "a"), ("ab", "a and b"), (["a_b", "c", "d"], "a b, c and d")]
)
def test_words_in_a_row(words, said):
    assert and_(words) == said

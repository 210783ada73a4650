"""Tables 5-7: the variants that notebooks run, and the steps between columns, from rows."""

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row

from rdrepro.backbones import LITE0, RANDOM, usual_weights
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import ablation

T_OF_TWO = 4.302652729911275  # Student's 97.5 % quantile at two degrees of freedom
TESTED, TRAINED = ablation.READING_TITLES


def image_auroc(made, table, folder):
    """Image AUROC by `steps`, of rows given as category, seed, changes and percent."""
    lines = ablation.steps(runs_of(made, folder), table)
    return lines[lines["metric"] == "image AUROC"]


def order_of(made, table, folder):
    """How the columns order in image AUROC."""
    found = ablation.orders(runs_of(made, folder), table)
    return found.set_index("metric").loc["image AUROC"]


def runs_of(made, folder):
    """A table of rows given as category, seed, changes and image AUROC in percent."""
    rows = [
        make_row(
            category=category, seed=seed, epochs=7, metrics={"image_auroc": value / 100}, **changes
        )
        for category, seed, changes, value in made
    ]
    return load(rows, folder)


# Variants


def test_backbones_are_named_with_or_without_weights():
    variants = ablation.backbone_variants("resnet18=a.pth, timm/x ,resnet18=random", False)
    assert variants == {
        "resnet18, a.pth": {"backbone": "resnet18", "weights": "a.pth"},
        "timm/x": {"backbone": "timm/x"},
        "resnet18, random": {"backbone": "resnet18", "weights": "random"},
    }
    assert list(ablation.backbone_variants(None, False)) == [
        "resnet18",
        "resnet50",
        "wide_resnet50_2",
    ]
    assert list(ablation.backbone_variants(None, True)) == [LITE0, f"{LITE0}, {RANDOM}"]
    for wrong in ("resnet18,resnet18", "resnet18,,resnet50"):
        with pytest.raises(ValueError, match="is empty or repeated"):
            ablation.backbone_variants(wrong, False)


def test_readings_of_table_7():
    assert ablation.layer_variants("test")["M2,3"] == {"map_layers": "2,3"}
    trained = ablation.layer_variants("train")
    assert trained["M2,3 (trained)"] == {"train_layers": "2,3", "map_layers": "2,3"}
    assert len(ablation.layer_variants("both")) == 9
    with pytest.raises(ValueError, match="reading='best' is not test, train or both"):
        ablation.layer_variants("best")


# Steps from column to column


def test_steps_are_paired_by_category_and_seed(tmp_path):
    values = {"pretrained": (90, 92, 97), "oce": (91, 94, 98), "oce+mff": (93, 95, 99)}
    made = [
        ("bottle", seed, {"bottleneck": b}, v)
        for b, line in values.items()
        for seed, v in enumerate(line)
    ]
    made.append(("bottle", 9, {"bottleneck": "oce"}, 50))  # without a partner
    found = image_auroc(made, "5", tmp_path).set_index("column")
    assert list(found.index) == ["Pre", "Pre+OCE", "Pre+OCE+MFM"]
    assert found["ours"].tolist() == pytest.approx([93, 94.333333, 95.666667])
    assert found.loc["Pre+OCE", "change"] == pytest.approx(4 / 3)
    half = T_OF_TWO * np.std([1, 2, 1], ddof=1) / np.sqrt(3)
    assert found.loc["Pre+OCE", "change_high"] == pytest.approx(4 / 3 + half)
    assert (found["n"] == 3).all() and (found["over"] == "seeds").all()
    assert found["printed"].tolist() == [96.0, 97.9, 98.5]


def test_one_seed_repeats_over_categories_and_other_protocols_stay_apart(tmp_path):
    layers = {"map_layers": (2, 3)}
    made = [(c, 1, {}, 90 + i) for i, c in enumerate(("carpet", "grid", "tile"))]
    made += [(c, 1, layers, 91 + i) for i, c in enumerate(("carpet", "grid", "tile"))]
    made += [("carpet", 1, layers | {"sigma": 2.0}, 10)]
    found = image_auroc(made, "7", tmp_path).set_index("column")
    assert list(found.index) == ["M2,3", "M1,2,3"]
    assert found["over"].tolist() == ["categories"] * 2 and found["n"].tolist() == [3, 3]
    assert found.loc["M1,2,3", "change"] == pytest.approx(-1)


def test_trained_layers_are_a_reading_of_their_own(tmp_path):
    made = [("bottle", 1, {}, 95), ("bottle", 1, {"map_layers": (3,)}, 94)]
    made += [("bottle", 1, {"map_layers": (3,), "train_layers": (3,)}, 80)]
    found = image_auroc(made, "7", tmp_path).set_index(["reading", "column"])["ours"]
    assert found[TESTED, "M3"] == pytest.approx(94)
    assert found[TRAINED, "M3"] == pytest.approx(80)
    assert found[TRAINED, "M1,2,3"] == pytest.approx(95)


def test_a_random_teacher_is_no_column_of_table_6(tmp_path):
    small, random = {"backbone": "resnet18", "oce_width": 64}, {"weights": RANDOM}
    made = [("bottle", 1, {"backbone": "resnet50", "oce_width": 64}, 98), ("bottle", 1, small, 97)]
    made += [("bottle", 1, small | random, 60)]
    lite0 = {"backbone": LITE0, "oce_width": 64, "weights": usual_weights(LITE0)}
    made += [("bottle", 1, lite0, 90)]
    found = image_auroc(made, "6", tmp_path).set_index("column")
    assert found["ours"].to_dict() == pytest.approx(
        {"ResNet18": 97, "ResNet50": 98, "EfficientNet-Lite0": 90, "ResNet-18, random": 60}
    )
    assert np.isnan(found.loc["ResNet-18, random", "printed"])


def test_other_weights_make_a_comparison_of_teachers_reduced(tmp_path):
    resnet18 = {"backbone": "resnet18"}
    resnet50 = {"backbone": "resnet50", "weights": "sha256:0123456789abcdef"}
    protocol = {"dataset": "mvtec", "image_size": 256, "batch_size": 16, "oce_width": 64}
    rows = [
        make_row(category="wood", epochs=200, **protocol, **teacher)
        for teacher in (resnet18, resnet50)
    ]
    other = "ResNet50, weights 01234567"
    lines = ablation.steps(load(rows, tmp_path / "other"), "6")
    found = lines.drop_duplicates("column").set_index("column")
    assert found["tier"].to_dict() == {
        "ResNet18": "reduced (1 of 15 categories)",
        other: "reduced (1 of 15 categories; weights=sha256:0123456789abcdef)",
    }
    assert found["printed"].tolist() == [97.9, 98.4]  # each teacher's, whatever its weights
    rows[1]["config"]["weights"] = rows[0]["config"]["weights"]
    usual = ablation.steps(load(rows, tmp_path / "usual"), "6")
    assert set(usual["tier"]) == {"reduced (1 of 15 categories)"}


def test_all_categories_have_the_printed_protocol_in_every_column(tmp_path):
    layers = ({}, {"map_layers": (3,)})
    made = [make_row(category=c, **x) for c in MVTEC_CATEGORIES for x in layers]
    lines = ablation.steps(load(made, tmp_path), "7")
    tested = lines[lines["reading"] == TESTED]
    assert set(tested["tier"]) == {"printed protocol"}


def test_two_weights_of_one_teacher_make_no_order(tmp_path):
    teacher = {"backbone": "resnet50"}
    made = [("bottle", 1, teacher, 98)]
    made += [("bottle", 1, teacher | {"weights": "sha256:0123456789abcdef"}, 97)]
    assert ablation.orders(runs_of(made, tmp_path), "6").empty


def test_seeds_without_every_category_are_no_repetitions(tmp_path):
    layers = {"map_layers": (3,)}
    made = [(c, 1, x, v) for c, v in (("carpet", 90), ("grid", 80)) for x in ({}, layers)]
    made += [("carpet", seed, x, 99) for seed in (2, 3) for x in ({}, layers)]
    lines = image_auroc(made, "7", tmp_path)
    found = lines[lines["reading"] == TESTED]
    assert found["over"].tolist() == ["categories"] * 2 and found["n"].tolist() == [2, 2]
    assert found["ours"].tolist() == pytest.approx([85, 85])


def test_one_column_alone_is_no_step(tmp_path):
    made = [("bottle", seed, {}, 95) for seed in (1, 2)]
    assert ablation.steps(runs_of(made, tmp_path), "7").empty


def test_no_rows_and_dirty_rows_make_no_table(tmp_path):
    made = [("bottle", 1, {}, 95), ("bottle", 1, {"map_layers": (3,)}, 94)]
    found = runs_of(made, tmp_path)
    assert len(ablation.ablation_table(found, "7"))
    for table in (found.assign(**{"provenance.dirty": True}), found.iloc[:0]):
        assert ablation.ablation_table(table, "7").empty and ablation.orders(table, "7").empty


def test_the_table_says_each_value_its_change_and_the_printed_one(tmp_path):
    made = [("bottle", s, {}, 95 + s) for s in (1, 2)]
    made += [("bottle", s, {"map_layers": (3,)}, 94 + s) for s in (1, 2)]
    table = ablation.ablation_table(runs_of(made, tmp_path), "7")
    line = table[table["reading"] == TESTED].set_index("column").loc["M1,2,3"]
    assert line["image AUROC"].startswith("96.50 [") and line["over"] == "2 seeds"
    assert line["image AUROC: change"] == "+1.00 [+1.00, +1.00]"
    assert line["image AUROC: printed"] == 98.5


# Orders

ORDERS = {
    "as printed": ((90, 91, 90), (92, 93, 92), (95, 96, 95.5)),
    "tied": ((100, 100, 100),) * 3,
    "differs": ((95, 96, 95.5), (92, 93, 92), (90, 91, 90)),
}


@pytest.mark.parametrize("expected", ORDERS)
def test_orders_have_ties_and_directions(tmp_path, expected):
    made = [
        ("bottle", seed, {"bottleneck": b}, v)
        for b, line in zip(("pretrained", "oce", "oce+mff"), ORDERS[expected], strict=True)
        for seed, v in enumerate(line)
    ]
    found = order_of(made, "5", tmp_path)
    assert found["order"] == expected
    steps = {"as printed": (2, 0, 0), "tied": (0, 0, 2), "differs": (0, 2, 0)}[expected]
    named = ("steps as printed", "steps against the printed order", "steps not resolved")
    assert tuple(found[list(named)]) == steps


def test_our_order_is_from_the_lowest_to_the_highest(tmp_path):
    made = [("carpet", 1, {}, 90), ("carpet", 1, {"map_layers": (2, 3)}, 91)]
    found = order_of(made, "7", tmp_path)
    assert (found["our order"], found["order"]) == ("M1,2,3 < M2,3", "differs")


def test_equal_values_are_joined_by_a_sign_of_equality():
    known = pd.DataFrame({"column": ["M1", "M2", "M3"], "ours": [100.0, 99.0, 99.0 + 1e-12]})
    assert ablation._rising(known) == "M2 = M3 < M1"


def test_printed_ties_bind_nothing():
    known = pd.DataFrame({"printed": [94.0, 96.9, 96.9], "ours": [90.0, 97.0, 95.0]})
    assert ablation._order(known) == "as printed"


# In words and as tables to read


def test_steps_in_words_count_the_directions_and_name_the_metrics(tmp_path):
    made = [
        ("bottle", seed, {"bottleneck": b}, v)
        for b, line in zip(("pretrained", "oce", "oce+mff"), ORDERS["as printed"], strict=True)
        for seed, v in enumerate(line)
    ]
    order = ablation.orders(runs_of(made, tmp_path), "5")
    part = order[order["metric"] == "image AUROC"]
    assert ablation.steps_in_words(part) == [
        "bottle (MVTec AD), WideResNet-50-2, 7 epochs: of 2 steps, 2 go in the printed direction, "
        "0 in the other, and 0 are not resolved. All metrics have the printed order."
    ]
    both = pd.concat([part, part.assign(metric="PRO", order="differs")])
    assert ablation.steps_in_words(both)[0].endswith("Only image AUROC has the printed order.")
    assert ablation.steps_in_words(pd.DataFrame()) == []


def test_a_table_to_read_has_a_block_per_metric(tmp_path):
    made = [("bottle", s, {}, 95 + s) for s in (1, 2)]
    made += [("bottle", s, {"map_layers": (1, 3)}, 94 + s) for s in (1, 2)]
    lines = ablation.steps(runs_of(made, tmp_path), "7")
    ((caption, table),) = ablation.shape_tables(lines)
    assert caption.startswith("bottle (MVTec AD), WideResNet-50-2, 7 epochs; maps chosen at")
    assert caption.endswith("; mean over 2 seeds; tier: reduced")
    auroc = table["image AUROC"]
    assert list(auroc.index) == ["M1,2,3", "M1,3"]
    assert auroc["printed"].tolist() == ["98.5", "-"]
    assert auroc["ours"].tolist() == ["96.5", "95.5"]
    assert auroc["change [95 % interval]"].tolist() == ["", "-1.00 [-1.00, -1.00]"]
    assert list(ablation.shape_tables(pd.DataFrame())) == []

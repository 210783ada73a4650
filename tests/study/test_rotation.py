"""Rows of rotated test images: the table by angle, and what rotation changes."""

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row
from sklearn.metrics import roc_auc_score

from rdrepro.backbones import LITE0
from rdrepro.study import rotation
from rdrepro.study.report import shapes
from rdrepro.study.rotation import DROP, RANGE, ROTATION_STUDY

NAMES = [f"wood/test/{kind}/{i}.png" for kind in ("good", "hole") for i in range(4)]
LABELS = [0] * 4 + [1] * 4
PERFECT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]  # AUROC 1
ONE_OFF = [0.1, 0.2, 0.3, 0.55, 0.5, 0.6, 0.7, 0.8]  # 15 of 16 pairs
FOUR_OFF = [0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.7, 0.8]  # 12 of 16 pairs


def row(angle, scores, seed=1, pixel=0.9, names=NAMES, dirty=False, **changes):
    """A row of the study on embedded wood."""
    settings = {"dataset": "synthetic", "category": "wood", "backbone": LITE0, "seed": seed}
    metrics = {"image_auroc": roc_auc_score(LABELS, scores)}
    metrics |= {"pixel_auroc": pixel, "pixel_aupro": pixel and pixel - 0.1}
    return make_row(
        metrics=metrics,
        scores={"path": names, "label": LABELS, "score": scores},
        provenance={"dirty": dirty},
        rotation=float(angle),
        **settings | changes,
    )


def saved(rows, folder):
    """The rows as a table of the study."""
    return load(rows, folder, ROTATION_STUDY)


THREE = [row(0, ONE_OFF), row(30, FOUR_OFF, pixel=0.7), row(90, PERFECT, pixel=0.8)]


def test_the_table_by_hand(tmp_path):
    table = rotation.rotation_table(saved(THREE, tmp_path)).set_index("angle")
    assert list(table.index) == ["0", "30", "90", RANGE, DROP]
    assert table["image AUROC"].tolist() == [93.75, 75, 100, 25, 18.75]
    assert table["pixel AUROC"].tolist() == pytest.approx([90, 70, 80, 20, 20])
    assert table["AUPRO"].tolist() == pytest.approx([80, 60, 70, 20, 20])
    assert set(table["data"]) == {"wood (embedded)"} and set(table["runs"]) == {1}


def test_seeds_are_averaged_and_unfinished_ones_left_out(tmp_path):
    second = [row(0, PERFECT, 2), row(30, PERFECT, 2), row(90, FOUR_OFF, 2)]
    table = rotation.rotation_table(saved([*THREE, *second, row(0, FOUR_OFF, 3)], tmp_path))
    assert table["image AUROC"].tolist() == [96.875, 87.5, 87.5, 9.375, 9.375]
    assert set(table["runs"]) == {2}


def test_protocols_and_data_have_lines_of_their_own(tmp_path):
    longer = row(0, FOUR_OFF, epochs=400)
    carpet = row(0, PERFECT, category="carpet", pixel=None)
    table = rotation.rotation_table(saved([THREE[0], longer, carpet], tmp_path))
    angles = table[table["angle"] == "0"]
    found = dict(
        zip(angles["data"] + angles["epochs"].map(str), angles["image AUROC"], strict=True)
    )
    assert found == {
        "wood (embedded)200": 93.75,
        "wood (embedded)400": 75,
        "carpet (embedded)200": 100,
    }
    assert angles["pixel AUROC"].isna().sum() == 1


def test_rows_of_changed_files_and_other_studies_count_nowhere(tmp_path):
    load([row(0, ONE_OFF)], tmp_path, "readme")
    runs = saved([row(0, ONE_OFF, dirty=True)], tmp_path)
    assert rotation.rotation_table(runs).empty and rotation.rotation_effects(runs).empty
    assert shapes.rotation_curves(runs) == shapes.NO_ROTATION


def test_the_change_is_the_other_angles_mean_minus_that_at_0(tmp_path):
    effects = rotation.rotation_effects(saved(THREE, tmp_path), tmp_path)
    line, quarter = effects.iloc[0], effects.iloc[1]
    assert effects["rotated by"].tolist() == [rotation.ALL, rotation.QUARTER_TURNS]
    assert (line["angles"], line["seeds"], line["fold"]) == (2, 1, "")
    assert line["change"] == pytest.approx((75 + 100) / 2 - 93.75)
    assert (quarter["angles"], quarter["change"]) == (1, pytest.approx(100 - 93.75))
    low, high = map(float, line["95 % interval"].strip("[]").split(","))
    assert low < line["change"] < high


def test_the_same_scores_at_every_angle_have_no_interval(tmp_path):
    rows = [row(angle, FOUR_OFF) for angle in (0, 30, 60)]
    line = rotation.rotation_effects(saved(rows, tmp_path), tmp_path).iloc[0]
    assert line["change"] == 0 and line["95 % interval"] == rotation.SAME


def test_seeds_of_the_same_images_are_averaged(tmp_path):
    rows = [*THREE, *(row(angle, PERFECT, 2) for angle in (0, 30, 90))]
    effects = rotation.rotation_effects(saved(rows, tmp_path), tmp_path)
    assert effects["change"].tolist() == pytest.approx([(87.5 - 93.75 + 0) / 2, (6.25 + 0) / 2])


def test_folds_are_never_pooled(tmp_path):
    rows = [
        row(angle, scores, split="kfold", fold=fold, names=[f"{fold}/{name}" for name in NAMES])
        for fold in (0, 1)
        for angle, scores in ((0, ONE_OFF), (30, (PERFECT, FOUR_OFF)[fold]))
    ]
    effects = rotation.rotation_effects(saved(rows, tmp_path), tmp_path).sort_values("fold")
    assert effects["fold"].tolist() == ["0", "1"]
    assert effects["change"].tolist() == pytest.approx([6.25, -18.75])


def test_what_rotation_changes_is_summed_up_in_words(tmp_path):
    runs = saved(THREE, tmp_path)
    changes = rotation.measured_changes(runs, tmp_path)
    sure = changes.assign(low=[-9.0, 1.0], high=[-1.0, 9.0], change=[-6.25, 6.25])
    all_angles, quarter = rotation.rotation_in_words(sure)
    assert all_angles.startswith(
        "With all angles, image AUROC falls in 1 of 1 cases and rises in 0"
    )
    assert "The largest change is -6.2 points, on wood (embedded)." in all_angles
    assert all_angles.endswith("On wood (embedded), the change by quarter turns is +6.2 points.")
    assert quarter.startswith(
        "With quarter turns, image AUROC falls in 0 of 1 cases and rises in 1"
    )
    assert "interpolate" in all_angles and "interpolate" not in quarter
    assert rotation.rotation_in_words(pd.DataFrame()) == []


def test_cases_with_and_without_an_interval_are_told_apart(tmp_path):
    changes = rotation.measured_changes(saved(THREE, tmp_path), tmp_path)
    both = changes.assign(low=[-1.0, 0.0], high=[1.0, 0.0], change=[0.5, 0.0])
    all_angles, quarter = rotation.rotation_in_words(both)
    assert "In 1 the 95 % interval contains 0." in all_angles and rotation.SAME not in all_angles
    assert f"In 1 the change is the {rotation.SAME}." in quarter and "contains 0" not in quarter


def test_all_angles_and_quarter_turns_are_beside_each_other(tmp_path):
    changes = rotation.measured_changes(saved(THREE, tmp_path), tmp_path)
    table = rotation.beside_each_other(changes)
    assert len(table) == 1 and ("", "fold") not in table
    line = table.iloc[0]
    assert line["", "data"] == "wood (embedded)" and line[rotation.ALL, "change"] == "-6.2"
    assert line[rotation.QUARTER_TURNS, "change"] == "+6.2"
    same = changes.assign(low=0.0, high=0.0)
    table = rotation.beside_each_other(same)
    assert table[rotation.ALL, "95 % interval"].tolist() == [rotation.SAME]
    assert rotation.beside_each_other(pd.DataFrame()).empty


def test_curves_have_a_point_per_angle_and_a_panel_per_data_set(tmp_path):
    carpet = [row(a, PERFECT, category="carpet") for a in (0, 30)]
    figure = shapes.rotation_curves(saved([*THREE, *carpet], tmp_path))
    panels = {" ".join(ax.get_title().split()): ax for ax in figure.axes}
    wood = panels["wood (embedded), EfficientNet-Lite0"]
    assert len(panels) == 2 and wood.lines[0].get_label() == next(iter(rotation.METRICS))
    assert wood.lines[0].get_xdata().tolist() == [0, 30, 90]
    assert wood.lines[0].get_ydata().tolist() == [93.75, 75, 100]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [line.get_label() for line in wood.lines]


def test_without_rows_there_is_a_sentence():
    empty = pd.DataFrame()
    assert rotation.rotation_table(empty).empty and rotation.rotation_effects(empty).empty
    assert shapes.rotation_curves(empty) == shapes.NO_ROTATION


def test_without_masks_there_are_no_metrics_of_pixels(tmp_path):
    (group,) = rotation.protocols(saved([row(0, ONE_OFF, pixel=None)], tmp_path))
    found = rotation.means(group).loc[0]
    assert found["image AUROC"] == 93.75 and np.isnan(found["pixel AUROC"])

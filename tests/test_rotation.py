"""Turned test images: how they turn, what that leaves alone, and what rows say of it."""

import copy
import json
import pickle
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import rdrepro as rd
from rdrepro.config import RunConfig, eval_key, train_key
from rdrepro.data.rotated import rotate
from rdrepro.paths import ROOT
from rdrepro.study import report, rotation
from rdrepro.study.rotation import ANGLES, DROP, RANGE, ROTATION_STUDY

SIZE = 64
TEMPLATE = json.loads(next((ROOT / "results/runs/readme").glob("*.json")).read_text())


def smooth_image(size=SIZE):
    """A picture of long waves: bilinear interpolation loses little of it."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, size),) * 2, indexing="ij")
    waves = [torch.sin(3 * x + y), torch.cos(4 * y), torch.sin(2 * x - 3 * y)]
    return torch.stack(waves) / 2 + 0.5


def disc(size=SIZE, y=0.5, x=0.7, radius=0.12):
    """A round mask beside the centre."""
    rows, columns = torch.meshgrid(*(torch.arange(size) + 0.5,) * 2, indexing="ij")
    return (rows - y * size) ** 2 + (columns - x * size) ** 2 < (radius * size) ** 2


# Turning


def test_a_quarter_turn_is_counter_clockwise_by_hand():
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None] / 4
    assert (4 * rotate(image, 90)).tolist() == [[[2, 4], [1, 3]]]
    assert (4 * rotate(image, 180)).tolist() == [[[4, 3], [2, 1]]]
    assert rotate(image[0] > 0.5, 270).tolist() == [[True, False], [True, False]]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_quarter_turns_are_exact_and_other_angles_run_into_them(degrees):
    image = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    exact = rotate(image, degrees)
    assert torch.equal(exact, torch.rot90(image, degrees // 90, (1, 2)))
    near = rotate(image, degrees + 1e-4)
    torch.testing.assert_close(near, exact, atol=1e-3, rtol=0)


def test_a_turn_moves_a_defect_where_geometry_says():
    turned = rotate(disc(), 30)  # 0.2 to the right of the centre
    rows, columns = (p.double().mean() + 0.5 for p in torch.nonzero(turned, as_tuple=True))
    expected = (0.5 - 0.2 * 0.5) * SIZE, (0.5 + 0.2 * 3**0.5 / 2) * SIZE  # up and to the right
    assert (float(rows), float(columns)) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("degrees", [30, 45, 137])
def test_there_and_back_is_nearly_the_image_where_no_corner_was(degrees):
    image, mask = smooth_image(), disc(y=0.6)
    back = rotate(rotate(image, degrees), 360 - degrees)
    inside = disc(y=0.5, x=0.5, radius=0.48)  # the circle that every turn keeps
    assert (back - image)[:, inside].abs().max() < 0.01
    assert (rotate(image, degrees) - image)[:, inside].abs().max() > 0.1
    returned = rotate(rotate(mask, degrees), 360 - degrees)
    assert (returned ^ mask).sum() <= 0.1 * mask.sum()


@pytest.mark.parametrize("degrees", ANGLES)
def test_a_defect_inside_keeps_its_area(degrees):
    mask = disc(y=0.35)
    turned = rotate(mask, degrees)
    assert turned.dtype == torch.bool
    assert float(turned.sum()) == pytest.approx(float(mask.sum()), rel=0.05)


def test_corners_hold_the_mirror_image():
    image = torch.zeros(3, SIZE, SIZE)
    image[:, :, -8:] = 1.0  # a bright right edge
    turned = rotate(image, 45)
    assert turned[:, 0, -1].min() == 0  # what lay 13 pixels beyond the edge lies 13 inside it
    assert rotate(torch.ones(3, SIZE, SIZE), 45).min() == pytest.approx(1.0)
    assert torch.equal(rotate(image[0] > 0, 45), rotate(image, 45)[0] > 0.5)


# Data sets


def resolved(data_root, **changes):
    settings = {"preset": "quick", "category": "bottle", "weights": "random", "image_size": SIZE}
    return rd.resolve(data_root=str(data_root), **settings | changes)


def test_only_test_images_turn_and_labels_stay(small_mvtec):
    upright, run = resolved(small_mvtec), resolved(small_mvtec, rotation=90)
    train, test, usual = run.dataset("train"), run.dataset("test"), upright.dataset("test")
    assert isinstance(test, rd.Rotated) and not isinstance(train, rd.Rotated)
    assert not isinstance(usual, rd.Rotated)
    assert train.fingerprint() == upright.dataset("train").fingerprint()
    assert len(test) == len(usual) and test.counts() == usual.counts()
    assert test.paths == usual.paths and test.mask_path(test.paths[0]).suffix == ".png"
    assert len({i["gt_label"] for i in test}) == 2
    for index in range(len(usual)):
        before, after = usual[index], test[index]
        for name in ("image", "gt_mask"):
            assert torch.equal(after[name], torch.rot90(before[name], 1, (-2, -1)))
        assert all(before[k] == after[k] for k in ("gt_label", "defect", "path"))


def test_every_angle_has_a_fingerprint_of_its_own(small_mvtec):
    data = resolved(small_mvtec).dataset("test")
    prints = {rd.Rotated(data, angle).fingerprint() for angle in (30.0, 60.0)}
    assert len(prints | {data.fingerprint()}) == 3
    assert rd.Rotated(data, 30.0).fingerprint() in prints
    turned = rd.Rotated(data, 30.0)
    for copied in (copy.copy(turned), pickle.loads(pickle.dumps(turned))):
        assert copied.paths == data.paths
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = turned.no_such_thing


def test_images_without_masks_turn_too():
    data = rd.resolve(preset="novelty_demo", normal_class=1, rotation=180).dataset("test")
    item, usual = data[3], data.data[3]
    assert "gt_mask" not in item and item["gt_label"] == usual["gt_label"]
    assert torch.equal(item["image"], usual["image"].flip(-1, -2))


def test_rotation_moves_the_evaluation_alone():
    upright = RunConfig()
    turned = replace(upright, rotation=30)
    assert eval_key(replace(upright, rotation=0), "a", "b") == eval_key(upright, "a", "b")
    assert train_key(turned, "a") == train_key(upright, "a")
    assert eval_key(turned, "a", "b") != eval_key(upright, "a", "b")


@pytest.mark.parametrize("method", ["reverse_distillation", "padim"])
def test_a_kept_student_is_tested_at_every_angle(method, small_mvtec):
    own = {"padim_channels": 20} if method == "padim" else {"epochs": 1}
    rows = [
        rd.execute(resolved(small_mvtec, method=method, rotation=angle, study="rotation", **own))
        for angle in (0, 90, 30)
    ]
    trained = [row["provenance"]["student_reused"] for row in rows]
    assert trained == ([False] * 3 if method == "padim" else [False, True, True])
    assert len({row["provenance"]["train_key"] for row in rows}) == 1
    assert len({row["provenance"]["eval_key"] for row in rows}) == 3
    assert len({tuple(row["scores"]["score"]) for row in rows}) == 3
    assert len({tuple(row["scores"]["label"]) for row in rows}) == 1
    assert [row["config"]["rotation"] for row in rows] == [0, 90, 30]


# Rows

NAMES = [f"wood/test/{kind}/{i}.png" for kind in ("good", "hole") for i in range(4)]
LABELS = [0] * 4 + [1] * 4
PERFECT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]  # AUROC 1
ONE_OFF = [0.1, 0.2, 0.3, 0.55, 0.5, 0.6, 0.7, 0.8]  # 15 of 16 pairs
FOUR_OFF = [0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.7, 0.8]  # 12 of 16 pairs


def row(angle, scores, seed=1, pixel=0.9, **changes):
    """A made-up row of the study on embedded wood."""
    made = copy.deepcopy(TEMPLATE)
    settings = {"dataset": "synthetic", "category": "wood", "backbone": "efficientnet_lite0"}
    config = asdict(RunConfig(**settings, seed=seed, rotation=angle))
    config |= {name: list(config[name]) for name in ("train_layers", "map_layers")}
    made["config"] = config | changes
    made["metrics"] |= {"image_auroc": roc_auc_score(LABELS, scores)}
    made["metrics"] |= {"pixel_auroc": pixel, "pixel_aupro": pixel and pixel - 0.1}
    made["scores"] = {"path": NAMES, "label": LABELS, "score": scores}
    made["provenance"] |= {"dirty": False, "study": ROTATION_STUDY, "eval_key": f"{angle:016.0f}"}
    return made


def saved(rows, folder):
    for made in rows:
        rd.save_row(made, folder / ROTATION_STUDY)
    return rd.load_runs(folder)


THREE = [row(0, ONE_OFF), row(30, FOUR_OFF, pixel=0.7), row(90, PERFECT, pixel=0.8)]


def test_the_table_by_hand(tmp_path):
    table = rotation.rotation_table(saved(THREE, tmp_path)).set_index("angle")
    assert list(table.index) == ["0", "30", "90", RANGE, DROP]
    assert table["image AUROC"].tolist() == [93.75, 75, 100, 25, 18.75]
    assert table["pixel AUROC"].tolist() == pytest.approx([90, 70, 80, 20, 20])
    assert table["AUPRO"].tolist() == pytest.approx([80, 60, 70, 20, 20])
    assert set(table["data"]) == {"wood (synthetic)"} and set(table["runs"]) == {1}


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
        "wood (synthetic)200": 93.75,
        "wood (synthetic)400": 75,
        "carpet (synthetic)200": 100,
    }
    assert angles["pixel AUROC"].isna().sum() == 1


def test_rows_of_changed_files_and_other_studies_count_nowhere(tmp_path):
    dirty = row(0, ONE_OFF)
    dirty["provenance"]["dirty"] = True
    rd.save_row(row(0, ONE_OFF), tmp_path / "readme")
    runs = saved([dirty], tmp_path)
    assert rotation.rotation_table(runs).empty and rotation.rotation_effects(runs).empty
    assert report.rotation_curves(runs) == report.NO_ROTATION


def test_the_change_is_the_other_angles_mean_minus_that_at_0(tmp_path):
    effects = rotation.rotation_effects(saved(THREE, tmp_path), tmp_path)
    line, quarter = effects.iloc[0], effects.iloc[1]
    assert effects["turns"].tolist() == ["all", "quarter turns"]
    assert (line["angles"], line["runs"], line["fold"]) == (2, 1, "")
    assert line["change"] == pytest.approx((75 + 100) / 2 - 93.75)
    assert (quarter["angles"], quarter["change"]) == (1, pytest.approx(100 - 93.75))
    low, high = map(float, line["95 % interval"].strip("[]").split(","))
    assert low < line["change"] < high


def test_the_same_scores_at_every_angle_are_no_change_that_could_be_resolved(tmp_path):
    rows = [row(angle, FOUR_OFF) for angle in (0, 30, 60)]
    line = rotation.rotation_effects(saved(rows, tmp_path), tmp_path).iloc[0]
    assert line["change"] == 0 and line["95 % interval"] == "not resolvable"


def test_folds_are_never_pooled_and_seeds_are(tmp_path):
    rows = [*THREE, *(row(angle, PERFECT, 2) for angle in (0, 30, 90))]
    pooled = rotation.rotation_effects(saved(rows, tmp_path / "seeds"), tmp_path / "seeds")
    assert pooled["change"].tolist() == pytest.approx([(87.5 - 93.75 + 0) / 2, (6.25 + 0) / 2])
    folds = []
    for fold in (0, 1):
        for angle, scores in ((0, ONE_OFF), (30, (PERFECT, FOUR_OFF)[fold])):
            made = row(angle, scores, split="kfold", fold=fold)
            made["scores"]["path"] = [f"{fold}/{name}" for name in NAMES]
            folds.append(made)
    apart = rotation.rotation_effects(saved(folds, tmp_path / "folds"), tmp_path / "folds")
    assert apart["fold"].tolist() == ["0", "1"]
    assert apart["change"].tolist() == pytest.approx([6.25, -18.75])


def test_the_mean_auroc_of_columns_is_sklearns():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1], [13, 17]))
    scores = rng.integers(0, 6, (30, 4)) + 0.5 * labels[:, None]  # with ties
    expected = np.mean([roc_auc_score(labels, column) for column in scores.T])
    assert rotation.mean_auroc(scores, labels) == pytest.approx(expected)


def test_curves_have_a_point_per_angle_and_a_line_per_data_set(tmp_path):
    carpet = [row(a, PERFECT, category="carpet") for a in (0, 30)]
    figure = report.rotation_curves(saved([*THREE, *carpet], tmp_path))
    assert [ax.get_ylabel() for ax in figure.axes] == [f"{m} (%)" for m in rotation.METRICS]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    wood = lines["wood (synthetic), efficientnet_lite0"]
    assert wood.get_xdata().tolist() == [0, 30, 90]
    assert wood.get_ydata().tolist() == [93.75, 75, 100]
    assert len(lines) == len(figure.legends[0].get_texts()) == 2
    assert len({line.get_color() for line in lines.values()}) == 2


def test_without_rows_there_is_a_sentence(tmp_path):
    empty = rd.load_runs(tmp_path)
    assert isinstance(empty, pd.DataFrame) and rotation.rotation_table(empty).empty
    assert report.rotation_curves(empty) == report.NO_ROTATION

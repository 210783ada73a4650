"""Rotated test images: the rotation itself, what stays unchanged, and a run with rotated tests."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch

import rdrepro as rd
from rdrepro.config import RunConfig, eval_key, train_key
from rdrepro.data.rotated import Rotated, rotate
from rdrepro.study.rotation import ANGLES

SIZE = 64


def smooth_image(size=SIZE):
    """A picture of long waves: bilinear interpolation loses little of it."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, size),) * 2, indexing="ij")
    waves = [torch.sin(3 * x + y), torch.cos(4 * y), torch.sin(2 * x - 3 * y)]
    return torch.stack(waves) / 2 + 0.5


def disc(size=SIZE, y=0.5, x=0.7, radius=0.12):
    """A round mask beside the centre."""
    rows, columns = torch.meshgrid(*(torch.arange(size) + 0.5,) * 2, indexing="ij")
    return (rows - y * size) ** 2 + (columns - x * size) ** 2 < (radius * size) ** 2


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


def test_a_rotation_moves_a_defect_where_geometry_says():
    rotated = rotate(disc(), 30)  # 0.2 to the right of the centre
    rows, columns = (p.double().mean() + 0.5 for p in torch.nonzero(rotated, as_tuple=True))
    expected = (0.5 - 0.2 * 0.5) * SIZE, (0.5 + 0.2 * 3**0.5 / 2) * SIZE  # up and to the right
    assert (float(rows), float(columns)) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("degrees", [30, 45, 137])
def test_there_and_back_is_nearly_the_image_where_no_corner_was(degrees):
    image, mask = smooth_image(), disc(y=0.6)
    back = rotate(rotate(image, degrees), 360 - degrees)
    inside = disc(y=0.5, x=0.5, radius=0.48)  # the circle that every rotation keeps
    assert (back - image)[:, inside].abs().max() < 0.01
    assert (rotate(image, degrees) - image)[:, inside].abs().max() > 0.1
    returned = rotate(rotate(mask, degrees), 360 - degrees)
    assert (returned ^ mask).sum() <= 0.1 * mask.sum()


@pytest.mark.parametrize("degrees", ANGLES)
def test_a_defect_inside_keeps_its_area(degrees):
    mask = disc(y=0.35)
    rotated = rotate(mask, degrees)
    assert rotated.dtype == torch.bool
    assert float(rotated.sum()) == pytest.approx(float(mask.sum()), rel=0.05)


def test_corners_hold_the_mirror_image():
    image = torch.zeros(3, SIZE, SIZE)
    image[:, :, -8:] = 1.0  # a bright right edge
    rotated = rotate(image, 45)
    assert rotated[:, 0, -1].min() == 0  # what lay 13 pixels beyond the edge lies 13 inside it
    assert rotate(torch.ones(3, SIZE, SIZE), 45).min() == pytest.approx(1.0)
    assert torch.equal(rotate(image[0] > 0, 45), rotate(image, 45)[0] > 0.5)


# Data sets


def resolved(data_root, **changes):
    settings = {"preset": "quick", "category": "bottle", "weights": "random", "image_size": SIZE}
    return rd.resolve(data_root=str(data_root), **settings | changes)


def test_only_test_images_are_rotated_and_labels_stay(small_mvtec):
    upright, run = resolved(small_mvtec), resolved(small_mvtec, rotation=90)
    train, test, usual = run.dataset("train"), run.dataset("test"), upright.dataset("test")
    assert isinstance(test, Rotated) and not isinstance(train, Rotated)
    assert not isinstance(usual, Rotated)
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
    rotated = {Rotated(data, angle).fingerprint() for angle in (30.0, 60.0)}
    assert len(rotated | {data.fingerprint()}) == 3
    assert Rotated(data, 30.0).fingerprint() in rotated


def test_a_copy_of_rotated_data_passes_on_what_the_data_have(small_mvtec):
    data = resolved(small_mvtec).dataset("test")
    rotated = Rotated(data, 30.0)
    for copied in (copy.copy(rotated), pickle.loads(pickle.dumps(rotated))):
        assert copied.paths == data.paths
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = rotated.no_such_thing


def test_images_without_masks_are_rotated_too():
    data = rd.resolve(preset="novelty_demo", normal_class=1, rotation=180).dataset("test")
    item, usual = data[3], data.data[3]
    assert "gt_mask" not in item and item["gt_label"] == usual["gt_label"]
    assert torch.equal(item["image"], usual["image"].flip(-1, -2))


def test_rotation_changes_the_evaluation_alone():
    upright = RunConfig()
    rotated = replace(upright, rotation=30)
    assert eval_key(replace(upright, rotation=0), "a", "b") == eval_key(upright, "a", "b")
    assert train_key(rotated, "a") == train_key(upright, "a")
    assert eval_key(rotated, "a", "b") != eval_key(upright, "a", "b")


@pytest.mark.parametrize("method", ["reverse_distillation", "padim"])
def test_a_kept_student_is_tested_at_every_angle(method, small_mvtec):
    own = {"padim_channels": 20} if method == "padim" else {"epochs": 1}
    own |= {"backbone": "resnet18", "method": method, "study": "rotation"}
    rows = [rd.execute(resolved(small_mvtec, rotation=angle, **own)) for angle in (0, 90, 30)]
    reused = [row["provenance"]["student_reused"] for row in rows]
    assert reused == ([False] * 3 if method == "padim" else [False, True, True])
    assert len({row["provenance"]["train_key"] for row in rows}) == 1
    assert len({row["provenance"]["eval_key"] for row in rows}) == 3
    assert len({tuple(row["scores"]["score"]) for row in rows}) == 3
    assert len({tuple(row["scores"]["label"]) for row in rows}) == 1
    assert [row["config"]["rotation"] for row in rows] == [0, 90, 30]

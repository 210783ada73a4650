"""MVTec AD as the official code reads it, and the errors for folders that are not right."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from rdrepro.data.mvtec import MVTecAD
from rdrepro.data.mvtec_files import find_mvtec


def item_of(root, index=0, **options):
    return MVTecAD(root / "mvtec", "grid", "test", 32, **options)[index]


def test_items(tiny_category):
    data = MVTecAD(tiny_category / "mvtec", "grid", "test", image_size=32)
    bent, good = data
    assert [i["path"] for i in (bent, good)] == ["grid/test/bent/000.png", "grid/test/good/000.png"]
    assert (bent["gt_label"], good["gt_label"]) == (1, 0)
    assert (bent["defect"], good["defect"]) == ("bent", "good")
    assert bent["image"].shape == (3, 32, 32) and bent["image"].dtype == torch.float32
    assert bent["image"].min() >= 0 and bent["image"].max() <= 1
    assert bent["gt_mask"].shape == (32, 32) and bent["gt_mask"].dtype == torch.bool
    assert bent["gt_mask"].any() and not good["gt_mask"].any()
    assert data.counts() == {"bent": 1, "good": 1}


def test_images_are_resized_as_pillow_does(tiny_category):
    original = Image.open(tiny_category / "mvtec/grid/test/bent/000.png")
    expected = np.asarray(original.resize((32, 32), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(
        item_of(tiny_category)["image"].permute(1, 2, 0), expected, atol=1e-6
    )


def test_masks_are_resized_and_then_thresholded(tiny_category):
    original = Image.open(tiny_category / "mvtec/grid/ground_truth/bent/000_mask.png")
    grey = np.asarray(original.resize((32, 32), Image.Resampling.BILINEAR)) / 255
    for threshold in (0, 0.5, 0.9):
        mask = item_of(tiny_category, mask_threshold=threshold)["gt_mask"].numpy()
        np.testing.assert_array_equal(mask, grey > threshold)


def test_a_label_from_the_mask_can_vanish(tiny_category):
    path = tiny_category / "mvtec/grid/ground_truth/bent/000_mask.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    assert item_of(tiny_category)["gt_label"] == 1
    assert item_of(tiny_category, label_source="mask")["gt_label"] == 0


def test_order_is_sorted_and_other_files_are_passed_over(small_mvtec):
    data = MVTecAD(small_mvtec / "mvtec", "bottle", "test", 64)
    assert data.paths == sorted(data.paths)
    count = len(data)
    stray = small_mvtec / "mvtec/bottle/test/good"
    for name in ("Thumbs.db", "._000.png", "notes.txt"):
        (stray / name).write_bytes(b"")
    assert len(MVTecAD(small_mvtec / "mvtec", "bottle", "test", 64)) == count


def test_hidden_folders_are_no_defects_and_endings_may_be_upper_case(tiny_category):
    folder = tiny_category / "mvtec" / "grid"
    (folder / "test/.cache").mkdir()
    for name in ("test/bent/000", "ground_truth/bent/000_mask"):
        (folder / f"{name}.png").rename(folder / f"{name}.PNG")
    picture = (folder / "test/bent/000.PNG").read_bytes()
    (folder / "test/.cache/000.png").write_bytes(picture)
    data = MVTecAD(tiny_category / "mvtec", "grid", "test", 8)
    assert data.counts() == {"bent": 1, "good": 1}
    assert data.mask_path(data.paths[0]).name == "000_mask.PNG" and data[0]["gt_mask"].any()


def test_a_name_that_is_no_text_has_a_fingerprint(tiny_category):
    folder = tiny_category / "mvtec" / "grid" / "train" / "good"
    before = MVTecAD(tiny_category / "mvtec", "grid").fingerprint()
    (folder / "001.png").rename(folder / os.fsdecode(b"\xff.png"))
    assert MVTecAD(tiny_category / "mvtec", "grid").fingerprint() != before


def test_fingerprint_follows_the_bytes_and_not_the_place(tiny_category, tmp_path):
    def fingerprint(root, split="test"):
        return MVTecAD(root / "mvtec", "grid", split).fingerprint()

    before = fingerprint(tiny_category)
    moved = tmp_path / "elsewhere"
    tiny_category.rename(moved)
    assert fingerprint(moved) == before != fingerprint(moved, "train")
    mask = moved / "mvtec/grid/ground_truth/bent/000_mask.png"
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(mask)
    assert fingerprint(moved) != before


@pytest.mark.parametrize("name", ["mvtec", "mvtec_anomaly_detection", ""])
def test_mvtec_is_found_under_both_names_or_as_the_root_itself(tmp_path, name):
    (tmp_path / name / "wood").mkdir(parents=True)
    assert find_mvtec(tmp_path) == tmp_path / name


def test_a_missing_folder_says_how_to_get_the_data(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist; get MVTec AD from http"):
        find_mvtec(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no MVTec AD"):
        find_mvtec(tmp_path)
    (tmp_path / "archive.tar").touch()
    with pytest.raises(FileNotFoundError, match=r"archive\.tar is a file; name the folder"):
        find_mvtec(tmp_path / "archive.tar")


def break_image(root):
    (root / "test/bent/000.png").write_bytes(b"\x89PNG broken")


def cut_image(root):
    content = (root / "test/bent/000.png").read_bytes()
    (root / "test/bent/000.png").write_bytes(content[: len(content) // 2])


def remove_mask(root):
    (root / "ground_truth/bent/000_mask.png").unlink()


def shrink_mask(root):
    Image.new("L", (4, 8)).save(root / "ground_truth/bent/000_mask.png")


def dim_mask(root):
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(root / "ground_truth/bent/000_mask.png")


def deep_image(root):
    Image.fromarray(np.full((8, 8), 9000, np.uint16)).save(root / "test/bent/000.png")


def remove_defects(root):
    (root / "test/bent/000.png").unlink()


def remove_normal(root):
    (root / "test/good/000.png").unlink()


def empty_train(root):
    for path in (root / "train/good").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "split", "message"),
    [
        (break_image, "test", r"the image .*bent/000\.png cannot be decoded"),
        (cut_image, "test", r"the image .*bent/000\.png cannot be decoded"),
        (remove_mask, "test", r"bent/000\.png has no mask: .*000_mask\.png is missing"),
        (shrink_mask, "test", r"000_mask\.png has 4x8 pixels, its image 8x8"),
        (dim_mask, "test", r"000_mask\.png has no value above 1; defects must be white"),
        (deep_image, "test", r"000\.png cannot be decoded \(.*more than 8 bits"),
        (remove_defects, "test", "has no defects; AUROC and PRO need both"),
        (remove_normal, "test", r"has no normal images \(test/good\)"),
        (empty_train, "train", "train/good has no images to train on"),
    ],
)
def test_damaged_folders_name_the_file(tiny_category, damage, split, message):
    damage(tiny_category / "mvtec" / "grid")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list(MVTecAD(tiny_category / "mvtec", "grid", split, 32))


def test_unknown_names(tiny_category):
    root = tiny_category / "mvtec"
    with pytest.raises(ValueError, match=r"category='wod' .* Did you mean 'wood'"):
        MVTecAD(root, "wod")
    with pytest.raises(FileNotFoundError, match=r"no category 'wood' in .* \(found: grid\)"):
        MVTecAD(root, "wood")
    with pytest.raises(ValueError, match="split='validation' is neither train nor test"):
        MVTecAD(root, "grid", "validation")

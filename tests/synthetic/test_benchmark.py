"""The embedded benchmark: complete, seeded, exact masks. How hard it is: `make benchmark`."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from rdrepro.data.mvtec import MVTecAD
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.synthetic import benchmark as synthetic
from rdrepro.synthetic.benchmark import DEVELOPMENT_SEED, REPORT_SEED, draw, write_category
from rdrepro.synthetic.categories import CATEGORIES


def test_the_fifteen_names():
    assert sorted(CATEGORIES) == sorted(MVTEC_CATEGORIES)


@pytest.mark.parametrize("category", MVTEC_CATEGORIES)
def test_every_category_is_written_in_mvtecs_layout(category, tmp_path):
    folder = write_category(tmp_path, category, REPORT_SEED, n_train=2, n_test=9, image_size=64)
    assert folder == tmp_path / category
    train, test = (MVTecAD(tmp_path, category, split, 64) for split in ("train", "test"))
    assert len(train) == 2 and len(test) == 9
    assert set(test.counts()) == {"good", *CATEGORIES[category].defects}
    for item in test:
        assert item["gt_mask"].any() == bool(item["gt_label"])
        assert item["gt_mask"].float().mean() < 0.5


@pytest.mark.parametrize("category", ["wood", "screw"])
def test_images_depend_on_their_own_seed_alone(category):
    image, mask, name = draw(category, DEVELOPMENT_SEED, "test", 4, 64)
    again, same_mask, same_name = draw(category, DEVELOPMENT_SEED, "test", 4, 64)
    assert np.array_equal(image, again) and np.array_equal(mask, same_mask) and name == same_name
    for other in (
        draw(category, REPORT_SEED, "test", 4, 64),
        draw(category, DEVELOPMENT_SEED, "test", 5, 64),
        draw(category, DEVELOPMENT_SEED, "train", 4, 64),
    ):
        assert not np.array_equal(image, other[0])


def test_what_is_written_is_what_is_drawn_and_an_existing_folder_is_kept(tmp_path):
    folder = write_category(tmp_path, "grid", 1, n_train=1, n_test=3, image_size=64)
    image, mask, name = draw("grid", 1, "test", 1, 64)
    assert np.array_equal(np.asarray(Image.open(folder / f"test/{name}/000.png")), image)
    written = np.asarray(Image.open(folder / f"ground_truth/{name}/000_mask.png"))
    assert np.array_equal(written, mask * np.uint8(255))
    before = (folder / "train/good/000.png").stat().st_mtime_ns
    write_category(tmp_path, "grid", 1, n_train=1, n_test=3, image_size=64)
    assert (folder / "train/good/000.png").stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == ["grid"]


@pytest.mark.parametrize("category", ["tile", "bottle", "transistor", "zipper"])
def test_masks_cover_what_differs_and_little_else(category, monkeypatch):
    """Outside the mask, a defective image equals the good image of the same seeds."""
    drawn = [draw(category, DEVELOPMENT_SEED, "test", index, 128) for index in (1, 2, 4, 5)]
    monkeypatch.setattr(synthetic, "_kind", lambda category, index: "good")
    for index, (image, mask, _) in zip((1, 2, 4, 5), drawn, strict=True):
        good, _, _ = draw(category, DEVELOPMENT_SEED, "test", index, 128)
        difference = np.abs(image.astype(int) - good).max(axis=2)
        beside = ~binary_dilation(mask, iterations=3)  # the camera blurs the mask's edge
        assert np.mean(difference[beside] > 12) < 0.002
        assert difference[mask].mean() > 5 * difference[beside].mean()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'wood'"):
        draw("wod", 1, "train", 0)
    with pytest.raises(ValueError, match="split 'valid'"):
        draw("wood", 1, "valid", 0)

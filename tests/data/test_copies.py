"""Duplicates among files: they are found by their bytes and by sight, and nothing else is."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageFilter
from trees import brain_tree, picture

from rdrepro.data.copies import picture_groups
from rdrepro.data.medical import MedicalImages


def test_duplicates_are_found_by_bytes_and_by_sight(tmp_path):
    data = MedicalImages(brain_tree(tmp_path), "brain_mri", "test", 32)
    names = [p.path.name for p in data.everything]
    group = dict(zip(names, data.all_groups, strict=True))
    assert group["0 no.jpg"] == group["copy no.jpg"] and group["1 no.jpg"] == group["big.png"]
    assert len(set(group.values())) == len(names) - 2
    copies = data.copies()
    assert copies["groups of identical files"] == 1
    assert copies["groups of duplicates, sure and likely"] == 2
    assert copies["images beyond the first of their group"] == 2


def test_a_duplicate_may_have_noise_but_no_changed_half(tmp_path):
    rng = np.random.default_rng(0)
    base = np.asarray(picture(rng).convert("L"), float)
    noisy = np.clip(base + rng.normal(0, 2, base.shape), 0, 255)
    half = base.copy()
    half[:, :12] = 255 - half[:, :12]
    paths = tuple(tmp_path / f"{i}.png" for i in range(4))
    black = np.zeros_like(base)
    for path, pixels in zip(paths, (base, noisy, half, black), strict=True):
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    for groups in picture_groups(paths, digests(paths)):
        assert groups[0] == groups[1] and len(set(groups)) == 3


def digests(paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def bordered(image):
    framed = Image.new("RGB", (160, 128))
    framed.paste(image.filter(ImageFilter.SHARPEN).resize((80, 88)), (60, 20))
    return framed


def lettered(image):
    framed = Image.new("RGB", (130, 130))
    framed.paste(image, (17, 17))
    framed.paste((255, 255, 255), (2, 2, 14, 14))
    return framed


CHANGES = {
    "another border, sharpened": bordered,
    "a letter in the border": lettered,
    "cropped on one side": lambda image: image.crop((10, 0, 96, 96)),
    "cropped and blurred": lambda image: image.crop((6, 8, 92, 90)).filter(ImageFilter.BoxBlur(1)),
    "another window": lambda image: image.point(lambda v: min(255, 40 + v * 3 // 4)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_duplicate_in_another_form_is_a_likely_one(change, tmp_path):
    """No other picture is in its group."""
    rng = np.random.default_rng(0)
    base, other = picture(rng, 96), picture(rng, 96)
    paths = tuple(tmp_path / f"{i}.png" for i in range(3))
    for path, image in zip(paths, (base, change(base), other), strict=True):
        image.save(path)
    _, likely = picture_groups(paths, digests(paths))
    assert likely[0] == likely[1] != likely[2]

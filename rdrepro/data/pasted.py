"""Training images held out and spoilt (split="pasted"): settings are chosen on no test image.

A share of the good training images is held out. Every third of them stays good, and each of the
others gets one drawn defect, whose mask is therefore known.
"""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import (
    binary_erosion,
    binary_fill_holes,
    binary_opening,
    gaussian_filter,
    label,
)
from torch.utils.data import Dataset

from rdrepro.data.flaws import FLAWS, STRUCTURAL, Array, Place, Rng
from rdrepro.data.holdout import Part, hold_out
from rdrepro.data.mvtec import MVTecAD

# Raise it whenever the same images and seed would give other ones.
PASTED_VERSION = 1
HELD_OUT = 0.3  # the share of the training images
LEAST_HELD = 2  # a good image and a spoilt one
STRENGTH = (0.3, 1.0)  # from barely visible to gross, as in the embedded benchmark
VISIBLE = 6  # of 255; a pixel belongs to the mask where a channel changes by more
SPECK = 13 / 256**2  # smaller regions are no defects; a share of the image
GOOD_EVERY = 3
TRIES = 50  # to draw a defect that can be seen
# The part in an image: where the colour differs by more than this from that of the border.
DIFFERENT = 0.1
A_PART = (0.05, 0.95)  # of the image; outside these shares it shows a texture
PLAIN = 0.02  # at most this share of a plain background's border is like the part


class Pasted(Dataset):
    """The held-out images of a training set: every third as it is, the others with a defect.

    Items are dicts like MVTecAD's. `gt_mask` (H, W) bool is where the image was changed; elsewhere
    it is the training image, byte for byte. `defect` is the kind, or the good folder's name, and
    `path` is that of the training image. The kinds take turns. Whatever is drawn depends on the
    image, `data_seed` and the index alone. train: a whole training set. Raises ValueError where it
    is too small.
    """

    def __init__(self, train: MVTecAD, data_seed: int):
        self.held, self.data_seed = divide(train, data_seed)[1], data_seed
        self.root, self.category, self.image_size = train.root, train.category, train.image_size
        self.kinds = [_kind(i, train.entry.layout.good) for i in range(len(self.held))]

    @property
    def paths(self) -> list[Path]:
        """Each image's name in a folder named like its kind, as in a test set; no such files."""
        files = [self.held.data.paths[number] for number in self.held.indices]
        return [Path(kind) / file.name for kind, file in zip(self.kinds, files, strict=True)]

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: int) -> dict:
        item, kind = self.held[index], self.kinds[index]
        if kind not in FLAWS:
            return item
        pixels = (item["image"] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        rng = np.random.default_rng([PASTED_VERSION, self.data_seed, index])
        changed, mask = spoil(pixels, kind, rng)
        if not mask.any():
            raise ValueError(
                f"{item['path']} shows no defect of kind {kind!r} in {TRIES} tries; it seems to be "
                "of one colour: replace it or use split='official'"
            )
        image = torch.from_numpy(changed).permute(2, 0, 1).contiguous().float() / 255
        spoilt = {"image": image, "gt_mask": torch.from_numpy(mask), "gt_label": 1, "defect": kind}
        return item | spoilt

    def labels(self) -> list[int]:
        """Each image's label, 1 = spoilt."""
        return [int(kind in FLAWS) for kind in self.kinds]

    def fingerprint(self) -> str:
        """The SHA-256 of the training set's fingerprint and of what else decides the images."""
        parts = self.held.fingerprint(), PASTED_VERSION, self.data_seed
        return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images each kind has."""
        return dict(Counter(self.kinds))


def divide(train: MVTecAD, data_seed: int) -> tuple[Part, Part]:
    """The images to train on and the held-out ones; ValueError where there are too few."""
    wanted = round(HELD_OUT * len(train))
    if wanted < LEAST_HELD:
        raise ValueError(
            f"{train.category} has {len(train)} training images, of which split='pasted' would "
            f"hold out {wanted}; it needs {LEAST_HELD}: add images or use split='official'"
        )
    return hold_out(train, HELD_OUT, data_seed)


def _kind(index: int, good: str) -> str:
    """The kind of the image `index`, however many images there are."""
    if index % GOOD_EVERY == 0:
        return good
    kinds = tuple(FLAWS)
    return kinds[(index - index // GOOD_EVERY - 1) % len(kinds)]


def spoil(pixels: Array, kind: str, rng: Rng) -> tuple[Array, Array]:
    """An image (H, H, 3) uint8 with a defect, and its mask (H, H) bool.

    The mask is empty where no defect could be seen in all tries.
    """
    scene = pixels.astype(np.float32) / 255
    part = find_part(scene)
    surface = part if part[_border(len(part))].mean() <= PLAIN else np.ones_like(part)
    mask = np.zeros(part.shape, bool)
    for _ in range(TRIES):
        marked = FLAWS[kind](scene, _site(part, rng), float(rng.uniform(*STRENGTH)), rng)
        if FLAWS[kind] not in STRUCTURAL:  # a mark ends where a part on a plain background does
            marked = np.where(surface[..., None], marked, scene)
        changed = (np.clip(marked, 0, 1) * 255 + 0.5).astype(np.uint8)
        mask = visible(pixels, changed)
        if mask.any():
            break
    return np.where(mask[..., None], changed, pixels), mask


def visible(pixels: Array, changed: Array) -> Array:
    """Where two images (H, H, 3) uint8 differ visibly, (H, H) bool, without specks."""
    mask = np.abs(pixels.astype(int) - changed).max(axis=2) > VISIBLE
    regions, _ = label(mask, np.ones((3, 3)))
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0  # what has not changed
    return (sizes >= max(SPECK * mask.size, 1))[regions]


def find_part(scene: Array) -> Array:
    """Where an image (H, H, 3) in [0, 1] shows the part, (H, H) bool; everywhere in a texture."""
    size = len(scene)
    blurred = gaussian_filter(scene, (size / 128, size / 128, 0))  # 2 pixels at 256
    far = np.abs(blurred - np.median(scene[_border(size)], axis=0)).max(axis=2) > DIFFERENT
    part = binary_fill_holes(binary_opening(far, iterations=max(size // 64, 1)))
    low, high = A_PART
    return part if low <= part.mean() <= high else np.ones_like(part)


def _border(size: int) -> Array:
    """The outermost pixels of an image, (H, H) bool."""
    border = np.ones((size, size), bool)
    border[1:-1, 1:-1] = False
    return border


def _site(part: Array, rng: Rng) -> Place:
    """A random place inside the part, away from its edge and from the image's where that can be."""
    size = len(part)
    centre = np.zeros_like(part)
    margin = size // 12
    centre[margin : size - margin, margin : size - margin] = True
    inner = binary_erosion(part, iterations=max(size // 50, 1), border_value=1)
    choices = (inner & centre, part & centre, part)
    rows, columns = np.nonzero(next(choice for choice in choices if choice.any()))
    pick = int(rng.integers(len(rows)))
    return int(rows[pick]), int(columns[pick])

"""The embedded benchmark: fifteen drawn categories in the folder layout of MVTec AD."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_closing, binary_erosion, label

from rdrepro.synthetic.categories import CATEGORIES, Category
from rdrepro.synthetic.defects import Fault
from rdrepro.synthetic.drawing import Array, Drawn, Frame, Rng, paint, photograph
from rdrepro.text import nearest

# Raise it whenever the same seed would draw other images, so that older images are not reused.
DRAWING_VERSION = 1
DEVELOPMENT_SEED = 1
REPORT_SEED = 2

SPLITS = ("train", "test")
# From barely visible to gross; one range for every category.
_STRENGTH = (0.3, 1.0)
# A pixel belongs to the mask where the scene changes by more than this share of full scale.
_VISIBLE = 6 / 255
# Changed places below this share of the image (13 pixels at 256) do not count as regions.
_SPECK = 0.0002
# Every third test image is good, which makes 14 good ones in 40.
_GOOD_EVERY = 3


def _category(name: str) -> Category:
    if name not in CATEGORIES:
        raise ValueError(f"category={name!r} is not one of the fifteen.{nearest(name, CATEGORIES)}")
    return CATEGORIES[name]


def _kind(category: str, index: int) -> str:
    """The kind of test image `index`: "good" or a defect. The number of images does not matter."""
    if index % _GOOD_EVERY == 0:
        return "good"
    kinds = _category(category).defects
    return kinds[(index - index // _GOOD_EVERY - 1) % len(kinds)]


def _pose(size: int, turn: float, rng: Rng) -> Frame:
    """The frame of a part at a random place: nearly centred, rotated by at most `turn` rad."""
    shift = rng.uniform(-0.02, 0.02, 2)
    return Frame.upright(size).move(*shift, rng.uniform(-turn, turn), rng.uniform(0.96, 1.04))


def _site(frame: Frame, region: Array, rng: Rng) -> tuple[float, float]:
    """A random place (u, v) inside the region, away from its edge and from the image's."""
    size = region.shape[0]
    margin = size // 12
    inner = binary_erosion(region > 0.9, iterations=max(size // 50, 1))
    rows, columns = np.nonzero(inner[margin:-margin, margin:-margin])
    pick = int(rng.integers(len(rows)))
    place = rows[pick] + margin, columns[pick] + margin
    return float(frame.u[place]), float(frame.v[place])


def _spoil(spec: Category, name: str, frame: Frame, good: Drawn, replay: Rng, rng: Rng) -> Array:
    """The scene of the same specimen with the named defect.

    replay: a generator in the state from which the good part was drawn, so that only the defect
    changes.
    """
    strength = float(rng.uniform(*_STRENGTH))
    if name in spec.faults:
        return spec.part(frame, replay, Fault(name, strength, rng))[0]
    site = _site(frame, good[1], rng)
    marked = spec.marks[name](frame, good[0], site, strength, rng)
    return paint(good[0], good[1], marked)


def _mask(scene: Array, good: Array, redrawn: bool) -> Array:
    """Where two scenes differ visibly, (H, W) bool, without specks.

    Redrawing a part also redraws its texture. The mask has holes where old and new happen to agree.
    Holes of up to 1/32 of the image width are filled. A mark drawn on top leaves no holes.
    """
    size = scene.shape[0]
    mask = np.abs(np.clip(scene, 0, 1) - np.clip(good, 0, 1)).max(axis=2) > _VISIBLE
    if redrawn:
        rounds = max(size // 64, 1)
        padded = binary_closing(np.pad(mask, rounds), iterations=rounds)
        mask = padded[rounds:-rounds, rounds:-rounds]
    parts, _ = label(mask, np.ones((3, 3)))
    areas = np.bincount(parts.ravel())[1:]
    kept = np.flatnonzero(areas >= min(areas.max(), _SPECK * size**2)) + 1
    return np.isin(parts, kept)


def draw(
    category: str, seed: int, split: str, index: int, image_size: int = 256
) -> tuple[Array, Array, str]:
    """Draw an image (H, W, 3) uint8, its defect mask (H, W) bool and its defect's name, or "good".

    Raises ValueError for an unknown category or a split other than "train" and "test".
    """
    spec = _category(category)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; use one of {SPLITS}")
    key = [seed, list(CATEGORIES).index(category), SPLITS.index(split), index]
    pose, part, flaw, camera = np.random.SeedSequence(key).spawn(4)
    name = "good" if split == "train" else _kind(category, index)
    frame = _pose(image_size, spec.turn, np.random.default_rng(pose))
    good = spec.part(frame, np.random.default_rng(part), None)
    scene = good[0]
    mask = np.zeros(scene.shape[:2], bool)
    if name != "good":
        scene = _spoil(
            spec, name, frame, good, np.random.default_rng(part), np.random.default_rng(flaw)
        )
        mask = _mask(scene, good[0], redrawn=name in spec.faults)
    return photograph(scene, np.random.default_rng(camera)), mask, name


def _write_split(folder: Path, category: str, seed: int, split: str, count: int, size: int) -> None:
    """Write one split's images and masks, numbered from 000 in each folder."""
    numbers: dict[str, int] = {}
    for index in range(count):
        image, mask, name = draw(category, seed, split, index, size)
        number = numbers.get(name, 0)
        numbers[name] = number + 1
        targets = {folder / split / name / f"{number:03d}.png": image}
        if name != "good":
            path = folder / "ground_truth" / name / f"{number:03d}_mask.png"
            targets[path] = mask.astype(np.uint8) * 255
        for path, pixels in targets.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, compress_level=1)


def write_category(
    root: Path,
    category: str,
    seed: int,
    n_train: int = 60,
    n_test: int = 40,
    image_size: int = 256,
) -> Path:
    """Write a category below `root` in the MVTec AD layout and return its folder.

    Images are square, `image_size` pixels wide, 8-bit RGB; masks are 0 or 255. An existing folder
    is returned as it is. Raises ValueError for an unknown category.
    """
    _category(category)
    target = Path(root) / category
    if target.is_dir():
        return target

    def fill(folder: Path) -> None:
        _write_split(folder, category, seed, "train", n_train, image_size)
        _write_split(folder, category, seed, "test", n_test, image_size)

    write_whole(target, fill)
    return target


def write_whole(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into a temporary folder, which is then renamed to `target`.

    A folder with the final name is therefore always complete. If another process was faster, its
    folder is kept. Raises OSError if another file or folder has the name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        fill(aside)
        aside.chmod(0o755)
        try:
            os.rename(aside, target)
        except OSError:
            # A rename cannot replace a folder that is not empty.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)

"""Duplicates among image files: several files that show one picture.

Duplicates have identical bytes, or show the same picture at another size or compression, sharpened,
blurred, cropped or with another border. The search does not find mirrored or rotated ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from rdrepro.data.images import open_image
from rdrepro.progress import progress

ALIKE = 0.99  # the lowest correlation of sure duplicates; our choice (O18)
# The lowest correlation of likely duplicates. It is our choice (O18), made by looking at Head CT
# and Brain MRI. All duplicates of normal images that we found correlate more. So do some
# neighbouring slices of one head. Most of these correlate less, and the split "blocks" keeps them
# on one side.
ALIGNED_ALIKE = 0.94
SIDE = 32  # pixels of a thumbnail
CENTRE = 0.65  # of a picture's height and width: the part that is searched for in other pictures
SCALES = (0.85, 0.9, 0.95, 1.0, 1.06, 1.12, 1.18)  # tried for the centre's height and its width
# A row or column belongs to the border if at most a share EMPTY of its pixels is brighter than DARK
# times the picture's brightest pixel.
DARK, EMPTY = 0.1, 0.02
MOST = 2000  # pictures; with more, the search for likely duplicates would take hours
BLOCK = 64  # pictures that are compared with all others at once


@dataclass(frozen=True)
class _File:
    """A file, equal to any other file with the same bytes."""

    digest: str
    path: Path = field(compare=False)


def picture_groups(paths: Sequence[Path], digests: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays (N,) of group numbers, which duplicates share.

    The first array groups sure duplicates only, the second sure and likely ones. Sure duplicates
    have the same bytes (`digests`), or grey thumbnails with a correlation of ALIKE or more. In
    likely duplicates, the centre of one picture is found in the other with a correlation of
    ALIGNED_ALIKE or more, after dark borders are cut off. Likely duplicates are not searched for
    among more than MOST pictures. A duplicate of a duplicate is in the same group.
    """
    first = dict(zip(reversed(digests), reversed(paths), strict=True))
    kept = list(dict.fromkeys(digests))  # one file of each content is decoded
    sure, likely = _content_groups(tuple(_File(digest, first[digest]) for digest in kept))
    number = {digest: place for place, digest in enumerate(kept)}
    places = [number[digest] for digest in digests]
    return sure[places], likely[places]


@lru_cache(maxsize=8)
def _content_groups(files: tuple[_File, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The groups of `picture_groups` for files with different bytes."""
    frames, contents = [], []
    for file in progress(files, "copies", leave=False):
        # RGB first: palettes and transparency are then read as they are for the teacher.
        grey = open_image(file.path, "RGB").convert("L")
        frames.append(_thumbnails([grey], SIDE).flatten())
        contents += [_content(grey)] if len(files) <= MOST else []
    sure = _alike(torch.stack(frames))
    likely = sure
    if contents:
        likely = sure + csr_array(_aligned(contents) >= ALIGNED_ALIKE)
    return connected_components(sure)[1], connected_components(likely)[1]


def _alike(frames: Tensor) -> csr_array:
    """Which pairs of thumbnails correlate by ALIKE or more, (N, N) bool.

    frames: (N, SIDE^2). The result is computed in blocks to save memory.
    """
    vectors = F.normalize(frames - frames.mean(dim=1, keepdim=True)).numpy()
    blocks = (vectors[k : k + BLOCK] @ vectors.T for k in range(0, len(vectors), BLOCK))
    return csr_array(vstack([csr_array(block >= ALIKE) for block in blocks]))


def _thumbnails(pictures: Sequence[Image.Image], height: int, width: int | None = None) -> Tensor:
    """Grey thumbnails, (N, 1, height, width) float32, square by default."""
    size = (width or height, height)
    small = [np.asarray(p.resize(size, Image.Resampling.BILINEAR), np.float32) for p in pictures]
    return torch.from_numpy(np.stack(small))[:, None]


def _aligned(pictures: Sequence[Image.Image]) -> np.ndarray:
    """How well the centre of one picture is found in another, for all pairs, (N, N) in [-1, 1].

    This is the highest correlation over SCALES and all positions. The centre may come from either
    picture of a pair.
    """
    whole, n = _thumbnails(pictures, SIDE), len(pictures)  # (N, 1, SIDE, SIDE)
    best = torch.full((n, n), -1.0)
    for tall, wide in product(SCALES, SCALES):
        sizes = round(SIDE * CENTRE * tall), round(SIDE * CENTRE * wide)
        templates = _thumbnails([_centre(p) for p in pictures], *sizes)
        templates -= templates.mean(dim=(2, 3), keepdim=True)
        templates = F.normalize(templates.flatten(1)).view_as(templates)
        ones = torch.ones(1, 1, *sizes)
        total, squares = F.conv2d(whole, ones), F.conv2d(whole**2, ones)
        spread = (squares - total**2 / ones.numel()).clamp_min(1e-3).sqrt()
        for k in range(0, n, BLOCK):
            found = F.conv2d(whole, templates[k : k + BLOCK]) / spread  # (N, BLOCK, ., .)
            block = best[:, k : k + BLOCK]
            torch.maximum(block, found.amax(dim=(2, 3)), out=block)
    return torch.maximum(best, best.T).numpy()


def _centre(picture: Image.Image) -> Image.Image:
    edges = [round(side * (1 - CENTRE) / 2) for side in picture.size]
    return picture.crop((*edges, *(s - e for s, e in zip(picture.size, edges, strict=True))))


def _content(grey: Image.Image) -> Image.Image:
    """A picture without the dark border around it."""
    pixels = np.asarray(grey)
    bright = pixels > DARK * pixels.max()
    rows, columns = (np.flatnonzero(bright.mean(axis=n) > EMPTY) for n in (1, 0))
    if not (len(rows) and len(columns)):
        return grey
    return grey.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))

"""Copies of one picture among files: identical bytes, or the same picture stored otherwise.

Otherwise: at another size or compression, sharpened, or with another border around it.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from rdrepro.data.mvtec import open_image
from rdrepro.progress import progress

# Ours (O18), by eye on Head CT and Brain MRI: pairs above either are one picture. Below lie
# neighbouring slices of one head, and one pair of tumours or bleedings in the same slice.
ALIKE, MIDDLE_ALIKE = 0.99, 0.95
FRAME, MIDDLE = 32, 64  # pixels of a thumbnail
DARK, EMPTY = 0.1, 0.02  # a border's rows: so few pixels above so little of the brightest
EDGE = 0.1  # of the content, left out of its middle on each side
BLOCK = 2048  # thumbnails compared with all others at once


@lru_cache(maxsize=4)
def picture_groups(paths: Sequence[Path], digests: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a group number for each file, (N,), of sure copies, and one of likely copies too.

    Sure: the same bytes (`digests`), or grey thumbnails of the frame that correlate by ALIKE or
    more. Likely: so do those of the content's middle, by MIDDLE_ALIKE. Copies of copies are copies.
    """
    _, first = np.unique(digests, return_index=True)
    kept = np.sort(first)  # one file of each content is decoded
    shown = progress([paths[i] for i in kept], "copies", leave=False)
    frames, middles = (np.stack(v) for v in zip(*(_thumbnails(p) for p in shown), strict=True))
    sure = _alike(frames, ALIKE)
    groups = []
    for graph in (sure, sure + _alike(middles, MIDDLE_ALIKE)):
        number = dict(zip((digests[i] for i in kept), connected_components(graph)[1], strict=True))
        groups.append(np.array([number[d] for d in digests]))
    return groups[0], groups[1]


def _alike(vectors: np.ndarray, least: float) -> coo_matrix:
    """Return which of so many unit vectors (N, K) have a product of `least` or more, (N, N)."""
    pairs = [
        (start + rows, columns)
        for start in range(0, len(vectors), BLOCK)
        for rows, columns in [np.nonzero(vectors[start : start + BLOCK] @ vectors.T >= least)]
    ]
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return coo_matrix((np.ones(len(rows), bool), (rows, columns)), (len(vectors),) * 2)


def _thumbnails(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return grey thumbnails of a picture's frame, (FRAME^2,), and its middle, (MIDDLE^2,)."""
    # The colours as the teacher sees them: of a palette, or beside transparency.
    grey = open_image(path, "RGB").convert("L")
    return _thumbnail(grey, FRAME), _thumbnail(_middle(grey), MIDDLE)


def _thumbnail(grey: Image.Image, size: int) -> np.ndarray:
    """Return a thumbnail as a vector of mean 0 and length 1; (size^2,) float32."""
    values = np.asarray(grey.resize((size, size), Image.Resampling.BILINEAR), np.float32).ravel()
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-12)


def _middle(grey: Image.Image) -> Image.Image:
    """Return the middle of what is left of a picture without a dark border around it."""
    pixels = np.asarray(grey)
    bright = pixels > DARK * pixels.max()
    ends = []
    for axis in (0, 1):
        lines = np.flatnonzero(bright.mean(axis=axis) > EMPTY)
        first, last = (lines[0], lines[-1] + 1) if len(lines) else (0, pixels.shape[1 - axis])
        edge = int(EDGE * (last - first))
        ends.append((int(first) + edge, int(last) - edge))
    (left, right), (top, bottom) = ends
    return grey.crop((left, top, right, bottom))

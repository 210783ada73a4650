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

ALIKE = 0.99  # ours (O18): below it lie pictures that are alike by nature, such as drawn ones
THUMBNAIL = 32  # pixels
DARK, EMPTY = 0.1, 0.02  # a border's rows: so few pixels above so little of the brightest
BLOCK = 2048  # thumbnails compared with all others at once


@lru_cache(maxsize=4)
def picture_groups(
    paths: Sequence[Path], digests: Sequence[str], alike: float = ALIKE
) -> np.ndarray:
    """Return a group number for each file, (N,); copies of one picture share it.

    Copies have the same bytes (`digests`), or grey thumbnails, of the whole frame or of what a dark
    border leaves, whose correlation is `alike` or more; so have copies of copies.
    """
    _, first = np.unique(digests, return_index=True)
    kept = np.sort(first)  # one file of each content is decoded
    shown = progress([paths[i] for i in kept], "copies", leave=False)
    views = np.stack([_thumbnails(p) for p in shown], axis=1)  # (2, N, THUMBNAIL^2)
    pairs = [
        (start + rows, columns)
        for view in views
        for start in range(0, len(kept), BLOCK)
        for rows, columns in [np.nonzero(view[start : start + BLOCK] @ view.T >= alike)]
    ]
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), (len(kept),) * 2)
    number = dict(zip((digests[i] for i in kept), connected_components(graph)[1], strict=True))
    return np.array([number[d] for d in digests])


def _thumbnails(path: Path) -> np.ndarray:
    """Return grey thumbnails of a picture and of its content, (2, THUMBNAIL^2) float32.

    Each is a vector of mean 0 and length 1.
    """
    # The colours as the teacher sees them: of a palette, or beside transparency.
    grey = open_image(path, "RGB").convert("L")
    small = [i.resize((THUMBNAIL,) * 2, Image.Resampling.BILINEAR) for i in (grey, _content(grey))]
    values = np.stack([np.asarray(i, np.float32).ravel() for i in small])
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _content(grey: Image.Image) -> Image.Image:
    """Return a picture without the dark border around it."""
    pixels = np.asarray(grey)
    bright = pixels > DARK * pixels.max()
    rows, columns = (np.flatnonzero(bright.mean(axis=n) > EMPTY) for n in (1, 0))
    if not (len(rows) and len(columns)):
        return grey
    return grey.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))

"""Copies of one picture among files: identical bytes, or the same picture stored otherwise."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from rdrepro.data.mvtec import open_image
from rdrepro.progress import progress

# Ours (O18): on Brain MRI and Head CT every pair above it is one picture at another size or
# compression, and the next pair lies below 0.98.
ALIKE = 0.99
THUMBNAIL = 32  # pixels
BLOCK = 2048  # thumbnails compared with all others at once


@lru_cache(maxsize=4)
def picture_groups(paths: Sequence[Path], digests: Sequence[str]) -> np.ndarray:
    """Return a group number for each file, (N,); copies of one picture share it.

    Copies have the same bytes (`digests`), or grey thumbnails whose correlation is ALIKE or more;
    so have copies of copies.
    """
    _, first = np.unique(digests, return_index=True)
    kept = np.sort(first)  # one file of each content is decoded
    thumbnails = np.stack(
        [_thumbnail(p) for p in progress([paths[i] for i in kept], "copies", leave=False)]
    )
    alike = [
        (start + rows, columns)
        for start in range(0, len(kept), BLOCK)
        for rows, columns in [np.nonzero(thumbnails[start : start + BLOCK] @ thumbnails.T >= ALIKE)]
    ]
    rows, columns = (np.concatenate(part) for part in zip(*alike, strict=True))
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), (len(kept),) * 2)
    number = dict(zip((digests[i] for i in kept), connected_components(graph)[1], strict=True))
    return np.array([number[d] for d in digests])


def _thumbnail(path: Path) -> np.ndarray:
    """Return a grey thumbnail as a vector of mean 0 and length 1; (THUMBNAIL^2,) float32."""
    # The colours as the teacher sees them: of a palette, or beside transparency.
    grey = open_image(path, "RGB").convert("L").resize((THUMBNAIL,) * 2, Image.Resampling.BILINEAR)
    values = np.asarray(grey, np.float32).ravel()
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-12)

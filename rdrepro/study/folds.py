"""Resampling of the test images of k-folds: intervals of the mean AUROC, noise of single splits."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy

from rdrepro.study.stats import LEVEL, auroc_interval, weighted_auroc

Scores = Mapping[str, Sequence]  # lists path, label, score and perhaps group, as in a row


def fold_resamples(folds: Sequence[Scores], resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """The mean of the folds' AUROCs in each resample of their images, (resamples,), as fractions.

    folds: the scores of each fold's test images.

    Scores of different folds are never compared. Normal images are resampled within their fold. If
    several draws test the same normal image, all their normal images are resampled together
    instead. Anomalous images are the same in every fold (ValueError otherwise) and are resampled
    once for all folds. Duplicates share a group and are resampled together. The same seed resamples
    the folds of another method in the same way, so differences between two methods are paired.
    """
    sides = [_sides(scores) for scores in folds]
    anomalous = sides[0][1]
    if any(a.paths != anomalous.paths for _, a in sides):
        raise ValueError(
            "the folds do not have the same anomalous images; give the folds of one data set"
        )
    normals = [n for n, _ in sides]
    tested = [path for n in normals for path in n.paths]
    if len(set(tested)) < len(tested):
        normals = _numbered_together(normals)
        w_a, w_n = _draws(seed, resamples, (anomalous.groups, normals[0].groups))
        w_ns = [w_n] * len(normals)
    else:
        w_a, *w_ns = _draws(seed, resamples, (anomalous.groups, *(n.groups for n in normals)))
    total = 0.0
    for n, (_, a), w_n in zip(normals, sides, w_ns, strict=True):  # w: (resamples, groups)
        total += weighted_auroc(
            n.score, a.score, _present(w_n[:, n.group]), w_a[:, anomalous.group]
        )
    return total / len(folds)


def _present(often: np.ndarray) -> np.ndarray:
    """How often each image of a draw occurs, (R, N). If none would occur, each occurs once."""
    often[often.sum(axis=1) == 0] = 1
    return often


def split_resamples(
    folds: Sequence[Scores], normal: int, resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """AUROCs of resampled test splits with `normal` normal images, (folds, resamples of each).

    The values are fractions. Each resample takes `normal` of a fold's normal images without
    replacement, or all if there are no more. The fold's anomalous images are resampled. Folds also
    differ because each fold has its own student. Results of two methods are paired as in
    `fold_resamples`.
    """
    drawn = []
    for number, scores in enumerate(folds):
        n, a = _sides(scores)
        each = resamples // len(folds)
        order, often = _split_draws(seed, number, each, len(n.score), a.groups)
        w_n, w_a = (order < normal).astype(float), often[:, a.group]
        drawn.append(weighted_auroc(n.score, a.score, w_n, w_a))
    return np.stack(drawn)


def split_noise(*drawn: np.ndarray, level: float = LEVEL) -> float:
    """The half-width of the interval of a sum of independent values, each from a single split.

    drawn: for each term of the sum, the resampled values (folds, resamples). The variance is the
    variance within folds plus the unbiased variance between folds. The quantile is Student's, with
    Satterthwaite's degrees of freedom.
    """
    within = sum(d.var(axis=1, ddof=1).mean() for d in drawn)
    between = [d.mean(axis=1).var(ddof=1) for d in drawn]
    variance = within + sum(between)
    known = sum(b**2 / (len(d) - 1) for b, d in zip(between, drawn, strict=True))
    freedom = variance**2 / known if known else np.inf
    return float(scipy.stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance))


class _Side(NamedTuple):
    """The normal or the anomalous images of a fold, in the order of their paths."""

    paths: list[str]
    score: np.ndarray
    group: np.ndarray  # the number of each image's group, 0 to groups - 1
    groups: int
    names: list  # of the images' groups, as stored; without groups, the paths


def _sides(scores: Scores) -> tuple[_Side, _Side]:
    """The normal and the anomalous images of a fold, in the order of their paths."""
    paths, labels = scores["path"], scores["label"]
    groups = scores["group"] if "group" in scores else range(len(paths))
    sides = []
    for kind in (0, 1):
        own = sorted((p, i) for i, p in enumerate(paths) if labels[i] == kind)
        score = np.array([scores["score"][i] for _, i in own], float)
        found, number = np.unique([groups[i] for _, i in own], return_inverse=True)
        names = [groups[i] if "group" in scores else p for p, i in own]
        sides.append(_Side([p for p, _ in own], score, number, len(found), names))
    return sides[0], sides[1]


def _numbered_together(sides: Sequence[_Side]) -> list[_Side]:
    """The same sides, renumbered so that a group has the same number in all of them."""
    names = np.unique([name for side in sides for name in side.names])
    return [
        side._replace(group=np.searchsorted(names, side.names), groups=len(names)) for side in sides
    ]


# A seed's resamples depend only on the counts, so most results of a study share them.
@lru_cache(maxsize=8)
def _draws(seed: int, resamples: int, groups: tuple[int, ...]) -> list[np.ndarray]:
    """How often each group occurs in each resample: an array (resamples, groups) per side."""
    rng = np.random.default_rng(seed)
    return [_redraw(n, resamples, rng) for n in groups]


@lru_cache(maxsize=32)
def _split_draws(
    seed: int, number: int, resamples: int, normal: int, anomalous: int
) -> tuple[np.ndarray, np.ndarray]:
    """A random order of a fold's normal images, and how often its anomalous groups occur.

    Both have a line per resample.
    """
    rng = np.random.default_rng([seed, number])
    order = rng.random((resamples, normal)).argsort(axis=1)
    return order, _redraw(anomalous, resamples, rng)


def _redraw(groups: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each group occurs in each resample, (resamples, groups)."""
    drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return drawn.astype(float)  # floats, so that products need no conversion


def percentiles(drawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of resampled values."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def fold_interval(folds: Sequence[Scores], level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval over images of the mean of the folds' AUROCs, as fractions.

    Where no resample changes the mean (an AUROC of 1), `auroc_interval` at the counts of all folds
    is returned instead.
    """
    drawn = fold_resamples(folds)
    if np.ptp(drawn) > 0:
        return percentiles(drawn, level)
    normal = {
        path
        for scores in folds
        for path, label in zip(scores["path"], scores["label"], strict=True)
        if label == 0
    }
    return auroc_interval(float(drawn[0]), len(normal), list(folds[0]["label"]).count(1), level)

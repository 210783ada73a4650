"""Resampled test images of k-folds: intervals of their mean AUROC, noise of single splits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from rdrepro.study.stats import LEVEL, auroc_interval

Scores = Mapping[str, Sequence]  # path, label, score and perhaps group, as a row holds them


def fold_resamples(folds: Sequence[Scores], resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """Return the mean of the folds' AUROCs, (resamples,), images redrawn within each fold.

    Scores of different folds are never compared. Normal images are redrawn in their own fold;
    anomalous ones, the same in every fold (ValueError otherwise), once for all folds. Copies of
    one picture, which share a group, are drawn together. The same seed draws the same images of
    another method's folds, so that the difference of two results is paired.
    """
    rng = np.random.default_rng(seed)
    sides = [_sides(scores) for scores in folds]
    anomalous = sides[0][1]
    if any(list(a.index) != list(anomalous.index) for _, a in sides):
        raise ValueError("the folds do not have the same anomalous images")
    w_a, total = _redraw(anomalous["group"], resamples, rng), 0.0  # (resamples, anomalous)
    for n, a in sides:
        w_n = _redraw(n["group"], resamples, rng)  # (resamples, normal)
        total += _weighted_auroc(n, a, w_n, w_a)
    return total / len(folds)


def split_resamples(
    folds: Sequence[Scores], normal: int, resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """Return AUROCs of single splits that test so many `normal` images, (folds, resamples each).

    Of each fold some of its normal images, all of them where it has no more, and its anomalous ones
    redrawn. Folds differ in their students too. Paired as `fold_resamples` is.
    """
    drawn = []
    for number, scores in enumerate(folds):
        rng, (n, a) = np.random.default_rng([seed, number]), _sides(scores)
        order = rng.random((resamples // len(folds), len(n))).argsort(axis=1)
        w_a = _redraw(a["group"], len(order), rng)
        drawn.append(_weighted_auroc(n, a, (order < normal).astype(int), w_a))
    return np.stack(drawn)


def split_noise(*drawn: np.ndarray, level: float = LEVEL) -> float:
    """Return the half-width of a sum of independent values of single splits, (folds, resamples).

    The variance within folds and, unbiased, that between them; Student's quantile at the degrees of
    freedom that folds leave (Satterthwaite).
    """
    within = sum(d.var(axis=1, ddof=1).mean() for d in drawn)
    between = [d.mean(axis=1).var(ddof=1) for d in drawn]
    variance = within + sum(between)
    known = sum(b**2 / (len(d) - 1) for b, d in zip(between, drawn, strict=True))
    freedom = variance**2 / known if known else np.inf
    return float(stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance))


def _sides(scores: Scores) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the normal and the anomalous images of a fold, by their paths."""
    table = _by_path(scores)
    return table[table["label"] == 0], table[table["label"] == 1]


def _weighted_auroc(n: pd.DataFrame, a: pd.DataFrame, w_n: Any, w_a: Any) -> np.ndarray:
    """Return the AUROC of each resample, (R,); w_n (R, normal), w_a (R, anomalous): how often."""
    pairs = a["score"].to_numpy()[:, None] - n["score"].to_numpy()
    above = (pairs > 0) + 0.5 * (pairs == 0)  # (anomalous, normal)
    return ((w_a @ above) * w_n).sum(axis=1) / (w_a.sum(axis=1) * w_n.sum(axis=1))


def _by_path(scores: Scores) -> pd.DataFrame:
    table = pd.DataFrame({k: scores[k] for k in ("path", "label", "score")})
    table["group"] = scores["group"] if "group" in scores else range(len(table))
    return table.set_index("path").sort_index()


def _redraw(groups: pd.Series, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each image stands in each resample, (resamples, N); groups stay whole."""
    names, number = np.unique(groups, return_inverse=True)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, number]


def percentiles(drawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of what was drawn."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def fold_interval(folds: Sequence[Scores], level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval over images of the mean of the folds' AUROCs.

    Where no resample moves it (an AUROC of 1) it is `auroc_interval` at the counts of all folds.
    """
    drawn = fold_resamples(folds)
    if np.ptp(drawn) > 0:
        return percentiles(drawn, level)
    normal = sum(list(scores["label"]).count(0) for scores in folds)
    return auroc_interval(float(drawn[0]), normal, list(folds[0]["label"]).count(1), level)

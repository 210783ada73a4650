"""Statistics of repeated runs and of single AUROCs, and the verdicts based on them.

Values, margins and intervals over seeds are in points (percent). AUROCs of single runs are
fractions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy  # its parts load on first use; jobs seldom need them

LEVEL = 0.95
FEWEST_SEEDS = 3
COLLAPSE = 10.0  # points below the median of its repetitions; our choice, above every known SD
FINEST = 5e-7  # half a unit of the last digit of a row's AUROC; keeps logits of 0 and 1 finite
ROUNDING = 1e-9  # counts a bound that lies on the margin as inside, despite rounding


class Summary(NamedTuple):
    """Count, mean, standard deviation and t-interval of repeated runs; NaN where n is too small."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def summary(values: Sequence[float], level: float = LEVEL) -> Summary:
    """The count, mean, SD (n - 1) and t-interval of the mean, in the unit of the values."""
    v = np.asarray(values, float)
    if len(v) < 2:
        return Summary(len(v), v.mean() if len(v) else np.nan, np.nan, np.nan, np.nan)
    mean, sd = v.mean(), v.std(ddof=1)
    half = scipy.stats.t.ppf((1 + level) / 2, len(v) - 1) * sd / np.sqrt(len(v))
    return Summary(len(v), mean, sd, mean - half, mean + half)


def welch(
    before: Sequence[float], after: Sequence[float], level: float = LEVEL
) -> tuple[float, float]:
    """Welch's interval of the difference of two means, after - before, in the values' unit.

    The values are not paired. NaN if either has fewer than two.
    """
    a, b = summary(before), summary(after)
    if min(a.n, b.n) < 2:
        return np.nan, np.nan
    parts = a.sd**2 / a.n, b.sd**2 / b.n
    variance, difference = sum(parts), b.mean - a.mean
    known = parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1)
    freedom = variance**2 / known if known else np.inf
    half = scipy.stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance)
    return float(difference - half), float(difference + half)


def auroc_interval(
    value: float, normal: int, anomalous: int, level: float = LEVEL
) -> tuple[float, float]:
    """The interval of one AUROC, computed from its value and the counts of images.

    value: a fraction. This is the score interval with Hanley and McNeil's variance at the bound
    (Newcombe 2006, method 5). It has a positive width even at an AUROC of 0 or 1. ValueError if a
    count is below 1 or the value is not a fraction.
    """
    if min(normal, anomalous) < 1 or not 0 <= value <= 1:
        raise ValueError(
            f"AUROC {value} of {normal} normal and {anomalous} anomalous images has no interval: "
            "give a fraction and at least one image of each kind"
        )
    z, shared = scipy.stats.norm.ppf((1 + level) / 2), (normal + anomalous) / 2 - 1

    def excess(bound: float) -> float:
        spread = 1 + shared * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        return abs(value - bound) - z * np.sqrt(bound * (1 - bound) * spread / (normal * anomalous))

    # The variance vanishes at 0 and 1; the search stops before these false roots.
    edge = 1e-9
    low = scipy.optimize.brentq(excess, 0, min(value, 1 - edge)) if value > edge else 0.0
    high = scipy.optimize.brentq(excess, max(value, edge), 1) if value < 1 - edge else 1.0
    return float(low), float(high)


def placements(scores: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """For each image of one group, the share of the other group's images that it outranks.

    These are DeLong's placement values. scores: (N,). mine: which images form the first group, (N,)
    bool. A tie counts half.
    """
    return (scipy.stats.rankdata(scores)[mine] - scipy.stats.rankdata(scores[mine])) / (~mine).sum()


def average_interval(
    scores: Sequence[Sequence[float]], labels: Sequence[Sequence[int]], level: float = LEVEL
) -> tuple[float, float]:
    """The interval over images of the mean AUROC of several classes that share one test set.

    scores, labels: (K, N), one line per normal class, whose own images are labelled 0. Every image
    takes part in all K problems. Its K placement values (DeLong) are therefore summed first, and
    the variance of the sums is taken within each image's own class. The interval is computed on the
    logit scale and given as fractions. Where the variance is 0 (an AUROC of 1), `auroc_interval` at
    the counts of the first class is returned instead.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels) == 1
    from rdrepro.metrics import auroc  # loads scikit-image

    values = [auroc(s, y) for s, y in zip(scores, labels, strict=True)]
    mean, added = float(np.mean(values)), np.zeros(scores.shape[1])
    for s, y, value in zip(scores, labels, values, strict=True):
        for sign, mine, expected in ((1, y, value), (-1, ~y, 1 - value)):
            added[mine] += sign * (placements(s, mine) - expected) / mine.sum()
    added /= len(values)
    own = np.where((~labels).any(axis=0), (~labels).argmax(axis=0), -1)
    groups = [added[own == k] for k in np.unique(own)]
    variance = sum(len(g) * g.var(ddof=1) for g in groups if len(g) > 1)
    if not variance > 0:
        return auroc_interval(mean, int((~labels[0]).sum()), int(labels[0].sum()), level)
    half = scipy.stats.norm.ppf((1 + level) / 2) * np.sqrt(variance) / (mean * (1 - mean))
    middle, expit = scipy.special.logit(mean), scipy.special.expit
    return float(expit(middle - half)), float(expit(middle + half))


def prediction_intervals(
    values: pd.DataFrame, level: float = LEVEL, more: int = 1, together: bool = False
) -> pd.DataFrame:
    """The prediction interval for the mean AUROC of `more` further seeds, for each unit.

    values: AUROCs as fractions, with a line per unit, such as a class, and a column per seed; NaN
    where none ran.
    more: the number of further seeds.
    together: set this when all units share the same folds; pooling units then adds no degrees of
    freedom.

    The result has columns low and high, as fractions. They are t-intervals on the logit scale, on
    which units near 1 spread as much as the others. All units share one SD. Each repetition of a
    unit after the first adds a degree of freedom. Without any degree of freedom, the result is NaN.
    """
    z = scipy.special.logit(values.clip(FINEST, 1 - FINEST))
    n = z.notna().sum(axis=1)
    beyond = (n - 1).clip(lower=0)
    squares = z.sub(z.mean(axis=1), axis=0).pow(2).sum().sum()
    spread = np.sqrt(squares / beyond.sum()) if beyond.any() else np.nan
    freedom = beyond.max() if together else beyond.sum()
    half = scipy.stats.t.ppf((1 + level) / 2, freedom) * spread * np.sqrt(1 / more + 1 / n)
    expit = scipy.special.expit
    bounds = {"low": expit(z.mean(axis=1) - half), "high": expit(z.mean(axis=1) + half)}
    return pd.DataFrame(bounds, index=values.index)


def weighted_auroc(
    normal: np.ndarray, anomalous: np.ndarray, w_n: np.ndarray, w_a: np.ndarray
) -> np.ndarray:
    """The AUROC of each resample as a fraction, (R,).

    normal, anomalous: scores. w_n: (R, normal), w_a: (R, anomalous), how often a resample contains
    each image.
    """
    pairs = anomalous[:, None] - normal
    above = (pairs > 0) + 0.5 * (pairs == 0)  # (anomalous, normal)
    return ((w_a @ above) * w_n).sum(axis=1) / (w_a.sum(axis=1) * w_n.sum(axis=1))


def paired_bootstrap(
    scores_a: Sequence[float],
    scores_b: Sequence[float],
    labels: Sequence[int],
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """The difference b - a of two methods' AUROCs on the same images, and its percentile interval.

    Returns the difference, low and high, as fractions. Normal and anomalous images are resampled
    separately, and each image keeps both of its scores. scores: (N,), or (N, K) for the mean AUROC
    of several scores per image. ValueError if the numbers of scores and labels do not agree.
    """
    a, b, labels = (np.asarray(x) for x in (scores_a, scores_b, labels))
    if a.shape != b.shape or a.shape[:1] != labels.shape:
        raise ValueError(
            f"not the same images: the scores have shapes {a.shape} and {b.shape}, the labels "
            f"{labels.shape}; give two scores and a label for each image"
        )
    kinds = labels == 0, labels == 1

    def difference(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        weights = [_how_often(numbers) for numbers in drawn]
        mean_a, mean_b = (
            np.stack(
                [
                    weighted_auroc(*(column[kind] for kind in kinds), *weights)
                    for column in scores.reshape(len(labels), -1).T
                ],
                axis=-1,
            ).mean(axis=-1)
            for scores in (a, b)
        )
        return mean_b - mean_a

    strata = [np.arange(kind.sum()) for kind in kinds]
    interval = scipy.stats.bootstrap(
        strata,
        difference,
        n_resamples=resamples,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    (value,) = difference(*(numbers[None] for numbers in strata))
    return float(value), float(interval.low), float(interval.high)


def _how_often(drawn: np.ndarray) -> np.ndarray:
    """How often each of the numbers 0 to N - 1 occurs in each line of `drawn`; both are (R, N)."""
    count, n = drawn.shape
    places = drawn.astype(int) + n * np.arange(count)[:, None]
    return np.bincount(places.ravel(), minlength=count * n).reshape(count, n).astype(float)


def collapsed(values: Sequence[float]) -> np.ndarray:
    """Whether each repetition is more than COLLAPSE points below the median of all, (N,)."""
    v = np.asarray(values, float)
    return v < np.median(v) - COLLAPSE


def verdict(values: Sequence[float], printed: float, margin: float | None) -> str:
    """The verdict of repetitions on a printed value; all numbers are in points.

    "reproduced": the 90 % t-interval of their mean lies inside printed +- margin (TOST).
    "differs": the 95 % t-interval lies outside it.
    "close": neither.
    "no verdict": fewer than three repetitions, or no declared margin.
    """
    if margin is None or len(values) < FEWEST_SEEDS:
        return "no verdict"
    inner, outer = summary(values, 0.90), summary(values, 0.95)
    low, high = printed - margin - ROUNDING, printed + margin + ROUNDING
    if low <= inner.low and inner.high <= high:
        return "reproduced"
    return "differs" if outer.high < low or outer.low > high else "close"


def non_inferior(
    differences: Sequence[float], margin: float, level: float = LEVEL
) -> tuple[float, float, bool]:
    """Whether paired differences exclude a loss as large as a margin; all numbers are in points.

    differences: ours minus the reference, one for each pair, where higher is better. Returns their
    mean, the lower bound of the one-sided t-interval at this level, and whether the bound lies
    above -margin. With fewer than three pairs there is no bound (NaN), so the answer is False.
    """
    if len(differences) < FEWEST_SEEDS:
        return summary(differences).mean, np.nan, False
    s = summary(differences, 2 * level - 1)  # whose bounds are one-sided bounds at `level`
    return s.mean, s.low, bool(s.low > -margin - ROUNDING)


def overlap_verdict(values: Sequence[float], printed: float, normal: int, anomalous: int) -> str:
    """Whether our 95 % t-interval overlaps the interval of a printed AUROC.

    values, printed: percent. normal, anomalous: the counts of the printed split, from which
    `auroc_interval` makes the printed value's interval; its scores are not public. The result is
    "overlaps", "does not overlap" or, for fewer than three repetitions, "no verdict".
    """
    if len(values) < FEWEST_SEEDS:
        return "no verdict"
    ours = summary(values)
    low, high = (100 * x for x in auroc_interval(printed / 100, normal, anomalous))
    return "overlaps" if ours.low <= high and low <= ours.high else "does not overlap"

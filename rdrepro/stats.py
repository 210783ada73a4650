"""Statistics of repeated runs and of single AUROCs, equivalence tests and verdicts.

Values, margins and intervals of seeds are in points (percent); AUROCs of single runs are fractions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit

from rdrepro.metrics import auroc

LEVEL = 0.95
FEWEST_SEEDS = 3
# What counts as "reproduced", in points, declared before any run was compared with print.
MARGINS: dict[str, dict[str, float]] = {
    "average": {"image_auroc": 0.5, "pixel_auroc": 0.6, "pro": 1.0},  # over 15 categories
    "category": {"image_auroc": 2.7, "pixel_auroc": 1.7, "pro": 3.0},
    "table 4": {"image_auroc": 1.0},
    "table 5": {"image_auroc": 1.5, "pixel_auroc": 1.5, "pro": 1.5},
    "table 6": {"image_auroc": 1.0, "pixel_auroc": 1.0, "pro": 1.0},
    "table 7": {"image_auroc": 1.5, "pixel_auroc": 1.5, "pro": 1.5},
    "retinal_oct": {"image_auroc": 1.5},
}
COLLAPSE = 10.0  # points below the median of its repetitions: our choice, above every SD known
FINEST = 5e-7  # half of the last digit of a row's AUROC, where its logit would be infinite
ROUNDING = 1e-9  # so that a bound on the margin is inside, whatever the floats


class Summary(NamedTuple):
    """Mean, standard deviation and t-interval of repeated runs; NaN where n allows none."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def summary(values: Sequence[float], level: float = LEVEL) -> Summary:
    """Return mean, SD (n - 1) and the t-interval of the mean over seeds."""
    v = np.asarray(values, float)
    if len(v) < 2:
        return Summary(len(v), v.mean() if len(v) else np.nan, np.nan, np.nan, np.nan)
    mean, sd = v.mean(), v.std(ddof=1)
    half = stats.t.ppf((1 + level) / 2, len(v) - 1) * sd / np.sqrt(len(v))
    return Summary(len(v), mean, sd, mean - half, mean + half)


def auroc_interval(
    value: float, normal: int, anomalous: int, level: float = LEVEL
) -> tuple[float, float]:
    """Return the interval of one AUROC from its value and counts; it has a width at 0 and 1 too.

    Score interval with Hanley and McNeil's variance at the bound (Newcombe 2006, method 5).
    ValueError for no counts or no fraction.
    """
    if min(normal, anomalous) < 1 or not 0 <= value <= 1:
        raise ValueError(f"AUROC {value} of {normal} normal and {anomalous} anomalous images")
    z, shared = stats.norm.ppf((1 + level) / 2), (normal + anomalous) / 2 - 1

    def excess(bound: float) -> float:
        spread = 1 + shared * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        return abs(value - bound) - z * np.sqrt(bound * (1 - bound) * spread / (normal * anomalous))

    # At a bound of 0 or 1 the variance vanishes: the search stops short of that false root.
    edge = 1e-9
    low = brentq(excess, 0, min(value, 1 - edge)) if value > edge else 0.0
    high = brentq(excess, max(value, edge), 1) if value < 1 - edge else 1.0
    return float(low), float(high)


def hanley_mcneil_interval(
    value: float, normal: int, anomalous: int, level: float = LEVEL
) -> tuple[float, float]:
    """Return the usual approximation of an AUROC's interval, symmetric and cut to [0, 1].

    Hanley and McNeil 1982; what the extension's printed values are given, whose scores nobody has.
    """
    half = stats.norm.ppf((1 + level) / 2) * hanley_mcneil_deviation(value, normal, anomalous)
    return float(max(value - half, 0)), float(min(value + half, 1))


def hanley_mcneil_deviation(value: float, normal: int, anomalous: int) -> float:
    """Return the standard deviation of an AUROC from its value and counts (their Eq. 1)."""
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    extra = (anomalous - 1) * (q1 - value**2) + (normal - 1) * (q2 - value**2)
    return float(np.sqrt((value * (1 - value) + extra) / (normal * anomalous)))


def score_interval(
    scores: Sequence[float], labels: Sequence[int], level: float = LEVEL
) -> tuple[float, float]:
    """Return `auroc_interval` of image scores. Labels: 1 = anomalous."""
    anomalous = int(np.sum(np.asarray(labels) == 1))
    return auroc_interval(auroc(scores, labels), len(labels) - anomalous, anomalous, level)


def delong_interval(
    scores: Sequence[float], labels: Sequence[int], level: float = LEVEL
) -> tuple[float, float]:
    """Return DeLong's interval on the logit scale, with Welch's degrees of freedom.

    Where its variance is 0 (an AUROC of 0 or 1) it is `auroc_interval`. Labels: 1 = anomalous.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels) == 1
    value, parts, freedom = auroc(scores, labels), [], []
    for mine in (labels, ~labels):
        share = _placements(scores, mine)
        parts.append(share.var(ddof=1) / mine.sum() if mine.sum() > 1 else np.nan)
        freedom.append(mine.sum() - 1)
    variance = sum(parts)
    if not variance > 0:
        return auroc_interval(value, int((~labels).sum()), int(labels.sum()), level)
    welch = variance**2 / sum(p**2 / f for p, f in zip(parts, freedom, strict=True))
    half = stats.t.ppf((1 + level) / 2, welch) * np.sqrt(variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _placements(scores: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """Return DeLong's placement values: the share of the others that each of mine stands above."""
    return (stats.rankdata(scores)[mine] - stats.rankdata(scores[mine])) / (~mine).sum()


def average_interval(
    scores: Sequence[Sequence[float]], labels: Sequence[Sequence[int]], level: float = LEVEL
) -> tuple[float, float]:
    """Return the interval over images of the mean AUROC of several classes tested on one test set.

    scores, labels: (K, N), one line per normal class, whose own images are labelled 0. Each image
    stands in all K problems: what it adds to each AUROC (DeLong's placement values) is summed
    before the variance is taken, within its own class. On the logit scale; where the variance is 0
    (an AUROC of 1) it is `auroc_interval` at the first class's counts.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels) == 1
    values = [auroc(s, y) for s, y in zip(scores, labels, strict=True)]
    mean, added = float(np.mean(values)), np.zeros(scores.shape[1])
    for s, y, value in zip(scores, labels, values, strict=True):
        for sign, mine, expected in ((1, y, value), (-1, ~y, 1 - value)):
            added[mine] += sign * (_placements(s, mine) - expected) / mine.sum()
    added /= len(values)
    own = np.where((~labels).any(axis=0), (~labels).argmax(axis=0), -1)
    groups = [added[own == k] for k in np.unique(own)]
    variance = sum(len(g) * g.var(ddof=1) for g in groups if len(g) > 1)
    if not variance > 0:
        return auroc_interval(mean, int((~labels[0]).sum()), int(labels[0].sum()), level)
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance) / (mean * (1 - mean))
    return float(expit(logit(mean) - half)), float(expit(logit(mean) + half))


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


def prediction_intervals(
    values: pd.DataFrame, level: float = LEVEL, more: int = 1, together: bool = False
) -> pd.DataFrame:
    """Return, per unit, where the mean AUROC of so many `more` seeds will lie: low and high.

    values: AUROCs as fractions, a line per unit, a column per seed, NaN where none ran. On the
    logit scale, on which units near 1 spread as the others do, with one SD for all units:
    t-intervals with a degree of freedom per repetition beyond the first. NaN without any.
    together: the columns are the same images for every unit, as folds are, so that all units tell
    no more of the spread than one: its degrees of freedom count.
    """
    z = logit(values.clip(FINEST, 1 - FINEST))
    n = z.notna().sum(axis=1)
    beyond = (n - 1).clip(lower=0)
    squares = z.sub(z.mean(axis=1), axis=0).pow(2).sum().sum()
    spread = np.sqrt(squares / beyond.sum()) if beyond.any() else np.nan
    freedom = beyond.max() if together else beyond.sum()
    half = stats.t.ppf((1 + level) / 2, freedom) * spread * np.sqrt(1 / more + 1 / n)
    bounds = {"low": expit(z.mean(axis=1) - half), "high": expit(z.mean(axis=1) + half)}
    return pd.DataFrame(bounds, index=values.index)


def _auroc_of(normal: np.ndarray, anomalous: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the AUROC along an axis, for resamples drawn together."""
    pairs = normal.shape[axis] * anomalous.shape[axis]
    return stats.mannwhitneyu(anomalous, normal, axis=axis, method="asymptotic").statistic / pairs


def stratified_bootstrap(
    scores: Sequence[float],
    labels: Sequence[int],
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Return the percentile interval of an AUROC, normal and anomalous images redrawn apart.

    It collapses at an AUROC of 1, where `auroc_interval` does not.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    result = stats.bootstrap(
        (scores[labels == 0], scores[labels == 1]),
        _auroc_of,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def paired_bootstrap(
    scores_a: Sequence[float],
    scores_b: Sequence[float],
    labels: Sequence[int],
    statistic: Callable[[np.ndarray, np.ndarray], float] = auroc,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """Return b - a and its percentile interval for two methods on the same images.

    Normal and anomalous images are redrawn apart, each with both of its scores. scores: (N,), or
    (N, K) for a statistic of several scores per image.
    """
    a, b, labels = (np.asarray(x) for x in (scores_a, scores_b, labels))
    if a.shape != b.shape or a.shape[:1] != labels.shape:
        raise ValueError(f"not the same images: {a.shape}, {b.shape} scores, {labels.shape} labels")

    def difference(normal: np.ndarray, anomalous: np.ndarray) -> float:
        chosen = np.concatenate([normal, anomalous]).astype(int)
        return statistic(b[chosen], labels[chosen]) - statistic(a[chosen], labels[chosen])

    strata = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    interval = stats.bootstrap(
        strata,
        difference,
        n_resamples=resamples,
        vectorized=False,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return difference(*strata), float(interval.low), float(interval.high)


def coverage(
    interval: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    normal: int,
    anomalous: int,
    true: float,
    draws: int = 2000,
    seed: int = 0,
) -> pd.Series:
    """Return how often an interval of an AUROC holds the true one, over binormal draws.

    interval: of (scores, labels). Both kinds of score have SD 1, and means apart by what gives
    `true`. Index: coverage, too high, too low (shares of draws), width (mean).
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [normal, anomalous])
    apart = np.sqrt(2) * stats.norm.ppf(true)
    scores = rng.normal(size=(draws, normal + anomalous)) + apart * labels
    low, high = np.array([interval(s, labels) for s in scores]).T
    shares = {"too high": (low > true).mean(), "too low": (high < true).mean()}
    inside = ((low <= true) & (true <= high)).mean()
    return pd.Series({"coverage": inside} | shares | {"width": (high - low).mean()})


def tost(values: Sequence[float], target: float, margin: float) -> float:
    """Return the p-value of "the mean differs from target by margin or more" (two one-sided tests).

    Small says equivalent: p < 0.05 where the 90 % t-interval lies within target +- margin. NaN for
    fewer than two values.
    """
    v = np.asarray(values, float)
    if len(v) < 2:
        return float("nan")
    if np.ptp(v) == 0:  # no spread: the t statistic is infinite, or 0/0 on the margin itself
        return float(abs(v[0] - target) > margin + ROUNDING)
    below = stats.ttest_1samp(v, target - margin, alternative="greater").pvalue
    above = stats.ttest_1samp(v, target + margin, alternative="less").pvalue
    return float(max(below, above))


def wilcoxon(ours: Sequence[float], others: Sequence[float]) -> float:
    """Return the p-value of no difference over categories (signed ranks, two-sided); 1 for ties."""
    difference = np.asarray(ours, float) - np.asarray(others, float)
    return float(stats.wilcoxon(difference).pvalue) if np.any(difference) else 1.0


def collapsed(values: Sequence[float]) -> np.ndarray:
    """Return which repetitions lie more than COLLAPSE points below the median of all."""
    v = np.asarray(values, float)
    return v < np.median(v) - COLLAPSE


def verdict(values: Sequence[float], printed: float, margin: float | None) -> str:
    """Return what repetitions say of a printed value, all in points.

    "reproduced": the 90 % t-interval of their mean lies inside printed +- margin (TOST);
    "differs": the 95 % interval lies outside it; "close": otherwise. "no verdict": fewer than
    three repetitions, or no margin declared.
    """
    if margin is None or len(values) < FEWEST_SEEDS:
        return "no verdict"
    inner, outer = summary(values, 0.90), summary(values, 0.95)
    low, high = printed - margin - ROUNDING, printed + margin + ROUNDING
    if low <= inner.low and inner.high <= high:
        return "reproduced"
    return "differs" if outer.high < low or outer.low > high else "close"


def overlap_verdict(values: Sequence[float], printed: float, normal: int, anomalous: int) -> str:
    """Return whether our 95 % t-interval overlaps a printed AUROC's, approximated at its counts."""
    if len(values) < FEWEST_SEEDS:
        return "no verdict"
    ours = summary(values)
    low, high = (100 * x for x in hanley_mcneil_interval(printed / 100, normal, anomalous))
    return "overlaps" if ours.low <= high and low <= ours.high else "does not overlap"


ANY = "any"  # where the print is silent; the row's value is then a footnote


def cell_matches(row: dict[str, Any], cell: Any) -> bool:
    """Return whether a row ran the whole protocol of a printed cell.

    row: a result row, or a line of `load_runs`; cell: a `cells.Cell`, whose `protocol` names every
    field that affects the result. Device and precision are footnotes, the seed is free.
    """
    config = row.get("config", row)
    return all(
        admits(wanted, config.get(name, cell.defaults.get(name)))
        for name, wanted in cell.protocol.items()
    )


def admits(wanted: Any, value: Any) -> bool:
    """Return whether a protocol's entry (a value, ANY, or a frozenset of values) admits a value."""
    value = tuple(value) if isinstance(value, list) else value
    value = None if value != value else value  # pandas makes NaN of null
    if isinstance(wanted, frozenset):
        return value in wanted
    return wanted == ANY or value == wanted

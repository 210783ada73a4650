"""How often 95 % intervals of an AUROC contain the true one: `make coverage` (five minutes).

Simulates the regimes below with 2,000 draws each and writes results/coverage.csv, which the report
shows. The regimes are those of MVTec's bottle, of the extension's two splits with ten normal
images, and of a small set.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from rdrepro import paths
from rdrepro.metrics import auroc
from rdrepro.progress import progress
from rdrepro.study.stats import LEVEL, auroc_interval, placements


def score_interval(
    scores: Sequence[float], labels: Sequence[int], level: float = LEVEL
) -> tuple[float, float]:
    """The `auroc_interval` of the AUROC of image scores, as fractions. Labels: 1 = anomalous."""
    anomalous = int(np.sum(np.asarray(labels) == 1))
    return auroc_interval(auroc(scores, labels), len(labels) - anomalous, anomalous, level)


def delong_interval(
    scores: Sequence[float], labels: Sequence[int], level: float = LEVEL
) -> tuple[float, float]:
    """DeLong's interval of an AUROC, on the logit scale with Welch's degrees of freedom.

    Where the variance is 0 (an AUROC of 0 or 1), `auroc_interval` is returned instead. Labels: 1 =
    anomalous.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels) == 1
    value, parts, freedom = auroc(scores, labels), [], []
    for mine in (labels, ~labels):
        share = placements(scores, mine)
        parts.append(share.var(ddof=1) / mine.sum() if mine.sum() > 1 else np.nan)
        freedom.append(mine.sum() - 1)
    variance = sum(parts)
    if not variance > 0:
        return auroc_interval(value, int((~labels).sum()), int(labels.sum()), level)
    welch = variance**2 / sum(p**2 / f for p, f in zip(parts, freedom, strict=True))
    half = stats.t.ppf((1 + level) / 2, welch) * np.sqrt(variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _auroc_of(normal: np.ndarray, anomalous: np.ndarray, axis: int = -1) -> np.ndarray:
    """The AUROC along an axis, for all resamples at once."""
    pairs = normal.shape[axis] * anomalous.shape[axis]
    return stats.mannwhitneyu(anomalous, normal, axis=axis, method="asymptotic").statistic / pairs


def stratified_bootstrap(
    scores: Sequence[float],
    labels: Sequence[int],
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """The percentile interval of an AUROC; normal and anomalous images are resampled separately.

    Labels: 1 = anomalous. At an AUROC of 1 its width is 0, unlike that of `auroc_interval`.
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


def coverage(
    interval: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    normal: int,
    anomalous: int,
    true: float,
    draws: int = 2000,
    seed: int = 0,
) -> pd.Series:
    """How often an interval of an AUROC contains the true AUROC, in simulated draws.

    interval: a function of (scores, labels). true: the true AUROC as a fraction. The scores of
    normal and of anomalous images are normally distributed with SD 1. Their means differ by what
    gives the AUROC `true`. The result has "coverage" (the share of draws whose interval contains
    `true`), "too high" and "too low" (the shares whose interval lies above or below it) and "width"
    (the mean width).
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [normal, anomalous])
    apart = np.sqrt(2) * stats.norm.ppf(true)
    scores = rng.normal(size=(draws, normal + anomalous)) + apart * labels
    low, high = np.array([interval(s, labels) for s in scores]).T
    shares = {"too high": (low > true).mean(), "too low": (high < true).mean()}
    inside = ((low <= true) & (true <= high)).mean()
    return pd.Series({"coverage": inside} | shares | {"width": (high - low).mean()})


REGIMES = ((20, 63, 0.99), (10, 100, 0.85), (10, 155, 0.93), (20, 20, 0.7))
DRAWS = 2000
INTERVALS = {
    "score interval (ours)": score_interval,
    "DeLong, logit scale": delong_interval,
    "stratified bootstrap": partial(stratified_bootstrap, resamples=1000),
}


def main() -> None:
    lines = []
    for regime in progress(REGIMES, "coverage"):
        for name, interval in INTERVALS.items():
            named = dict(zip(("normal", "anomalous", "AUROC"), regime, strict=True))
            found = coverage(interval, *regime, draws=DRAWS)
            lines.append(named | {"interval": name, "draws": DRAWS} | found.to_dict())
    pd.DataFrame(lines).round(4).to_csv(paths.ROOT / "results" / "coverage.csv", index=False)


if __name__ == "__main__":
    main()

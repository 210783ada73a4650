"""How often the report's intervals hold the truth in simulations: `make coverage` (three minutes).

Writes results/coverage.csv, which the report shows. Every interval of the report and of README.md
has a line, with the model of `simulations`. Those of one AUROC are also compared with two other
intervals, in the regimes of MVTec's bottle, of the extension's two splits with ten normal images,
and of a small set.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from rdrepro import paths
from rdrepro.metrics import auroc
from rdrepro.progress import progress
from rdrepro.study import simulations as sim
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
    """The AUROC along the last axis, for all resamples at once; a tie counts half."""
    pairs = anomalous[..., :, None] - normal[..., None, :]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean(axis=(-1, -2))


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
    scores = rng.normal(size=(draws, normal + anomalous)) + sim.separation(true) * labels
    low, high = np.array([interval(s, labels) for s in scores]).T
    return shares(low, high, np.full(draws, true))


def shares(low: np.ndarray, high: np.ndarray, true: np.ndarray) -> pd.Series:
    """How many intervals hold their true value, how many lie above or below, and the mean width."""
    return pd.Series(
        {
            "coverage": ((low <= true) & (true <= high)).mean(),
            "too high": (low > true).mean(),
            "too low": (high < true).mean(),
            "width": (high - low).mean(),
        }
    )


SLACK = 0.02  # of coverage; four standard errors of DRAWS draws
REGIMES = ((20, 63, 0.99), (10, 100, 0.85), (10, 155, 0.93), (20, 20, 0.7))
DRAWS = 2000
INTERVALS = {
    "score interval (ours)": score_interval,
    "DeLong, logit scale": delong_interval,
    "stratified bootstrap": partial(stratified_bootstrap, resamples=1000),
}
# Counts and AUROCs of the extension's Table 3, each with several SDs of anomalous scores.
PRINTED = (10, 100, 0.77), (10, 100, 0.85), (10, 155, 0.93), (10, 155, 0.95)
SPREADS = (0.7, 1.0, 1.5)  # of SD 1 in normal scores; in many of our rows, theirs is larger
HEADS = (2, 0.3), (2, 0.5), (3, 0.3), (3, 0.5)  # slices of one head, and their correlation


class Line(NamedTuple):
    """A simulated interval: what it is, where it is shown, and what it should hold."""

    interval: str
    shown: str
    holds: str
    regime: str
    simulate: Callable[[int], sim.Bounds]
    draws: int = DRAWS
    nominal: float = LEVEL


COMPARED = "not shown, for comparison"
ONE_RUN, TABLES, CHANGES = "report: one test set", "Tables 1-7, verdicts", "effects, ablations"
MEDICAL, STEPS = "extension's Table 3", "extension's steps and habits"
SEEDS, BOTTLE = "t over seeds", "3 seeds, 20 + 63 images, AUROC 0.95"
FOLDED = "5 folds of 20 + 100 images, AUROC 0.85"
STEP = "5 folds of 20 + 100 images, AUROC 0.82 to 0.85"
NOTHING = "10 + 100 images, a step that changes nothing"
TO_COME = "5 folds of 20 + 100 images, AUROC 0.75 to 0.9"
CLASSES = "10 classes, AUROC 0.8 to 0.99, 2 seeds"
HERE, RETRAINED = "these images, any training", "these trainings, any images"
ANYWHERE, SHARED = "any images, any training", "these anomalous images, any training"
SLOW, SLOWEST = 600, 300
PRINTED_VALUE = "printed value"
OF_HEADS = "mean of folds, over images (images of one head alike)"
# Why shown intervals fall short, by interval.
REASONS = {
    PRINTED_VALUE: (
        "The interval of a printed value follows from the value and the counts of images alone. "
        "Where anomalous scores vary less than normal ones, the few normal images matter more than "
        "this interval assumes."
    ),
    OF_HEADS: (
        "An interval over images assumes independent images. Neighbouring slices of one head are "
        "not independent."
    ),
}
LINES = (
    Line(SEEDS, TABLES, HERE, BOTTLE, partial(sim.over_seeds, level=LEVEL, elsewhere=False)),
    Line(SEEDS, TABLES, ANYWHERE, BOTTLE, partial(sim.over_seeds, level=LEVEL, elsewhere=True)),
    Line(
        "t over seeds, of equivalence (TOST)",
        *(TABLES, HERE, BOTTLE),
        partial(sim.over_seeds, level=0.9, elsewhere=False),
        nominal=0.9,
    ),
    Line(
        "paired t over seeds",
        *(CHANGES, HERE, "3 seeds, 20 + 63 images, AUROC 0.92 to 0.95"),
        sim.change_over_seeds,
    ),
    Line(
        "paired t over categories",
        *(CHANGES, "any category", "5 categories of 20 + 63 images, AUROC 0.92 to 0.95"),
        sim.change_over_categories,
    ),
    Line(
        "average of classes, over images",
        *("Table 4", RETRAINED, "10 classes, 300 images, AUROC 0.95"),
        sim.average_of_classes,
        SLOWEST,
    ),
    Line(
        "prediction of one more seed",
        *("Table 4", "one more seed", f"{CLASSES}, equal spread"),
        partial(sim.seed_to_come, unequal=False),
        SLOW,
    ),
    Line(
        "prediction of one more seed",
        *("Table 4", "one more seed", f"{CLASSES}, spread up to 4 times as large"),
        partial(sim.seed_to_come, unequal=True),
        SLOW,
    ),
    Line(
        "mean of folds, over images",
        *(MEDICAL, RETRAINED, FOLDED),
        partial(sim.fold_images, elsewhere=False),
        SLOW,
    ),
    Line(
        "mean of folds, over images",
        *(MEDICAL, ANYWHERE, FOLDED),
        partial(sim.fold_images, elsewhere=True),
        SLOW,
    ),
    Line(
        "mean of draws, over images",
        *(MEDICAL, RETRAINED, "3 draws of 10 + 100 images, AUROC 0.85"),
        sim.draw_images,
        SLOW,
    ),
    Line("t over folds", MEDICAL, SHARED, FOLDED, partial(sim.over_folds, elsewhere=False)),
    Line("t over folds", MEDICAL, ANYWHERE, FOLDED, partial(sim.over_folds, elsewhere=True)),
    Line(
        "prediction of one more fold",
        *(MEDICAL, "a fold of another draw and seed", TO_COME),
        partial(sim.folds_to_come, more=1),
        SLOW,
    ),
    Line(
        "prediction of five folds",
        *(MEDICAL, "the mean of another draw and seed", TO_COME),
        partial(sim.folds_to_come, more=sim.FOLDS),
        SLOW,
    ),
    Line(
        "noise of a step, one split",
        *(STEPS, "a printed step", NOTHING),
        partial(sim.step_noise, quoted=False),
        SLOW,
    ),
    Line(
        "noise of a step, a split each",
        *(STEPS, "a printed step from a quoted column", NOTHING),
        partial(sim.step_noise, quoted=True),
        SLOW,
    ),
    Line("paired change, over images", STEPS, RETRAINED, STEP, sim.change_over_images, SLOW),
    Line(
        "paired change, t over folds",
        *(STEPS, SHARED, STEP),
        partial(sim.change_over_folds, elsewhere=False),
    ),
    Line(
        "paired change, t over folds",
        *(STEPS, ANYWHERE, STEP),
        partial(sim.change_over_folds, elsewhere=True),
    ),
    Line(
        "change of the split, Welch over folds",
        *("extension's Table 3, earlier split", "any training and draw", FOLDED),
        sim.change_of_split,
    ),
    Line(
        "rotated images, paired bootstrap",
        *("rotation", "this training, any images", "20 + 63 images, AUROC 0.95 to 0.9"),
        sim.rotated_images,
        SLOW,
    ),
)


def printed_lines() -> Iterator[Line]:
    """The lines of the interval of a printed value, by counts, AUROC and SD of anomalous scores."""
    for normal, anomalous, true in PRINTED:
        for spread in SPREADS:
            counts = {"normal": normal, "anomalous": anomalous, "auroc": true, "spread": spread}
            yield Line(
                PRINTED_VALUE,
                *(
                    MEDICAL,
                    "any images",
                    f"{normal} + {anomalous} images, AUROC {true}, SD {spread}",
                ),
                partial(sim.printed_value, **counts),
            )


def lines_of_heads() -> Iterator[Line]:
    """The lines of the interval of a mean of folds, by how many slices of one head are alike."""
    for each, alike in HEADS:
        yield Line(
            OF_HEADS,
            *(
                MEDICAL,
                RETRAINED,
                f"5 blocks of 20 + 100 images, AUROC 0.85, {each} slices a head, correlation "
                f"{alike}",
            ),
            partial(sim.head_images, each=each, alike=alike),
            SLOW,
        )


def simulated_lines() -> list[Line]:
    """Every line that the model of `simulations` gives, in order."""
    return [*printed_lines(), *LINES, *lines_of_heads()]


def lines_of_one_auroc() -> Iterator[dict]:
    """The lines of intervals of one AUROC, as they are written."""
    for normal, anomalous, true in REGIMES:
        for name, interval in INTERVALS.items():
            shown = ONE_RUN if interval is score_interval else COMPARED
            regime = f"{normal} + {anomalous} images, AUROC {true}"
            head = {"interval": name, "shown": shown, "holds": "this training, any images"}
            head |= {"regime": regime, "nominal": LEVEL, "draws": DRAWS}
            yield head | coverage(interval, normal, anomalous, true, DRAWS).to_dict()


def written(line: Line) -> dict:
    """A simulated line, as it is written."""
    head = {"interval": line.interval, "shown": line.shown, "holds": line.holds}
    head |= {"regime": line.regime, "nominal": line.nominal, "draws": line.draws}
    return head | shares(*line.simulate(line.draws)).to_dict()


def in_words(table: pd.DataFrame) -> list[str]:
    """How many shown intervals contain the truth as often as they should, and which do not.

    table: the lines of results/coverage.csv. The first sentence counts them, one for each interval
    that falls short by more than SLACK follows, and then the reasons.
    """
    shown = table[~table["shown"].eq(COMPARED)]
    short = shown[shown["coverage"] < shown["nominal"] - SLACK]
    if short.empty:
        return [f"In all {len(shown)} simulated cases our intervals keep their level."]
    kept = len(shown) - len(short)
    found = (
        f"In {kept} of {len(shown)} simulated cases our intervals contain the truth as often as "
        f"they should, within {100 * SLACK:.0f} points. In {len(short)} they do not:"
    )
    named = [
        f"*{x['interval']}*, taken for {x['holds']}: {100 * x['coverage']:.1f} % instead of "
        f"{100 * x['nominal']:.0f} % ({x['regime']})."
        for _, x in short.iterrows()
    ]
    why = [reason for name, reason in REASONS.items() if name in set(short["interval"])]
    return [found, *named, *why]


def main() -> None:
    lines = list(lines_of_one_auroc())
    lines += [written(line) for line in progress(simulated_lines(), "coverage")]
    pd.DataFrame(lines).round(4).to_csv(paths.ROOT / "results" / "coverage.csv", index=False)


if __name__ == "__main__":
    main()

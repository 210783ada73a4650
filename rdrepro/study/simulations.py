"""Simulated results with a known truth, and the report's intervals computed from them.

The model is binormal with random effects. An image's score in a training is

    sqrt(1 - OWN) * image + sqrt(OWN) * noise + (separation if the image is anomalous, else 0),

where `image` is the same in every training and `noise` is not; both are standard normal. Each
training has its own separation, which is normal with SD TRAINING. The AUROCs of folds then differ
about as much as in our rows of the extension's Table 3.

Each public function simulates one kind of interval. It returns the bounds of many draws and the
values that the intervals should contain: low, high and true, each (draws,), as fractions.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtr, ndtri

from rdrepro.study.folds import (
    fold_interval,
    fold_resamples,
    percentiles,
    split_noise,
    split_resamples,
)
from rdrepro.study.stats import (
    auroc_interval,
    average_interval,
    paired_bootstrap,
    prediction_intervals,
    summary,
    welch,
)

OWN = 0.3  # the share of a score's variance that belongs to one training
TRAINING = 0.3  # the SD of a training's separation
SHARED = np.sqrt(1 - OWN)
FOLDS, NORMAL, ANOMALOUS = 5, 20, 100  # images of Head CT in a fold
TESTED = (20, 63)  # images of MVTec's bottle
FEW = 10  # normal test images of the printed split
READINGS = (0.75, 0.8, 0.85, 0.9)  # AUROCs of columns that share their folds
Bounds = tuple[np.ndarray, np.ndarray, np.ndarray]
Rng = np.random.Generator


def separation(auroc: float, spread: float = 1.0) -> float:
    """The distance of the means that gives an AUROC, where anomalous scores have the SD `spread`.

    Normal scores have the SD 1.
    """
    return float(np.sqrt(1 + spread**2) * ndtri(auroc))


def aurocs(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """The AUROC along the last axis, (..., N) and (..., A) to (...); there are no ties."""
    return (anomalous[..., :, None] > normal[..., None, :]).mean(axis=(-1, -2))


class Trainings(NamedTuple):
    """The scores of K trainings on N normal and A anomalous images each."""

    normal: np.ndarray  # (K, N)
    anomalous: np.ndarray  # (K, A)
    separations: np.ndarray  # (K,)

    @property
    def aurocs(self) -> np.ndarray:
        """The AUROC of each training on its images, (K,)."""
        return aurocs(self.normal, self.anomalous)

    @property
    def true(self) -> float:
        """The mean AUROC of these trainings on the whole population of images."""
        return float(ndtr(self.separations / np.sqrt(2)).mean())

    def rows(self) -> list[dict[str, list]]:
        """The scores in the form of rows, with other normal images in each training."""
        labels = [0] * self.normal.shape[1] + [1] * self.anomalous.shape[1]
        return [
            {
                "path": [f"n{k}-{i:03d}" if not y else f"p{i:03d}" for i, y in enumerate(labels)],
                "label": labels,
                "score": [*normal, *anomalous],
            }
            for k, (normal, anomalous) in enumerate(zip(self.normal, self.anomalous, strict=True))
        ]


def train(rng: Rng, apart: float, normal: np.ndarray, anomalous: np.ndarray) -> Trainings:
    """Train once per line of `normal`.

    normal: the tested images, (K, N). anomalous: those that every training is tested on, (A,).
    """
    separations = apart + TRAINING * rng.normal(size=len(normal))
    own = np.sqrt(OWN)
    raised = SHARED * anomalous + separations[:, None]
    return Trainings(
        SHARED * normal + own * rng.normal(size=normal.shape),
        raised + own * rng.normal(size=raised.shape),
        separations,
    )


def expected(apart: float, anomalous: np.ndarray | None = None) -> float:
    """The expected AUROC of another training on other normal images.

    anomalous: the tested anomalous images, (A,); None if these are other ones as well.
    """
    if anomalous is None:
        return float(ndtr(apart / np.sqrt(2 + TRAINING**2)))
    spread = np.sqrt(1 + OWN + TRAINING**2)
    return float(ndtr((apart + SHARED * anomalous) / spread).mean())


def _images(rng: Rng, folds: int = FOLDS) -> tuple[np.ndarray, np.ndarray]:
    """The tested images of some folds: normal (folds, NORMAL) and anomalous (ANOMALOUS,)."""
    return rng.normal(size=(folds, NORMAL)), rng.normal(size=ANOMALOUS)


def slices(rng: Rng, count: int, each: int, alike: float) -> np.ndarray:
    """Images of which `each` consecutive ones show one head, standard normal, (count,).

    alike: the correlation of two images of one head.
    """
    heads = np.repeat(rng.normal(size=-(-count // each)), each)[:count]
    return np.sqrt(alike) * heads + np.sqrt(1 - alike) * rng.normal(size=count)


def _repeated(one: Callable[[Rng], tuple], draws: int) -> Bounds:
    """The bounds and true values of many draws of `one`."""
    rng = np.random.default_rng(0)
    found = [one(rng) for _ in range(draws)]
    low, high, true = (np.ravel(np.array(x, float)) for x in zip(*found, strict=True))
    return low, high, true


# ------------------------------------------------------------------ printed values


def printed_value(draws: int, normal: int, anomalous: int, auroc: float, spread: float) -> Bounds:
    """The interval of a printed AUROC, from its value and counts.

    spread: the SD of anomalous scores.
    """
    scores = np.random.default_rng(0).normal(size=(draws, normal + anomalous))
    raised = separation(auroc, spread) + spread * scores[:, normal:]
    values, place = np.unique(aurocs(scores[:, :normal], raised), return_inverse=True)
    bounds = np.array([auroc_interval(value, normal, anomalous) for value in values])
    low, high = bounds[place].T
    return low, high, np.full(draws, auroc)


def step_noise(draws: int, quoted: bool) -> Bounds:
    """A printed step without any effect, and the noise expected from our folds.

    quoted: whether each of the two columns has its own split.
    """
    apart = separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        normal, anomalous = _images(rng)
        a, b = (split_resamples(train(rng, apart, normal, anomalous).rows(), FEW) for _ in range(2))
        noise = split_noise(a, b) if quoted else split_noise(b - a)
        first, other = ((rng.normal(size=(1, FEW)), rng.normal(size=ANOMALOUS)) for _ in "ab")
        second = other if quoted else first
        step = train(rng, apart, *second).aurocs - train(rng, apart, *first).aurocs
        return -noise, noise, step[0]

    return _repeated(one, draws)


# ------------------------------------------------------------------ seeds


def seeds(
    rng: Rng, auroc: float, normal: np.ndarray, anomalous: np.ndarray, count: int = 3
) -> tuple[np.ndarray, float]:
    """AUROCs of seeds on the same test images, and the expected AUROC of another seed."""
    apart = separation(auroc)
    pairs = SHARED * (anomalous[:, None] - normal)
    here = ndtr((apart + pairs) / np.sqrt(2 * OWN + TRAINING**2)).mean()
    return train(rng, apart, np.tile(normal, (count, 1)), anomalous).aurocs, float(here)


def over_seeds(draws: int, level: float, elsewhere: bool) -> Bounds:
    """The t-interval over three seeds.

    elsewhere: whether it should contain the value for other test images as well.
    """
    auroc = 0.95

    def one(rng: Rng) -> tuple[float, float, float]:
        values, here = seeds(rng, auroc, *(rng.normal(size=n) for n in TESTED))
        s = summary(values, level)
        return s.low, s.high, expected(separation(auroc)) if elsewhere else here

    return _repeated(one, draws)


def change_over_seeds(draws: int) -> Bounds:
    """The t-interval of the difference of two methods over three seeds, on the same images."""

    def one(rng: Rng) -> tuple[float, float, float]:
        images = [rng.normal(size=n) for n in TESTED]
        (a, a_true), (b, b_true) = (seeds(rng, auroc, *images) for auroc in (0.92, 0.95))
        s = summary(b - a)
        return s.low, s.high, b_true - a_true

    return _repeated(one, draws)


def change_over_categories(draws: int, categories: int = 5) -> Bounds:
    """The t-interval of a difference over categories, one seed each.

    Each category has its own difficulty. The true value is the mean over the whole population of
    categories.
    """
    apart = np.array([separation(auroc) for auroc in (0.92, 0.95)])
    both = np.sqrt(2 + TRAINING**2 + 0.5**2)  # 0.5: the SD of a category's difficulty
    true = float(np.diff(ndtr(apart / both))[0])

    def one(rng: Rng) -> tuple[float, float, float]:
        changes = []
        for shift in 0.5 * rng.normal(size=categories):
            normal, anomalous = (rng.normal(size=n) for n in TESTED)
            a, b = (train(rng, x + shift, normal[None], anomalous).aurocs for x in apart)
            changes.append((b - a)[0])
        s = summary(changes)
        return s.low, s.high, true

    return _repeated(one, draws)


# ------------------------------------------------------------------ folds


def fold_images(draws: int, elsewhere: bool) -> Bounds:
    """The interval over images of the mean of five folds.

    elsewhere: whether it should contain the value for other trainings as well.
    """
    apart = separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        kept = train(rng, apart, *_images(rng))
        return *fold_interval(kept.rows()), expected(apart) if elsewhere else kept.true

    return _repeated(one, draws)


def head_images(draws: int, each: int, alike: float) -> Bounds:
    """The interval over images of the mean of five folds that are blocks of consecutive slices.

    each, alike: as in `slices`. It should contain the value of these trainings on other images.
    """
    apart = separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        normal = slices(rng, FOLDS * NORMAL, each, alike).reshape(FOLDS, NORMAL)
        kept = train(rng, apart, normal, slices(rng, ANOMALOUS, each, alike))
        return *fold_interval(kept.rows()), kept.true

    return _repeated(one, draws)


def draw_images(draws: int, count: int = 3) -> Bounds:
    """The interval over images of the mean of several draws of ten from a hundred normal images."""
    apart = separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        pool, anomalous = rng.normal(size=FOLDS * NORMAL), rng.normal(size=ANOMALOUS)
        tested = np.stack([rng.permutation(len(pool))[:FEW] for _ in range(count)])
        kept = train(rng, apart, pool[tested], anomalous)
        rows = [
            row | {"path": [f"n{i:03d}" for i in own] + row["path"][FEW:]}
            for row, own in zip(kept.rows(), tested, strict=True)
        ]
        return *fold_interval(rows), kept.true

    return _repeated(one, draws)


def over_folds(draws: int, elsewhere: bool) -> Bounds:
    """The t-interval over five folds, which share their anomalous images.

    elsewhere: whether it should contain the value for other anomalous images as well.
    """
    apart = separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        normal, anomalous = _images(rng)
        s = summary(train(rng, apart, normal, anomalous).aurocs)
        return s.low, s.high, expected(apart, None if elsewhere else anomalous)

    return _repeated(one, draws)


def change_over_images(draws: int) -> Bounds:
    """The interval over images of the difference of two columns on the same folds."""
    aparts = separation(0.82), separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        images = _images(rng)
        a, b = (train(rng, apart, *images) for apart in aparts)
        drawn = fold_resamples(b.rows()) - fold_resamples(a.rows())
        return *percentiles(drawn), b.true - a.true

    return _repeated(one, draws)


def change_over_folds(draws: int, elsewhere: bool) -> Bounds:
    """The t-interval of the difference of two columns over the same five folds.

    elsewhere: whether it should contain the value for other anomalous images as well.
    """
    aparts = separation(0.82), separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        normal, anomalous = _images(rng)
        a, b = (train(rng, apart, normal, anomalous).aurocs for apart in aparts)
        s, given = summary(b - a), None if elsewhere else anomalous
        first, second = (expected(apart, given) for apart in aparts)
        return s.low, s.high, second - first

    return _repeated(one, draws)


def change_of_split(draws: int) -> Bounds:
    """Welch's interval of the difference of two divisions of the same images into folds."""
    apart = separation(0.85)

    def one(rng: Rng) -> tuple[float, float, float]:
        normal, anomalous = _images(rng)
        again = rng.permutation(normal.ravel()).reshape(normal.shape)
        a, b = (train(rng, apart, n, anomalous).aurocs for n in (normal, again))
        return *welch(a, b), 0.0

    return _repeated(one, draws)


def folds_to_come(draws: int, more: int) -> Bounds:
    """The prediction interval of one more fold, or the mean of five, by another seed and draw.

    The images are divided into new folds. Several columns share the folds and one SD.
    """
    aparts = [separation(auroc) for auroc in READINGS]

    def one(rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        normal, anomalous = _images(rng)
        again = rng.permutation(normal.ravel()).reshape(normal.shape)[:more]
        values = pd.DataFrame([train(rng, x, normal, anomalous).aurocs for x in aparts])
        ahead = prediction_intervals(values, more=more, together=True)
        met = [train(rng, x, again, anomalous).aurocs.mean() for x in aparts]
        return ahead["low"].to_numpy(), ahead["high"].to_numpy(), np.array(met)

    return _repeated(one, draws)


# ------------------------------------------------------------------ classes and rotation


def average_of_classes(draws: int, classes: int = 10, each: int = 30) -> Bounds:
    """The interval over images of the average AUROC of classes that share one test set."""
    apart = separation(0.95)
    own = np.repeat(np.arange(classes), each)
    labels = (own != np.arange(classes)[:, None]).astype(int)

    def one(rng: Rng) -> tuple[float, float, float]:
        noise = np.sqrt(OWN) * rng.normal(size=labels.shape)
        scores = SHARED * rng.normal(size=len(own)) + noise + apart * labels
        return *average_interval(scores, labels), 0.95

    return _repeated(one, draws)


def seed_to_come(draws: int, unequal: bool) -> Bounds:
    """The prediction interval of a third seed for each of ten classes that ran with two seeds.

    unequal: whether the spread over seeds differs between classes, by a factor of up to four. The
    interval assumes the same spread in all classes on the logit scale.
    """

    def one(rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        spread = 0.3 * (2.0 ** rng.uniform(-1, 1, 10) if unequal else np.ones(10))
        centre = logit(rng.uniform(0.8, 0.99, 10))
        values = expit(centre[:, None] + spread[:, None] * rng.normal(size=(10, 3)))
        ahead = prediction_intervals(pd.DataFrame(values[:, :2]))
        return ahead["low"].to_numpy(), ahead["high"].to_numpy(), values[:, 2]

    return _repeated(one, draws)


def rotated_images(draws: int) -> Bounds:
    """The paired bootstrap of the difference between rotated and upright test images."""
    labels = np.repeat([0, 1], TESTED)
    true = 0.9 - 0.95
    aparts = separation(0.95), separation(0.9)

    def one(rng: Rng) -> tuple[float, float, float]:
        image = SHARED * rng.normal(size=len(labels))
        noise = np.sqrt(OWN) * rng.normal(size=(2, len(labels)))
        upright, rotated = (image + e + x * labels for e, x in zip(noise, aparts, strict=True))
        return *paired_bootstrap(upright, rotated, labels, resamples=1000)[1:], true

    return _repeated(one, draws)

"""Exact metrics, and the official code's variants under their own names (Sec. 4; DEVIATIONS.md).

Scores: higher = more anomalous. Labels and masks: 1 = anomalous. All results are fractions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from skimage.measure import label as connected_components

PRO_LIMIT = 0.3  # Sec. 4.1
OFFICIAL_THRESHOLDS = 200  # official test.py, compute_pro(num_th=200)
EIGHT_CONNECTED = 2  # skimage's name for "neighbours share an edge or a corner"


@dataclass(frozen=True)
class Ranking:
    """Where the P anomalous samples stand among all samples, highest score first.

    Only their scores are considered as thresholds (score >= t is anomalous). A threshold in between
    adds false positives alone, and so improves none of the metrics.
    """

    thresholds: np.ndarray  # (P,) the scores, with repetitions where they are tied
    order: np.ndarray  # (P,) the place of each among the anomalous samples as they were given
    true_positives: np.ndarray  # (P,) anomalous samples that score at least as high
    false_positives: np.ndarray  # (P,) normal samples that score at least as high
    normal_above: np.ndarray  # (P,) normal samples that score higher
    n_normal: int

    def area(self, limit: float = 1.0, weights: np.ndarray | None = None) -> float:
        """Area under the ROC curve up to FPR `limit`, divided by `limit`: in [0, 1].

        weights: (P,), of the anomalous samples as they were given; None if all count alike. The
        area is the mean share of the FPRs up to the limit at which an anomalous sample is found.
        Where normal samples have the same score, the curve rises linearly from the FPR without them
        to the FPR with them.
        """
        without, with_ties = (
            n / (limit * self.n_normal) for n in (self.normal_above, self.false_positives)
        )
        width = with_ties - without
        start, stop = np.minimum(without, 1), np.minimum(with_ties, 1)
        rise = np.divide(stop - start, width, out=np.ones_like(width), where=width > 0)
        found = rise * (1 - (start + stop) / 2)
        return float(np.average(found, weights=None if weights is None else weights[self.order]))

    def average_precision(self) -> float:
        """The mean precision at the scores of the anomalous samples."""
        return float(np.mean(self.true_positives / (self.true_positives + self.false_positives)))

    def f1_max(self) -> float:
        """The highest F1 over all thresholds."""
        found = self.true_positives + self.false_positives
        return float(np.max(2 * self.true_positives / (found + self.thresholds.size)))

    def youden(self) -> tuple[float, float]:
        """The threshold with the highest TPR - FPR, and the TPR there."""
        tpr = self.true_positives / self.thresholds.size
        best = np.argmax(tpr - self.false_positives / self.n_normal)
        return float(self.thresholds[best]), float(tpr[best])


def rank(scores: ArrayLike, labels: ArrayLike, device: str = "cpu") -> Ranking:
    """Rank the anomalous samples among all: one sort, from which every exact metric follows.

    device: where the sort takes place. All counts are integers, and so the same on every device.
    Raises ValueError where no metric is defined.
    """
    scores, labels = _flatten(scores, labels)
    anomalous, normal = scores[labels], scores[~labels]
    order = np.argsort(anomalous)[::-1]
    thresholds = anomalous[order]
    true_positives = thresholds.size - np.searchsorted(thresholds[::-1], thresholds)
    false_positives, above = _count_from(normal, thresholds, device)
    return Ranking(thresholds, order, true_positives, false_positives, above, normal.size)


def _count_from(
    values: np.ndarray, thresholds: np.ndarray, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """How many values are at least as high as each threshold, and how many are higher.

    NumPy sorts on the CPU, where it takes a third of the time of torch.
    """
    if device == "cpu":
        ordered = np.sort(values)
        below = [np.searchsorted(ordered, thresholds, side) for side in ("left", "right")]
    else:
        import torch  # slow to load, and only a GPU needs it

        ordered, points = (torch.from_numpy(a).to(device) for a in (values, thresholds))
        ordered = ordered.sort().values
        below = [
            torch.searchsorted(ordered, points, side=side).cpu().numpy()
            for side in ("left", "right")
        ]
    return values.size - below[0], values.size - below[1]


def _flatten(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Scores and boolean labels, both flattened to (N,).

    Raises ValueError where no metric is defined: the shapes differ, a score is not finite, or all
    labels are the same.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} differ in shape")
    scores, labels = scores.ravel(), labels.ravel() > 0
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} scores are not finite numbers")
    if labels.all() or not labels.any():
        only = "anomalous" if labels.any() else "normal"
        raise ValueError(f"all {labels.size} labels are {only}; the metric needs both kinds")
    return scores, labels


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]; 0.5 is chance.

    Scores and labels may have any shape, those of images or of pixels.
    """
    return rank(scores, labels).area()


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the precision-recall curve in [0, 1], as a sum of steps (scikit-learn)."""
    return rank(scores, labels).average_precision()


def f1_max(scores: ArrayLike, labels: ArrayLike) -> float:
    """Highest F1 over all thresholds, in [0, 1]. The threshold is chosen on these labels."""
    return rank(scores, labels).f1_max()


def youden_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """The threshold t with the highest TPR - FPR; score >= t is anomalous.

    It is chosen on these labels. The extension's code takes the highest |TPR - FPR| instead, which
    is the same threshold where the AUROC exceeds 5/8 (DEVIATIONS.md, E13).
    """
    return rank(scores, labels).youden()[0]


def aupro(maps: ArrayLike, masks: ArrayLike, limit: float = PRO_LIMIT) -> float:
    """Area under the PRO curve up to FPR `limit`, divided by `limit`: exact, in [0, 1].

    maps, masks: (N, H, W). It is computed as in MVTec's evaluation: every distinct score is a
    point, the value at the limit is interpolated linearly, and the area is a sum of trapezoids.
    Raises ValueError where `limit` is not in (0, 1].
    """
    if not 0 < limit <= 1:
        raise ValueError(f"limit={limit} must lie in (0, 1]")
    return rank(maps, masks).area(limit, region_weights(masks))


def region_weights(masks: ArrayLike) -> np.ndarray:
    """Weights of the defect pixels of masks (N, H, W) with which all regions count alike.

    The sum is 1. Defect regions are 8-connected. The weighted true-positive rate is then the mean
    overlap of all regions (Bergmann et al. 2020, PRO).
    """
    regions, areas = _label_regions(np.asarray(masks) > 0)
    return 1 / (areas.size * areas[regions])


def pro_curve(
    maps: ArrayLike, masks: ArrayLike, limit: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Per-region-overlap curve of the whole test set: (fpr, pro), one point per distinct score.

    maps, masks: (N, H, W). Defect pixels are weighted so that all regions count alike
    (`region_weights`). The FPR is over all normal pixels. The curve starts at the origin and ends
    with the first point whose FPR reaches `limit`.
    """
    scores, defective = _flatten(maps, masks)
    weights = np.zeros(scores.size)
    weights[defective] = region_weights(masks)
    normal = scores[~defective]

    needed = scores >= _score_at_fpr(limit, normal)  # lower scores lie beyond the limit
    scores, defective, weights = scores[needed], defective[needed], weights[needed]
    order = np.argsort(scores)[::-1]
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    fpr = np.cumsum(~defective[order])[last_of_tie] / normal.size
    pro = np.cumsum(weights[order])[last_of_tie]
    return np.append(0.0, fpr), np.append(0.0, pro)


def _score_at_fpr(limit: float, normal: np.ndarray) -> float:
    """The highest threshold (score >= t is anomalous) at which the FPR reaches `limit`."""
    place = normal.size - max(1, int(np.ceil(limit * normal.size)))
    return np.partition(normal, place)[place]


def aupro_official(maps: ArrayLike, masks: ArrayLike, limit: float = PRO_LIMIT) -> float:
    """The authors' PRO (official test.py, `compute_pro`): per anomalous image, then averaged.

    maps, masks: (N, H, W). Each image has its own FPR and its own 200 evenly spaced thresholds. The
    FPRs below the limit are stretched to [0, 1]. Normal images never count (DEVIATIONS.md,
    D16-D17). An image is left out where its area is undefined: fewer than two thresholds have an
    FPR below the limit, all of these FPRs are zero, all scores are equal, or all pixels are
    anomalous. The result is NaN where every image is left out. Raises ValueError where the whole
    test set has no anomalous pixel, or no normal one.
    """
    maps, masks = np.asarray(maps), np.asarray(masks) > 0
    _flatten(maps, masks)
    areas = [
        _official_image_aupro(m, mask, limit)
        for m, mask in zip(maps, masks, strict=True)
        if mask.any()
    ]
    return float(np.nanmean(areas)) if np.isfinite(areas).any() else float("nan")


def _official_image_aupro(amap: np.ndarray, mask: np.ndarray, limit: float) -> float:
    low, high = amap.min(), amap.max()
    if low == high or mask.all():
        return float("nan")
    with np.errstate(over="ignore"):
        step = (high - low) / OFFICIAL_THRESHOLDS
    if not 0 < step < np.inf:  # no float divides so small or so large a range
        return float("nan")
    thresholds = np.arange(low, high, step)
    regions, areas = _label_regions(mask[None])
    in_region = amap[mask]
    fpr = _share_above(amap[~mask], thresholds)
    pro = np.mean(
        [_share_above(in_region[regions == r], thresholds) for r in range(areas.size)], axis=0
    )
    kept = fpr < limit
    if kept.sum() < 2 or fpr[kept].max() == 0:  # an area needs two points
        return float("nan")
    fpr, pro = fpr[kept] / fpr[kept].max(), pro[kept]
    return float(np.sum((fpr[:-1] - fpr[1:]) * (pro[:-1] + pro[1:])) / 2)  # FPRs fall


def _share_above(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The share of `values` strictly above each threshold."""
    return 1 - np.searchsorted(np.sort(values), thresholds, side="right") / values.size


def _label_regions(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The region number of each defect pixel of masks (N, H, W), and the regions' areas."""
    offset, numbers = 0, []
    for mask in masks:
        regions = connected_components(mask, connectivity=EIGHT_CONNECTED)[mask]  # 1, 2, ...
        numbers.append(regions - 1 + offset)
        offset += regions.max(initial=0)
    numbers = np.concatenate(numbers)
    return numbers, np.bincount(numbers)

"""Exact metrics, and the official code's variants under their own names (Sec. 4; DEVIATIONS.md).

Scores: higher = more anomalous. Labels and masks: 1 = anomalous. All results are fractions.
"""

import numpy as np
from numpy.typing import ArrayLike
from skimage.measure import label as connected_components
from sklearn.metrics import (
    auc,
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

OFFICIAL_THRESHOLDS = 200  # official test.py, compute_pro(num_th=200)
EIGHT_CONNECTED = 2  # skimage's name for "neighbours share an edge or a corner"


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
    scores, labels = _flatten(scores, labels)
    return float(roc_auc_score(labels, scores))


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the precision-recall curve in [0, 1], as a sum of steps (scikit-learn)."""
    scores, labels = _flatten(scores, labels)
    return float(average_precision_score(labels, scores))


def f1_max(scores: ArrayLike, labels: ArrayLike) -> float:
    """Highest F1 over all thresholds, in [0, 1]. The threshold is chosen on these labels."""
    scores, labels = _flatten(scores, labels)
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def youden_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """The threshold t with the highest TPR - FPR; score >= t is anomalous.

    It is chosen on these labels. The extension's code takes the highest |TPR - FPR| instead, which
    is the same threshold where the AUROC exceeds 5/8 (DEVIATIONS.md, E13).
    """
    scores, labels = _flatten(scores, labels)
    fpr, tpr, thresholds = roc_curve(labels, scores)
    return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])


def pro_curve(
    maps: ArrayLike, masks: ArrayLike, limit: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Per-region-overlap curve of the whole test set: (fpr, pro), one point per distinct score.

    maps, masks: (N, H, W). Defect regions are 8-connected. Each defect pixel is weighted by one
    over its region's area, so that the weighted true-positive rate is the mean overlap of all
    regions (Bergmann et al. 2020, PRO). The FPR is over all normal pixels. The curve starts at the
    origin and ends with the first point whose FPR reaches `limit`.
    """
    maps, masks = np.asarray(maps), np.asarray(masks) > 0
    scores, defective = _flatten(maps, masks)
    regions, areas = _label_regions(masks)
    weights = np.zeros(scores.size)
    weights[defective] = 1 / (areas.size * areas[regions])
    n_normal = scores.size - regions.size

    needed = scores >= _score_at_fpr(limit, scores[~defective])  # lower scores lie beyond the limit
    scores, defective, weights = scores[needed], defective[needed], weights[needed]
    order = np.argsort(scores)[::-1]
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    fpr = np.cumsum(~defective[order])[last_of_tie] / n_normal
    pro = np.cumsum(weights[order])[last_of_tie]
    return np.append(0.0, fpr), np.append(0.0, pro)


def _score_at_fpr(limit: float, normal: np.ndarray) -> float:
    """The highest threshold (score >= t is anomalous) at which the FPR reaches `limit`."""
    rank = normal.size - max(1, int(np.ceil(limit * normal.size)))
    return np.partition(normal, rank)[rank]


def aupro(maps: ArrayLike, masks: ArrayLike, limit: float = 0.3) -> float:
    """Area under the PRO curve up to FPR `limit`, divided by `limit`: exact, in [0, 1].

    maps, masks: (N, H, W). It is computed as in MVTec's evaluation: every distinct score is a
    point, the value at the limit is interpolated linearly, and the area is a sum of trapezoids.
    Raises ValueError where `limit` is not in (0, 1].
    """
    if not 0 < limit <= 1:
        raise ValueError(f"limit={limit} must lie in (0, 1]")
    fpr, pro = pro_curve(maps, masks, limit)
    end = np.searchsorted(fpr, limit)  # the first point at or beyond the limit
    at_limit = np.interp(limit, fpr[: end + 1], pro[: end + 1])
    return float(auc(np.append(fpr[:end], limit), np.append(pro[:end], at_limit)) / limit)


def aupro_official(maps: ArrayLike, masks: ArrayLike, limit: float = 0.3) -> float:
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
    return auc(fpr[kept] / fpr[kept].max(), pro[kept])


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

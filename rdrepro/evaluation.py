"""From a trained model and test images to maps, scores and metrics (Secs. 3.3 and 4.1)."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rdrepro import metrics
from rdrepro.config import RunConfig
from rdrepro.data.reading import batches
from rdrepro.data.splits import ImageData
from rdrepro.detector import Detector
from rdrepro.memory import memory_errors_explained
from rdrepro.precision import convolution_kernels
from rdrepro.progress import progress
from rdrepro.scoring import image_score

# A run has collapsed if its scores differ by no more than this share of the largest score.
NO_SPREAD = 1e-6


@dataclass(frozen=True)
class Predictions:
    """A model's maps and scores of N test images, with the ground truth."""

    maps: np.ndarray  # (N, H, W) float32, higher = more anomalous
    scores: np.ndarray  # (N,) higher = more anomalous
    gt_masks: np.ndarray | None  # (N, H, W) bool; None where there are no masks
    gt_labels: np.ndarray  # (N,) 0 or 1
    defects: list[str]
    paths: list[str]
    data_hash: str  # of the test data
    seconds: float  # networks, maps and scores of all images, without decoding
    groups: Sequence[int] = ()  # duplicates share a number; empty where unknown

    @property
    def collapsed(self) -> bool:
        """Whether no threshold can separate the scores.

        True if the scores are not finite, or differ by at most NO_SPREAD times the largest score.
        """
        spread = np.ptp(self.scores)
        return bool(not np.isfinite(spread) or spread <= NO_SPREAD * np.abs(self.scores).max())


def predict(
    model: Detector,
    data: ImageData,
    config: RunConfig,
    device: torch.device | str = "cpu",
) -> Predictions:
    """Score every image of a test set.

    Raises MemoryError, with a message that names what to lower, when memory runs out, and
    ValueError where images were changed meanwhile.
    """
    device, data_hash = torch.device(device), data.fingerprint()
    model.to(device).eval()
    maps, scores, truth, seconds = [], [], [], 0.0
    size = model.test_batch(config)
    tested = batches(data, size)
    with (
        memory_errors_explained(config, device),
        convolution_kernels(config),
        torch.inference_mode(),
    ):
        for items in progress(tested, "testing", total=math.ceil(len(data) / size), leave=False):
            images = torch.stack([item["image"] for item in items]).to(device)  # (B, 3, H, W)
            started = time.perf_counter()
            batch_maps, batch_scores = score_images(model, images, config)
            maps.append(batch_maps.float().cpu().numpy())
            scores.append(batch_scores.float().cpu().numpy())
            seconds += time.perf_counter() - started
            truth += [{k: v for k, v in item.items() if k != "image"} for item in items]
    if data.fingerprint() != data_hash:
        raise ValueError(
            "test images were changed or replaced while they were tested; the trained student is "
            "kept: leave the data folder alone and run again"
        )
    return Predictions(
        np.concatenate(maps),
        np.concatenate(scores),
        np.stack([t["gt_mask"].numpy() for t in truth]) if "gt_mask" in truth[0] else None,
        np.array([t["gt_label"] for t in truth]),
        [t["defect"] for t in truth],
        [t["path"] for t in truth],
        data_hash,
        seconds,
        [t["group"] for t in truth] if "group" in truth[0] else [],
    )


def score_images(model: Detector, images: Tensor, config: RunConfig) -> tuple[Tensor, Tensor]:
    """Maps (B, H, W) and scores (B,) of images (B, 3, H, W) in [0, 1]."""
    result = images
    for stage in model.stages(config, images.shape[-2:]).values():
        result = stage(result)
    return result


def evaluate(predictions: Predictions, device: torch.device | str = "cpu") -> dict[str, float]:
    """Every metric of a test set, as fractions. schema.json says what each one is.

    device: where the pixels are sorted. Without masks there are only the metrics of images. These
    then include the AUROC by the maximum and by the sum of each map (Sec. 4.2).
    """
    p = predictions
    if p.gt_masks is None:
        maps = torch.from_numpy(p.maps)
        others = {
            f"image_auroc_{k}": metrics.auroc(image_score(maps, k), p.gt_labels)
            for k in ("sum", "max")
        }
        return _image_metrics(p) | others
    pixels = metrics.rank(p.maps, p.gt_masks, str(device))
    return {
        **_image_metrics(p),
        "pixel_auroc": pixels.area(),
        "pixel_aupro": pixels.area(metrics.PRO_LIMIT, metrics.region_weights(p.gt_masks)),
        "pixel_aupro_official": metrics.aupro_official(p.maps, p.gt_masks),
        "pixel_ap": pixels.average_precision(),
        "pixel_f1_max": pixels.f1_max(),
        "recall_at_youden": pixels.youden()[1],
    }


def _image_metrics(p: Predictions) -> dict[str, float]:
    images = metrics.rank(p.scores, p.gt_labels)
    return {
        "image_auroc": images.area(),
        "image_ap": images.average_precision(),
        "image_f1_max": images.f1_max(),
    }

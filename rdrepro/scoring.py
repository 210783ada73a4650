"""From teacher and student features to anomaly maps and image scores (Sec. 3.3, Eq. 3)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rdrepro.config import COMBINATIONS, LOSS_SCORES, MAP_SCORES
from rdrepro.losses import (
    cosine_distance,
    kd_loss_per_image,
    mkd_loss_coded,
    value_loss_per_image,
)


def anomaly_map(
    f_e: Sequence[Tensor],
    f_d: Sequence[Tensor],
    size: int | tuple[int, int],
    sigma: float = 4,
    combine: str = "sum",
    layers: Sequence[int] | None = None,
    align_corners: bool = True,
) -> Tensor:
    """Anomaly map S_AL of Eq. 3, smoothed by a Gaussian.

    f_e, f_d: K tensors (B, C_k, H_k, W_k). layers: the layers to combine, counted from 1; by
    default all K. sigma: in pixels; 0 for no smoothing. Returns (B, H, W), upsampled to `size`;
    higher = more anomalous. With K layers, "sum" gives values in [0, 2 K], "product" in [0, 2^K].
    The defaults (sum, sigma 4, aligned corners) are those of the official test.py,
    `cal_anomaly_map`.
    """
    if combine not in COMBINATIONS:
        raise ValueError(f"combine={combine!r} is not one of {', '.join(COMBINATIONS)}")
    size = (size, size) if isinstance(size, int) else tuple(size)
    chosen = range(1, len(f_e) + 1) if layers is None else layers
    if not chosen or not set(chosen) <= set(range(1, len(f_e) + 1)):
        raise ValueError(f"layers={tuple(chosen)} must name some of the layers 1 to {len(f_e)}")
    distances = [cosine_distance(f_e[k - 1], f_d[k - 1]) for k in chosen]  # M^k: (B, H_k, W_k)
    upsampled = torch.stack(
        [
            F.interpolate(m[:, None], size, mode="bilinear", align_corners=align_corners)[:, 0]
            for m in distances
        ]
    )  # Psi(M^k): (K, B, H, W)
    combined = upsampled.sum(dim=0) if combine == "sum" else upsampled.prod(dim=0)
    return gaussian_smooth(combined, sigma)


def gaussian_smooth(maps: Tensor, sigma: float) -> Tensor:
    """Smooth maps (B, H, W) as scipy.ndimage.gaussian_filter does by default; sigma in pixels.

    The filter is linear and separable, so it is one matrix per axis. Each matrix is what scipy's
    filter returns for the unit vectors. It includes scipy's truncation and its rule for edges, and
    serves any batch on any device. At the edge scipy repeats the outermost pixel; the extension's
    code mirrors the map without it (DEVIATIONS.md, D13 and E12). Raises ValueError for a negative
    sigma.
    """
    if sigma < 0:
        raise ValueError(f"sigma={sigma} is negative; use 0 for no smoothing")
    if sigma == 0:
        return maps
    rows, columns = (
        torch.from_numpy(_gaussian_matrix(n, float(sigma))).to(maps) for n in maps.shape[-2:]
    )
    with torch.autocast(maps.device.type, enabled=False):
        return rows @ maps @ columns.T


@lru_cache(maxsize=8)
def _gaussian_matrix(n: int, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d  # slow to load, and not needed to build a model

    return gaussian_filter1d(np.eye(n), sigma, axis=0)


def image_score(maps: Tensor, kind: str = "max") -> Tensor:
    """Image score S_AD of maps (B, H, W): (B,), higher = more anomalous.

    "max" is that of Sec. 3.3 and "sum" the novelty score of Sec. 4.2. "top1pct" is the mean of the
    highest hundredth of the pixels (Guo et al. 2025, Dinomaly).
    """
    flat = maps.flatten(1)
    if kind == "max":
        return flat.amax(dim=1)
    if kind == "sum":
        return flat.sum(dim=1)
    if kind == "top1pct":
        return flat.topk(max(1, flat.shape[1] // 100), dim=1).values.mean(dim=1)
    raise ValueError(f"kind={kind!r} is not one of {', '.join(MAP_SCORES)}")


def loss_score(
    f_e: Sequence[Tensor],
    f_d: Sequence[Tensor],
    kind: str = "kd_loss",
    reduction: str = "flatten",
    weight: float = 1000.0,
    coded: bool = False,
) -> Tensor:
    """Image score from a loss, not a map (extension, Sec. 4.2): (B,), higher = more anomalous.

    kind: "kd_loss" for L_KD, "mkd_loss" for L_MKD. weight: that of L_KD in L_MKD. coded: whether
    L_MKD has the form of the extension's code (E1), with each image as a batch of one.
    """
    if kind not in LOSS_SCORES:
        raise ValueError(f"kind={kind!r} is not one of {', '.join(LOSS_SCORES)}")
    if kind == "mkd_loss" and coded:
        each = (([f[i : i + 1] for f in fs] for fs in (f_e, f_d)) for i in range(len(f_e[0])))
        return torch.stack([mkd_loss_coded(e, d, weight, reduction) for e, d in each])
    kd = kd_loss_per_image(f_e, f_d, reduction)
    return kd if kind == "kd_loss" else value_loss_per_image(f_e, f_d) + weight * kd

"""Knowledge-distillation losses (Deng & Li 2022, Eqs. 1-2; Masciulli 2022, Eqs. 3-4).

Features are lists of K tensors, one per layer: `f_e[k]` and `f_d[k]` of shape (B, C_k, H_k, W_k).
Losses are computed in float32 or better, whatever precision the networks ran in.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rdrepro.config import REDUCTIONS

CODED_SCALE = 1e-3  # in the extension's code, FraqMasq/RKD_AD


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor in float32, or unchanged where it is float32 or float64 already."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def cosine_distance(f_e: Tensor, f_d: Tensor) -> Tensor:
    """Cosine distance per location, M^k of Eq. 1.

    f_e, f_d: (B, C, H, W). Returns (B, H, W) in [0, 2]; higher = more anomalous.
    """
    return 1 - F.cosine_similarity(at_least_float32(f_e), at_least_float32(f_d), dim=1)


def kd_loss(f_e: Sequence[Tensor], f_d: Sequence[Tensor], reduction: str = "flatten") -> Tensor:
    """Distillation loss: a scalar in [0, 2 K], lower = better restored.

    "pointwise" is Eq. 2, the mean over locations of Eq. 1. "flatten" is what the authors run
    (official main.py, `loss_fucntion`): one cosine per image and layer over all C*H*W values. It
    also compares how the features' norms vary over locations (DEVIATIONS.md, D1).
    """
    return kd_loss_per_image(f_e, f_d, reduction).mean()


def kd_loss_per_image(
    f_e: Sequence[Tensor], f_d: Sequence[Tensor], reduction: str = "flatten"
) -> Tensor:
    """Distillation loss of each image, (B,) in [0, 2 K]; its mean is `kd_loss`."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction={reduction!r} is not one of {', '.join(REDUCTIONS)}")
    pairs = list(zip(f_e, f_d, strict=True))
    if reduction == "pointwise":
        return sum(cosine_distance(e, d).mean(dim=(1, 2)) for e, d in pairs)
    return sum(
        1 - F.cosine_similarity(at_least_float32(e).flatten(1), at_least_float32(d).flatten(1))
        for e, d in pairs
    )


def spare_easy(f_e: Tensor, f_d: Tensor, share: float) -> Tensor:
    """The student's map without the gradient of the locations that it restores best.

    f_e, f_d: (B, C, H, W). share: in [0, 1), of all B*H*W locations; at least one of them keeps its
    gradient. Returns f_d with its values unchanged. After Guo et al. 2023 (ReContrast), whose
    threshold is a mean plus a standard deviation instead of a share.
    """
    distance = cosine_distance(f_e.detach(), f_d.detach())  # (B, H, W)
    spared = min(round(share * distance.numel()), distance.numel() - 1)
    bound = distance.flatten().kthvalue(spared + 1).values  # of the best one that is not spared
    return torch.where((distance >= bound)[:, None], f_d, f_d.detach())


def value_loss(f_e: Sequence[Tensor], f_d: Sequence[Tensor]) -> Tensor:
    """Squared distance of the features, summed over layers (extension, Eq. 3): a scalar >= 0.

    It is averaged over locations and images; lower = better restored.
    """
    return value_loss_per_image(f_e, f_d).mean()


def value_loss_per_image(f_e: Sequence[Tensor], f_d: Sequence[Tensor]) -> Tensor:
    """Value loss of each image, (B,) >= 0; its mean is `value_loss`."""
    return sum(
        (at_least_float32(e) - at_least_float32(d)).square().sum(dim=1).mean(dim=(1, 2))
        for e, d in zip(f_e, f_d, strict=True)
    )


def mkd_loss(
    f_e: Sequence[Tensor],
    f_d: Sequence[Tensor],
    weight: float = 1000.0,
    reduction: str = "pointwise",
) -> Tensor:
    """Value loss plus `weight` times the distillation loss (extension, Eq. 4): a scalar >= 0.

    The extension does not print this weight (its lambda). The default of 1000 comes from its code
    (FraqMasq/RKD_AD).
    """
    return value_loss(f_e, f_d) + weight * kd_loss(f_e, f_d, reduction)


def mkd_loss_coded(
    f_e: Sequence[Tensor],
    f_d: Sequence[Tensor],
    weight: float = 1000.0,
    reduction: str = "pointwise",
) -> Tensor:
    """The extension's loss as its code computes it (FraqMasq/RKD_AD; E1): a scalar >= 0.

    It is 0.001 times the sum of two parts. The first is the un-squared Euclidean norm of the whole
    batch's difference, summed over layers; it grows with the root of the batch size. The second is
    `weight` times the distillation loss.
    """
    pairs = zip(f_e, f_d, strict=True)
    norms = sum(torch.dist(at_least_float32(e), at_least_float32(d)) for e, d in pairs)
    return CODED_SCALE * (norms + weight * kd_loss(f_e, f_d, reduction))

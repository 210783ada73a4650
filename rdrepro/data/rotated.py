"""Test images and masks rotated about their centre (the extension's "rotational independent")."""

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

QUARTER = 90  # degrees
MASK_THRESHOLD = 0.5  # of a rotated mask, whose edge is interpolated


class Rotated(Dataset):
    """A data set's images and masks, rotated counter-clockwise by `degrees` in [0, 360).

    Items are those of `data`; normal and anomalous ones are rotated alike. Labels do not change: if
    a defect leaves the frame at a corner, its image is still labelled 1. All other attributes come
    from `data`.
    """

    def __init__(self, data: Dataset, degrees: float):
        self.data, self.degrees = data, degrees

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict:
        item = self.data[index]
        rotated = {"image": rotate(item["image"], self.degrees)}
        if "gt_mask" in item:
            rotated["gt_mask"] = rotate(item["gt_mask"], self.degrees)
        return item | rotated

    def __getattr__(self, name: str) -> Any:
        if name == "data":  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.data, name)

    def fingerprint(self) -> str:
        """The SHA-256 of the angle and of the images before they are rotated."""
        return hashlib.sha256(f"{self.data.fingerprint()} {self.degrees}".encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images each folder or class has."""
        return self.data.counts()


def rotate(picture: Tensor, degrees: float) -> Tensor:
    """A square image (C, H, H) in [0, 1], or mask (H, H) bool, rotated counter-clockwise.

    Quarter turns are exact. Other angles interpolate bilinearly, which smooths, and fill the
    corners with the mirror image. A mask is then compared with MASK_THRESHOLD.
    """
    assert picture.shape[-2] == picture.shape[-1], picture.shape
    if degrees % QUARTER == 0:
        return torch.rot90(picture, int(degrees) // QUARTER, dims=(-2, -1))
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    where = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])  # output -> input, y downwards
    planes = picture.reshape(1, -1, *picture.shape[-2:]).float()  # (1, C, H, H)
    grid = nn.functional.affine_grid(where, list(planes.shape), align_corners=False)
    rotated = nn.functional.grid_sample(
        planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    ).reshape(picture.shape)
    return rotated > MASK_THRESHOLD if picture.dtype == torch.bool else rotated.clamp(0, 1)

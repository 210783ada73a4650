"""What detectors share that remember features of normal images and search them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.features import autocast
from rdrepro.models.teacher import Teacher
from rdrepro.scoring import gaussian_smooth


class MemoryDetector(nn.Module, ABC):
    """A frozen encoder and a bank of what normal images look like to it.

    `fit(loader)` fills the bank; `anomaly_map(images)` returns (B, H, W) and `image_score(images)`
    (B,), both higher = more anomalous, of images (B, 3, H, W) in [0, 1]. Maps are upsampled and
    smoothed as the method's own are, so that only the method differs.
    """

    def __init__(self, teacher: Teacher, config: RunConfig):
        super().__init__()
        self.teacher, self.config = teacher, config

    @abstractmethod
    def fit(self, loader: Iterable[Tensor]) -> None:
        """Fill the bank from batches of normal images (B, 3, H, W)."""

    @abstractmethod
    def search(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return distances (B, h, w) to what is normal, and image scores (B,) of a kind's own."""

    @abstractmethod
    def bank(self) -> list[Tensor]:
        """Return the tensors that testing needs beside the encoder."""

    def features(self, images: Tensor) -> list[Tensor]:
        """Return f_E of images (B, 3, H, W), in float32 whatever the encoder runs in."""
        with autocast(self.config, images.device):
            maps = self.teacher(images.contiguous(memory_format=torch.channels_last))
        return [f.float() for f in maps]  # (B, C_k, H_k, W_k)

    def finish(self, distances: Tensor, scores: Tensor | None, size: Sequence[int]) -> tuple:
        """Maps (B, H, W) of `size` and scores (B,), the map's maximum where none is given."""
        corners = self.config.align_corners
        maps = F.interpolate(
            distances[:, None], tuple(size), mode="bilinear", align_corners=corners
        )
        maps = gaussian_smooth(maps[:, 0], self.config.sigma)
        return maps, maps.flatten(1).amax(dim=1) if scores is None else scores

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps (B, H, W) and scores (B,)."""
        return self.finish(*self.search(self.features(images)), images.shape[-2:])

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Return maps (B, H, W) of images (B, 3, H, W)."""
        return self(images)[0]

    def image_score(self, images: Tensor) -> Tensor:
        """Return scores (B,) of images (B, 3, H, W)."""
        return self(images)[1]


def spread(f: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat the cells of a map (B, C, h, w) so that it covers a finer one of `size`."""
    return F.interpolate(f, tuple(size), mode="nearest")

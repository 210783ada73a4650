"""The part that PaDiM and SPADE share: a memory bank of normal features, and the search in it."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from rdrepro.config import RunConfig
from rdrepro.data.decoded import decoded_images
from rdrepro.detector import Checkpoint, Detector, Look
from rdrepro.memory import memory_errors_explained
from rdrepro.models.teacher import Teacher
from rdrepro.precision import autocast, convolution_kernels
from rdrepro.progress import progress
from rdrepro.scoring import gaussian_smooth
from rdrepro.training import HISTORY

if TYPE_CHECKING:
    import pandas as pd

    from rdrepro.data.splits import ImageData


class MemoryDetector(Detector):
    """A frozen encoder and a memory bank of its features of normal images.

    `remember(batches)` fills the memory bank. For images (B, 3, H, W) in [0, 1],
    `anomaly_map(images)` returns (B, H, W) and `image_score(images)` (B,), both higher = more
    anomalous. Maps are upsampled and smoothed in the same way as those of Reverse Distillation.
    """

    def __init__(self, teacher: Teacher, config: RunConfig):
        super().__init__()
        self.teacher, self.config = teacher, config

    def fit(
        self,
        data: "ImageData",
        config: RunConfig,
        device: torch.device | str = "cpu",
        look: Look | None = None,
        validation: "ImageData | None" = None,
        checkpoint: Checkpoint | None = None,
    ) -> "pd.DataFrame":
        """Fill the memory bank in one pass over the images. The history is empty."""
        import pandas as pd

        device = torch.device(device)
        self.to(device, memory_format=torch.channels_last)
        images = decoded_images(data)
        started = time.perf_counter()
        with memory_errors_explained(config, device), convolution_kernels(config), torch.no_grad():
            batches = progress(images.split(config.batch_size), "memory bank", leave=False)
            self.remember(batch.to(device).float() / 255 for batch in batches)
        self.fit_seconds = time.perf_counter() - started
        return pd.DataFrame(columns=HISTORY, dtype=float)

    def stages(self, config: RunConfig, size: Sequence[int]) -> dict[str, Callable]:
        return {
            "teacher": self.features,
            "search": self.search,
            "map": lambda found: self.finish(*found, size),
        }

    def sizes(self, config: RunConfig) -> dict[str, int]:
        return super().sizes(config) | {"bank": sum(t.nbytes for t in self.bank())}

    @abstractmethod
    def remember(self, batches: Iterable[Tensor]) -> None:
        """Fill the memory bank from batches of normal images (B, 3, H, W)."""

    @abstractmethod
    def search(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The distances (B, h, w) of features to the memory bank, and the image scores (B,).

        The scores may be None. Each image's score is then the maximum of its map.
        """

    @abstractmethod
    def bank(self) -> list[Tensor]:
        """The tensors that testing needs besides the encoder."""

    def features(self, images: Tensor) -> list[Tensor]:
        """The encoder's maps f_E of images (B, 3, H, W), converted to float32."""
        with autocast(self.config, images.device):
            maps = self.teacher(images.contiguous(memory_format=torch.channels_last))
        return [f.float() for f in maps]  # (B, C_k, H_k, W_k)

    def finish(self, distances: Tensor, scores: Tensor | None, size: Sequence[int]) -> tuple:
        """Anomaly maps (B, H, W), upsampled to `size` and smoothed, and image scores (B,).

        scores: if None, each image's score is the maximum of its map.
        """
        corners = self.config.align_corners
        maps = F.interpolate(
            distances[:, None], tuple(size), mode="bilinear", align_corners=corners
        )
        maps = gaussian_smooth(maps[:, 0], self.config.sigma)
        return maps, maps.flatten(1).amax(dim=1) if scores is None else scores

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Anomaly maps (B, H, W) and image scores (B,) of images (B, 3, H, W)."""
        return self.finish(*self.search(self.features(images)), images.shape[-2:])

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Anomaly maps (B, H, W) of images (B, 3, H, W)."""
        return self(images)[0]

    def image_score(self, images: Tensor) -> Tensor:
        """Image scores (B,) of images (B, 3, H, W)."""
        return self(images)[1]


def spread(f: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge a map (B, C, h, w) to `size` by repeating its cells."""
    return F.interpolate(f, tuple(size), mode="nearest")

"""The frozen teacher's features of a data set, computed once where memory allows."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.data.decoded import decoded_images
from rdrepro.memory import cache_budget
from rdrepro.precision import autocast, layout
from rdrepro.progress import progress

if TYPE_CHECKING:
    from rdrepro.data.splits import ImageData


class TeacherFeatures:
    """The teacher's features of a data set, looked up by the numbers of images.

    data: a data set, or its images as bytes (N, 3, H, W). The features are computed once and kept
    in memory. If they do not fit, or if `teacher_bn="train"` makes them depend on the batch, they
    are computed anew for each batch.
    """

    def __init__(
        self,
        teacher: nn.Module,
        data: "ImageData | Tensor",
        config: RunConfig,
        device: torch.device,
    ):
        self.teacher, self.config, self.device = teacher, config, device
        self.images = data if isinstance(data, Tensor) else decoded_images(data)
        self.kept = self._keep() if config.teacher_bn == "frozen" else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> list[Tensor]:
        """The teacher's maps f_E of these images: a list of (B, C_k, H_k, W_k) on the device."""
        if self.kept is not None:
            return [f[indices.to(f.device)].to(self.device) for f in self.kept]
        return self._compute(indices)

    def pixels(self, indices: Tensor) -> Tensor:
        """These images (B, 3, H, W) in [0, 1] on the device."""
        images = self.images[indices].to(self.device, memory_format=layout(self.config))
        return images.float() / 255

    def _compute(self, indices: Tensor) -> list[Tensor]:
        with autocast(self.config, self.device):
            return self.teacher(self.pixels(indices))

    def _keep(self) -> list[Tensor] | None:
        first = self._compute(torch.arange(1))
        needed = len(self) * sum(f.nbytes for f in first)
        if needed > cache_budget(self.device):
            return None
        kept = [
            f.new_empty((len(self), *f.shape[1:])).to(memory_format=layout(self.config))
            for f in first
        ]
        batches = torch.arange(len(self)).split(self.config.batch_size)
        for indices in progress(batches, "teacher", leave=False):
            for whole, part in zip(kept, self._compute(indices), strict=True):
                whole[indices] = part
        return kept

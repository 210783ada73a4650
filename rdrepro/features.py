"""Images decoded once, and the frozen teacher's features computed once where memory allows."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil
import torch
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.data import ImageData
from rdrepro.progress import progress

# A third of what is free leaves room for the training step itself.
FREE_SHARE = 1 / 3
LARGEST_SMALL = 64  # pixels; on a CPU, channels last are slower up to there


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """Return the context in which the networks run: bfloat16 where the configuration says so."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=config.precision == "bfloat16", cache_enabled=False
    )


def layout(config: RunConfig) -> torch.memory_format:
    """Return how features lie in memory: channels last, but of small images channels first."""
    small = config.image_size <= LARGEST_SMALL
    return torch.contiguous_format if small else torch.channels_last


def full_precision_kernels() -> AbstractContextManager:
    """Return the context in which a GPU's convolutions repeat exactly, and float32 is not TF32."""
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )


@contextmanager
def memory_errors_explained(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Turn an allocation that failed into a sentence that names what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out_of_memory and "can't allocate memory" not in str(error):
            raise
        raise MemoryError(
            f"out of memory; lower batch_size (now {config.batch_size}), image_size (now "
            f"{config.image_size}) or the features' budget, RDREPRO_CACHE_GB "
            f"(now {cache_budget(device) / 2**30:.1f})"
        ) from None


def cache_budget(device: torch.device) -> float:
    """Return how many bytes of features to keep: $RDREPRO_CACHE_GB, or a third of what is free."""
    named = os.environ.get("RDREPRO_CACHE_GB")
    if named:
        try:
            return float(named) * 2**30
        except ValueError:
            raise ValueError(f"RDREPRO_CACHE_GB={named!r} must be a number of GiB") from None
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] * FREE_SHARE
    return psutil.virtual_memory().available * FREE_SHARE


class TeacherFeatures:
    """The teacher's features of a data set, by image index, kept in memory where they fit.

    data: a data set, or its images as bytes (N, 3, H, W). The features are computed anew for each
    batch where they do not fit, or where `teacher_bn="train"` makes them depend on the batch.
    """

    def __init__(
        self,
        teacher: nn.Module,
        data: ImageData | Tensor,
        config: RunConfig,
        device: torch.device,
    ):
        self.teacher, self.config, self.device = teacher, config, device
        self.images = data if isinstance(data, Tensor) else stack_images(data)
        self.kept = self._keep() if config.teacher_bn == "frozen" else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> list[Tensor]:
        """Return f_E of these images, a list of (B, C_k, H_k, W_k) on the device."""
        if self.kept is not None:
            return [f[indices.to(f.device)].to(self.device) for f in self.kept]
        return self._compute(indices)

    def pixels(self, indices: Tensor) -> Tensor:
        """Return these images (B, 3, H, W) in [0, 1] on the device."""
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


def stack_images(data: ImageData) -> Tensor:
    """Return all images of a data set, decoded, as bytes (N, 3, H, W)."""
    items = (data[i] for i in progress(range(len(data)), "decoding", leave=False))
    return torch.stack([(item["image"] * 255).round().to(torch.uint8) for item in items])

"""The frozen teacher's features of a data set, computed once and kept in memory or in a file."""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.data.decoded import decoded_images
from rdrepro.memory import cache_budget, check_features_disk, features_folder
from rdrepro.precision import autocast, layout
from rdrepro.progress import progress, say

if TYPE_CHECKING:
    from rdrepro.data.splits import ImageData

# Where features come from, from the usual place to the last resort.
SOURCES = MEMORY, FILE, RECOMPUTED = "memory", "file", "recomputed"


class TeacherFeatures:
    """The teacher's features of a data set, looked up by the numbers of images.

    data: a data set, or its images as bytes (N, 3, H, W). The features are computed once, in
    batches of `batch_size` consecutive images, and kept: on the device, else in the computer's
    memory, else in a file on the disk of the results. All three give the same features to the bit.
    Where the disk has no room either, a sentence says so, and the features are computed anew for
    each training batch. Their last digits then depend on which images share the batch.

    source: "memory", "file" or "recomputed". It is None with `teacher_bn="train"`, where features
    depend on the batch by definition and are never kept.
    """

    def __init__(
        self,
        teacher: nn.Module,
        data: "ImageData | Tensor",
        config: RunConfig,
        device: torch.device,
    ):
        self.teacher, self.config, self.device = teacher, config, device
        self.images = self._placed(data if isinstance(data, Tensor) else decoded_images(data))
        self.kept: list[Tensor] | None = None
        self.source: str | None = None
        if config.teacher_bn == "frozen":
            self._keep()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def place(self) -> torch.device:
        """Where the numbers of images should lie, so that looking them up never waits."""
        return self.device if self.resident else torch.device("cpu")

    @property
    def resident(self) -> bool:
        """Whether the device itself holds the images and the features, if they are kept."""
        return all(t.device.type == self.device.type for t in (self.images, *(self.kept or ())))

    def __getitem__(self, indices: Tensor) -> list[Tensor]:
        """The teacher's maps f_E of these images: a list of (B, C_k, H_k, W_k) on the device."""
        if self.kept is not None:
            return [f[indices.to(f.device)].to(self.device) for f in self.kept]
        return self._compute(indices)

    def note_source(self, other: str | None) -> None:
        """Set `source` to the later of itself and `other` in SOURCES. None does not count."""
        known = [source for source in (self.source, other) if source]
        self.source = max(known, key=SOURCES.index, default=None)

    def pixels(self, indices: Tensor) -> Tensor:
        """These images (B, 3, H, W) in [0, 1] on the device."""
        images = self.images[indices.to(self.images.device)]  # bytes
        return images.to(self.device, memory_format=layout(self.config)).float() / 255

    def _placed(self, images: Tensor) -> Tensor:
        """The images on the device, where its budget allows it."""
        return images.to(self.device) if images.nbytes <= cache_budget(self.device) else images

    def _compute(self, indices: Tensor) -> list[Tensor]:
        with autocast(self.config, self.device):
            return self.teacher(self.pixels(indices))

    def _batches(self) -> Iterator[list[Tensor]]:
        """The maps of all images, in batches of consecutive ones."""
        batches = torch.arange(len(self)).split(self.config.batch_size)
        for indices in progress(batches, "teacher", leave=False):
            yield self._compute(indices)

    def _keep(self) -> None:
        first = self._compute(torch.arange(1))
        needed = len(self) * sum(f.nbytes for f in first)
        for place in (self.device, torch.device("cpu")):
            if needed <= cache_budget(place):
                self.kept, self.source = self._in_memory(first, place), MEMORY
                return
        try:
            check_features_disk(needed)
            self.kept, self.source = self._in_file(first), FILE
        except OSError as error:
            self.source = RECOMPUTED
            say(
                f"The teacher's features ({needed / 2**30:.1f} GiB) fit neither in memory nor on "
                f"the disk ({error.strerror or error}), so they are computed anew for each "
                "training batch: this is slower, and the result differs from that of kept "
                "features; give a folder with more room in RDREPRO_RESULTS."
            )

    def _in_memory(self, first: list[Tensor], place: torch.device) -> list[Tensor]:
        """All features, kept on a device. first: those of the first image."""
        options = {"device": place, "memory_format": layout(self.config)}
        kept = [torch.empty((len(self), *f.shape[1:]), dtype=f.dtype, **options) for f in first]
        parts = zip(*(whole.split(self.config.batch_size) for whole in kept), strict=True)
        for batch, maps in zip(parts, self._batches(), strict=True):
            for part, f in zip(batch, maps, strict=True):
                part.copy_(f)
        return kept

    def _in_file(self, first: list[Tensor]) -> list[Tensor]:
        """All features, each layer's in an unnamed file that vanishes with the process."""
        memory_format = layout(self.config)
        with ExitStack() as stack:
            files = [
                stack.enter_context(tempfile.TemporaryFile(dir=features_folder())) for _ in first
            ]
            for maps in self._batches():
                for file, f in zip(files, maps, strict=True):
                    file.write(_raw(f, memory_format))
            return [
                _mapped(file, (len(self), *f.shape[1:]), f.dtype, memory_format)
                for file, f in zip(files, first, strict=True)
            ]


def _raw(maps: Tensor, memory_format: torch.memory_format) -> np.ndarray:
    """The bytes of maps (B, C, H, W), in the order of this memory layout."""
    if memory_format == torch.channels_last:
        maps = maps.permute(0, 2, 3, 1)
    return maps.cpu().contiguous().view(torch.uint8).numpy()


def _mapped(
    file: IO[bytes], shape: tuple[int, ...], dtype: torch.dtype, memory_format: torch.memory_format
) -> Tensor:
    """The content of a file as a tensor (N, C, H, W), read from the disk where it is used."""
    file.flush()
    # Strides as in memory, since the kernels' order of summation depends on them.
    strides = torch.empty(shape, device="meta", memory_format=memory_format).stride()
    # A shared mapping may be larger than memory; a private one would have to fit.
    return torch.frombuffer(mmap.mmap(file.fileno(), 0), dtype=dtype).as_strided(shape, strides)

"""PaDiM (Defard et al., ICPR 2021 workshops): a Gaussian of the features at each location."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rdrepro.baselines.memory import MemoryDetector, spread
from rdrepro.config import RunConfig
from rdrepro.models.teacher import Teacher
from rdrepro.models.weights import Weights

REGULARISER = 0.01  # epsilon in Sec. 3.2 of PaDiM's paper
BLOCK_BYTES = 2**28  # for the covariances computed at once


class PaDiM(MemoryDetector):
    """Mahalanobis distance to the normal features of the same location, over random channels.

    For each of the P locations of the finest map, the memory bank holds a mean (P, R) and the
    Cholesky factor (P, R, R) of a covariance. R channels are drawn at random from all channels of
    the teacher. The setting `padim_channels` is R, and `seed` decides which channels are drawn. The
    image score is the map's maximum. Raises ValueError where the teacher has fewer than R channels.
    """

    def __init__(self, teacher: Teacher, config: RunConfig):
        super().__init__(teacher, config)
        total = sum(teacher.channels)
        if config.padim_channels > total:
            raise ValueError(
                f"padim_channels={config.padim_channels} is more than the {total} channels of "
                f"backbone={config.backbone!r}; lower it"
            )
        generator = torch.Generator().manual_seed(config.seed)
        chosen = torch.randperm(total, generator=generator)[: config.padim_channels]
        # The chosen channels of each layer. Only these are enlarged to the finest map.
        starts = [sum(teacher.channels[:k]) for k in range(len(teacher.channels))]
        self.chosen = [
            (chosen[(chosen >= start) & (chosen < start + c)] - start).sort().values
            for start, c in zip(starts, teacher.channels, strict=True)
        ]
        for name in ("mean", "factor"):
            self.register_buffer(name, torch.empty(0), persistent=False)

    @classmethod
    def build(cls, config: RunConfig, weights: Weights) -> "PaDiM":
        return cls(Teacher.of(config, weights), config)

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """The chosen channels at each location of the finest map, (B, P, R)."""
        size = features[0].shape[-2:]
        pairs = zip(features, self.chosen, strict=True)
        chosen = [f[:, i.to(f.device)] for f, i in pairs if len(i)]  # a layer may have none
        embedding = torch.cat([spread(f, size) for f in chosen], dim=1)  # (B, R, h, w)
        return embedding.flatten(2).transpose(1, 2)

    def remember(self, batches: Iterable[Tensor]) -> None:
        embedded = [self.embed(self.features(images)) for images in batches]  # (B, P, R) each
        n = sum(map(len, embedded))
        if n < 2:
            raise ValueError(f"PaDiM needs two training images or more, not {n}")
        places, channels = embedded[0].shape[1:]
        self.mean = sum(x.sum(dim=0) for x in embedded) / n
        self.factor = self.mean.new_empty((places, channels, channels))
        ridge = REGULARISER * torch.eye(channels, device=self.mean.device)
        for block in self._blocks(places, channels):
            x = torch.cat([batch[:, block] for batch in embedded])
            centred = (x - self.mean[block]).transpose(0, 1)  # (block, N, R)
            covariance = centred.transpose(1, 2) @ centred / (n - 1) + ridge
            self.factor[block] = torch.linalg.cholesky(covariance)

    def search(self, features: Sequence[Tensor]) -> tuple[Tensor, None]:
        """The Mahalanobis distance at each location, (B, h, w) (PaDiM, Eq. 2), and no scores."""
        offset = (self.embed(features) - self.mean).permute(1, 2, 0)  # (P, R, B)
        distances = torch.cat(
            [
                torch.linalg.solve_triangular(self.factor[b], offset[b], upper=False).norm(dim=1)
                for b in self._blocks(*self.mean.shape)
            ]
        )  # (P, B)
        return distances.T.unflatten(1, features[0].shape[-2:]), None

    def bank(self) -> list[Tensor]:
        return [self.mean, self.factor]

    @staticmethod
    def _blocks(places: int, channels: int) -> list[slice]:
        """Slices of the locations. The covariances of each slice fit into BLOCK_BYTES."""
        step = max(1, BLOCK_BYTES // (4 * channels**2))
        return [slice(start, start + step) for start in range(0, places, step)]

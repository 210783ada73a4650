"""SPADE (Cohen & Hoshen, 2020): the nearest normal images, then the nearest locations in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rdrepro.baselines.memory import MemoryDetector
from rdrepro.config import RunConfig
from rdrepro.models.teacher import FourthStage, NoFourthStageError, Teacher, check_fourth_stage
from rdrepro.models.weights import Weights
from rdrepro.precision import autocast

GALLERY = ("gallery1", "gallery2", "gallery3")
BLOCK = 256  # locations at once, so that their distances to a gallery image stay in the cache


class SPADE(MemoryDetector):
    """Distances to the K nearest training images, for the whole image and for each location.

    Images are compared by the mean of `pooled_layer` over all locations, (C,). The image score is
    the mean squared distance to the K nearest. For the map, the features of each location are
    compared with those of every location of these K images, and the smallest squared distance is
    taken. A location has the features of all three maps; the coarser maps are enlarged by
    repetition. The memory bank holds both kinds of features of every training image. Nothing is
    drawn at random: `seed` decides random weights only.
    """

    def __init__(
        self, teacher: Teacher, config: RunConfig, fourth_stage: FourthStage | None = None
    ):
        super().__init__(teacher, config)
        self.fourth_stage = fourth_stage
        for name in ("pooled", *GALLERY):
            self.register_buffer(name, torch.empty(0), persistent=False)

    @classmethod
    def build(cls, config: RunConfig, weights: Weights) -> "SPADE":
        teacher = Teacher.of(config, weights)
        fourth = FourthStage(config.backbone, weights) if config.pooled_layer == 4 else None
        return cls(teacher, config, fourth)

    @classmethod
    def settle(cls, config: RunConfig, weights: Weights, chosen: Mapping[str, Any]) -> RunConfig:
        """The configuration, with `pooled_layer=3` where the weights have no fourth stage.

        Raises NoFourthStageError where the user chose layer 4 and the weights lack it.
        """
        try:
            check_fourth_stage(config.backbone, weights)
        except NoFourthStageError:
            if chosen.get("pooled_layer") is not None and config.pooled_layer == 4:
                raise
            return replace(config, pooled_layer=3)
        return config

    @property
    def gallery(self) -> list[Tensor]:
        """The training images' maps in the order of `nested`, (N, P_k, C_k) each."""
        return [getattr(self, name) for name in GALLERY]

    def features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The three maps, and the means (B, C) that images are compared by."""
        maps = super().features(images)
        with autocast(self.config, images.device):
            deepest = self.fourth_stage(maps) if self.fourth_stage else maps[-1]
        return maps, deepest.float().mean(dim=(2, 3))

    def remember(self, batches: Iterable[Tensor]) -> None:
        pooled, maps = [], []
        for images in batches:
            features, means = self.features(images)
            pooled.append(means)
            maps.append(nested(features, quarters_first=True))
        self.pooled = torch.cat(pooled)  # (N, C)
        if len(self.pooled) < self.config.neighbours:
            raise ValueError(
                f"neighbours={self.config.neighbours} is more than the {len(self.pooled)} training "
                "images; lower it"
            )
        for name, layer in zip(GALLERY, zip(*maps, strict=True), strict=True):
            setattr(self, name, torch.cat(layer))  # (N, P_k, C_k)

    def search(self, seen: tuple[list[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Squared distances to the nearest locations, (B, h, w), and nearest images, (B,)."""
        features, means = seen
        squared = torch.cdist(means, self.pooled).square()  # (B, N)
        found = squared.topk(self.config.neighbours, largest=False)
        layers = nested(features)
        nearest = torch.stack(
            [
                self._nearest_location([layer[b] for layer in layers], images)
                for b, images in enumerate(found.indices)
            ]
        )  # (B, P_1)
        return unnested(nearest, features[-1].shape[-2:]), found.values.mean(dim=1)

    def _nearest_location(self, layers: list[Tensor], images: Tensor) -> Tensor:
        """Each location's squared distance to the nearest location of some training images, (P_1,).

        layers: one test image's maps in the order of `nested`. images: the numbers of the training
        images. One block of locations is compared with one training image at a time, so that memory
        does not grow with K.
        """
        augmented = [torch.cat([-2 * p, p.new_ones(len(p), 1)], dim=1) for p in layers]
        blocks = [p.split(BLOCK >> 2 * k) for k, p in enumerate(augmented)]
        best = torch.full((len(layers[0]),), torch.inf, device=images.device)
        for image in images:
            gallery = [_with_norms(layer[image]) for layer in self.gallery]
            found = torch.cat([_nearest(b, gallery) for b in zip(*blocks, strict=True)])
            best = torch.minimum(best, found)
        norms = [p.square().sum(dim=1) for p in layers]
        own = sum(n.repeat_interleave(len(best) // len(n)) for n in norms)
        return (best + own).clamp(min=0)

    def bank(self) -> list[Tensor]:
        return [self.pooled, *self.gallery]


def _with_norms(q: Tensor) -> Tensor:
    """Vectors (Q, C) with their squared norms appended, transposed to (C + 1, Q)."""
    return torch.cat([q, q.square().sum(dim=1, keepdim=True)], dim=1).T.contiguous()


def _nearest(query: Sequence[Tensor], gallery: Sequence[Tensor]) -> Tensor:
    """For each location p of the finest map, the minimum of |q|^2 - 2 p.q over gallery locations q.

    query: for each layer, rows (P_k, C_k + 1) that hold -2 p and 1. gallery: for each layer,
    columns (C_k + 1, Q_k) that hold q and |q|^2. Both are in the order of `nested`. The result is
    (P_1,).

    Squared distances of concatenated features are sums over layers, and all fine locations of a
    coarse cell share the coarse layer's part. The minimum over the quarters of a cell can therefore
    be taken before the coarser layer is added. This is exact and saves work.
    """
    total = query[0] @ gallery[0]  # (P_1, Q_1)
    for p, q in zip(query[1:], gallery[1:], strict=True):
        total = total.view(len(total), 4, -1).amin(dim=1)  # over the quarters of a cell: (P_1, Q_k)
        total.view(len(p), -1, q.shape[1]).add_((p @ q)[:, None])
    return total.amin(dim=1)


def nested(features: Sequence[Tensor], quarters_first: bool = False) -> list[Tensor]:
    """Maps (B, C_k, H_k, W_k) with their locations in one sequence, (B, P_k, C_k).

    Each map must be half as high and wide as the one before. Locations are ordered by the cells of
    the deepest map, then by the quarters of a cell, then by the quarters of a quarter. With
    `quarters_first` the finest quarters vary slowest.
    """
    return [_nest(f, len(features) - 1 - k, quarters_first) for k, f in enumerate(features)]


def _nest(f: Tensor, levels: int, quarters_first: bool) -> Tensor:
    halves = (2,) * levels
    split = f.unflatten(3, (f.shape[3] >> levels, *halves)).unflatten(
        2, (f.shape[2] >> levels, *halves)
    )  # (B, C, h, 2, 2, w, 2, 2)
    rows, columns = range(2, 3 + levels), range(3 + levels, 4 + 2 * levels)
    pairs = list(zip(rows, columns, strict=True))
    order = [axis for pair in (pairs[::-1] if quarters_first else pairs) for axis in pair]
    return split.permute(0, *order, 1).flatten(1, -2).contiguous()


def unnested(values: Tensor, deepest: Sequence[int]) -> Tensor:
    """Values (B, P_1) in the order of `nested`, put back into maps (B, H_1, W_1).

    deepest: height and width of the deepest map.
    """
    cells = deepest[0] * deepest[1]
    levels = (values.shape[1] // cells).bit_length() // 2
    split = values.view(len(values), *deepest, *(2 for _ in range(2 * levels)))
    rows, columns = range(1, 3 + 2 * levels, 2), range(2, 3 + 2 * levels, 2)
    height, width = (size << levels for size in deepest)
    return split.permute(0, *rows, *columns).reshape(len(values), height, width)

"""Reverse Distillation as a detector: its loss, its stages, and the weights that it needs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rdrepro.config import LOSS_SCORES, RunConfig
from rdrepro.detector import Checkpoint, Detector, Look
from rdrepro.kernels import fast_kernels
from rdrepro.losses import kd_loss, mkd_loss, mkd_loss_coded, spare_easy
from rdrepro.models.reverse_distillation import (
    ReverseDistillation,
    build_parts,
    residual_design,
)
from rdrepro.models.teacher import Teacher, check_fourth_stage
from rdrepro.models.weights import RESNETS, Weights
from rdrepro.precision import autocast, layout
from rdrepro.scoring import anomaly_map, image_score, loss_score
from rdrepro.training import fit

if TYPE_CHECKING:
    import pandas as pd

    from rdrepro.data.splits import ImageData
    from rdrepro.features import TeacherFeatures


class DistillationDetector(ReverseDistillation, Detector):
    """The networks of Reverse Distillation, with methods for training, testing and timing."""

    @classmethod
    def build(cls, config: RunConfig, weights: Weights) -> "DistillationDetector":
        return cls(*build_parts(config, weights))

    @classmethod
    def settle(cls, config: RunConfig, weights: Weights, chosen: Mapping[str, Any]) -> RunConfig:
        """The configuration, unchanged.

        Raises ValueError where the weights lack a stage or batch-norm statistics that it needs.
        """
        if config.bottleneck == "pretrained":
            check_fourth_stage(config.backbone, weights)
        if config.teacher_bn == "train":
            Teacher(config.backbone, weights, config.teacher_bn)  # raises if this is impossible
        return config

    def fit(
        self,
        data: "ImageData",
        config: RunConfig,
        device: torch.device | str = "cpu",
        look: Look | None = None,
        validation: "ImageData | None" = None,
        checkpoint: Checkpoint | None = None,
    ) -> "pd.DataFrame":
        return fit(self, data, config, device, look, validation, checkpoint)

    def batch_loss(self, features: "TeacherFeatures", indices: Tensor, config: RunConfig) -> Tensor:
        f_e = features[indices]
        with autocast(config, f_e[0].device):
            f_d = self.restore(f_e)
        return training_loss(f_e, f_d, config)

    @contextmanager
    def while_training(self, images: int, config: RunConfig) -> Iterator[None]:
        """The context of training, in which the OCE uses matrix products if phi is a single cell.

        Raises ValueError where the last batch would be one image whose phi is a single cell: batch
        norm needs more than one value per channel.
        """
        cells = config.image_size // self.teacher.strides[-1] // 2  # of phi, per side
        last = images % config.batch_size or config.batch_size
        if last == 1 and cells == 1:
            raise ValueError(
                f"batch_size={config.batch_size} leaves a last batch of one image, whose code is "
                f"one cell at image_size={config.image_size}, and batch norm needs more; "
                "use another batch_size"
            )
        with fast_kernels(self.bottleneck, cells):
            yield

    def stages(self, config: RunConfig, size: Sequence[int]) -> dict[str, Callable]:
        def teacher(images: Tensor) -> list[Tensor]:
            with autocast(config, images.device):
                return self.teacher(images.contiguous(memory_format=layout(config)))

        def student(f_e: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            with autocast(config, f_e[0].device):
                return f_e, self.restore(f_e)

        return {
            "teacher": teacher,
            "student": student,
            "map": lambda features: maps_and_scores(*features, config, size),
        }

    def sizes(self, config: RunConfig) -> dict[str, int]:
        """The sizes of the weights in bytes; for a ResNet, also the official checkpoint's (D3)."""
        found = super().sizes(config)
        if config.backbone in RESNETS and config.bottleneck == "oce+mff":
            found["checkpoint"] = found["trained"] + 4 * dead_parameters(config.backbone)
        return found


def training_loss(f_e: list[Tensor], f_d: list[Tensor], config: RunConfig) -> Tensor:
    """The scalar that training minimises: the configured loss over the `train_layers`."""
    f_e, f_d = ([f[k - 1] for k in config.train_layers] for f in (f_e, f_d))
    if config.hard_mining:
        f_d = [spare_easy(e, d, config.hard_mining) for e, d in zip(f_e, f_d, strict=True)]
    if config.loss == "mkd":
        return mkd_loss(f_e, f_d, config.mkd_weight, config.loss_reduction)
    if config.loss == "mkd_coded":
        return mkd_loss_coded(f_e, f_d, config.mkd_weight, config.loss_reduction)
    return kd_loss(f_e, f_d, config.loss_reduction)


def maps_and_scores(
    f_e: list[Tensor], f_d: list[Tensor], config: RunConfig, size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Anomaly maps (B, H, W), upsampled to `size`, and image scores (B,).

    The configuration says how they are computed. In both, higher = more anomalous.
    """
    maps = anomaly_map(
        f_e,
        f_d,
        tuple(size),
        config.sigma,
        config.map_combine,
        config.map_layers,
        config.align_corners,
    )
    if config.score not in LOSS_SCORES:
        return maps, image_score(maps, config.score)
    chosen = [[f[k - 1] for k in config.map_layers] for f in (f_e, f_d)]
    coded = config.loss == "mkd_coded"
    settings = (config.loss_reduction, config.mkd_weight, coded)
    return maps, loss_score(*chosen, config.score, *settings)


def dead_parameters(backbone: str) -> int:
    """How many unused parameters the official checkpoint has: those of conv4 and bn4 (D3)."""
    outputs = 512 * residual_design(backbone)[0].expansion
    return 2 * outputs * outputs + 2 * outputs

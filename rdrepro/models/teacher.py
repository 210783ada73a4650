"""The frozen teacher encoder E: three feature maps f_E at strides 4, 8 and 16 (Sec. 3.1)."""

from collections.abc import Sequence
from types import ModuleType

import torch
import torchvision
from torch import Tensor, nn

from rdrepro.backbones import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    LITE0,
    STRIDES,
    TIMM,
    NoFourthStageError,
    check_backbone,
)
from rdrepro.config import RunConfig
from rdrepro.models.weights import RESNETS, Weights, load_encoder, resnet_entries

# Mean and SD of each channel by `normalise`. "imagenet" is not listed, since it means the mean and
# SD that belong to the weights. RadImageNet's weights need "symmetric": (image - 127.5) * 2 / 255
# in its pytorch_example.ipynb.
NORMALISATIONS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
# A batch norm that was folded into its convolution keeps a mean of 0 and a variance of 1 minus an
# epsilon. The epsilon is at most half of this value.
FOLDED = 2e-3


class Teacher(nn.Module):
    """Frozen encoder: images (B, 3, H, W) in [0, 1] -> [f_E^1, f_E^2, f_E^3].

    f_E^k: (B, C_k, H / s_k, W / s_k) with s = 4, 8, 16 and C = `channels`. The teacher normalises
    its input as its weights need it, and stays in eval mode whatever the model's mode.

    batch_norm="train": the batch norms are in training mode while the model is. They then normalise
    by the statistics of the batch, and update the running statistics that testing uses. This is an
    accident of the extension's code (E4). normalise="none": images are used as they are (D9);
    "symmetric": they are scaled to [-1, 1]. stem="no_maxpool": a ResNet's max-pool is left out,
    which halves the strides (D10).

    Raises ValueError for a backbone without maps at these strides, or where batch_norm="train"
    finds no batch-norm statistics.
    """

    def __init__(
        self,
        backbone: str,
        weights: Weights,
        batch_norm: str = "frozen",
        normalise: str = "imagenet",
        stem: str = "original",
    ):
        super().__init__()
        self.backbone, self.batch_norm = backbone, batch_norm
        encoder, mean, std = _build(backbone, weights)
        mean, std = NORMALISATIONS.get(normalise, (mean, std))
        if stem == "no_maxpool":
            encoder.maxpool = nn.Identity()
        self.strides = tuple(s // 2 for s in STRIDES) if stem == "no_maxpool" else STRIDES
        self.encoder = encoder.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.train(False)
        self.channels, self.rectified = self._probe()
        if batch_norm == "train":
            self._check_batch_statistics(from_file=weights.path is not None)

    @classmethod
    def of(cls, config: RunConfig, weights: Weights) -> "Teacher":
        """Build the teacher of a configuration."""
        return cls(config.backbone, weights, config.teacher_bn, config.normalise, config.stem)

    def forward(self, images: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return self.encoder((images - self.mean) / self.std)

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode. With `batch_norm="train"`, only the batch norms follow `mode`."""
        super().train(False)
        for module in self.batch_norms():
            module.train(mode and self.batch_norm == "train")
        return self

    def batch_norms(self) -> list[nn.Module]:
        """The batch norms. With `batch_norm="train"`, training updates their statistics."""
        return [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def _probe(self) -> tuple[tuple[int, ...], bool]:
        """The channels of each map, and whether no map has negative values (after a ReLU)."""
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            maps = self(torch.rand(1, 3, 64, 64, generator=generator))
        if tuple(64 // m.shape[-1] for m in maps) != self.strides:
            raise ValueError(f"backbone={self.backbone!r} has no maps at strides 4, 8 and 16")
        return tuple(m.shape[1] for m in maps), all(m.min() >= 0 for m in maps)

    def _check_batch_statistics(self, from_file: bool) -> None:
        if not (norms := self.batch_norms()):
            raise ValueError(f"teacher_bn='train' needs batch norms; {self.backbone} has none")
        off = max((m.running_var - 1).abs().max() + m.running_mean.abs().max() for m in norms)
        if from_file and off < FOLDED:
            raise ValueError(
                "teacher_bn='train' needs batch-norm statistics; this file's are folded into its "
                "convolutions, so use teacher_bn='frozen' or other weights"
            )


class _ResNetStages(nn.Module):
    """The stem and the first three residual stages of a torchvision ResNet."""

    def __init__(self, resnet: nn.Module):
        super().__init__()
        self.conv1, self.bn1, self.relu = resnet.conv1, resnet.bn1, resnet.relu
        self.maxpool = resnet.maxpool
        self.layer1, self.layer2, self.layer3 = resnet.layer1, resnet.layer2, resnet.layer3

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        f1 = self.layer1(x)
        f2 = self.layer2(f1)
        return [f1, f2, self.layer3(f2)]


class FourthStage(nn.Module):
    """The frozen fourth stage as the bottleneck: f_E -> phi (B, C, H/32, W/32) (Table 5, "Pre").

    Its input is f_E^3 alone. In the authors' issue 1 it replaces `bn(inputs)` in this way (D26). It
    is a ResNet's `layer4` or, for EfficientNet-Lite0, the blocks after the map of stride 16. It
    stays in eval mode. Raises NoFourthStageError where the backbone or its weights file has no such
    stage.
    """

    def __init__(self, backbone: str, weights: Weights):
        super().__init__()
        check_fourth_stage(backbone, weights)
        if backbone == LITE0:
            self.stage = _timm_teachers().lite0_fourth_stage(weights)
        else:
            resnet = torchvision.models.get_model(backbone, weights=None)
            whole = nn.ModuleDict({"layer4": resnet.layer4})
            if weights.path:
                load_encoder(whole, weights.path, backbone)
            self.stage = whole["layer4"]
        self.requires_grad_(False).train(False)
        first = next(m for m in self.modules() if isinstance(m, nn.Conv2d))
        self.out_channels = self([torch.zeros(1, first.in_channels, 2, 2)]).shape[1]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            return self.stage(features[-1])

    def train(self, mode: bool = True) -> "FourthStage":
        """Stay in eval mode, whatever the mode of the model."""
        return super().train(False)


def check_fourth_stage(backbone: str, weights: Weights) -> None:
    """Raise NoFourthStageError where a network, or its weights file, has no fourth stage."""
    if backbone not in (*RESNETS, LITE0):
        raise NoFourthStageError(
            f"backbone={backbone!r} has no fourth stage that rdrepro knows; use a torchvision "
            f"ResNet or {LITE0}"
        )
    entries = resnet_entries(weights.path) if backbone in RESNETS and weights.path else ["layer4."]
    if not any(name.startswith("layer4.") for name in entries):
        raise NoFourthStageError(
            f"the weights file {weights.path.name} has no layer4, the network's fourth stage; use "
            f"a complete file, or backbone={LITE0}"
        )


def check_teacher(config: RunConfig) -> None:
    """Raise ValueError for an unknown backbone, or for a stem that a backbone cannot have."""
    if config.backbone.startswith(TIMM):
        check_backbone(config.backbone, _timm_teachers().list_models())
    if config.stem != "original" and config.backbone not in RESNETS:
        raise ValueError(
            f"stem={config.stem!r} needs a torchvision ResNet, not {config.backbone!r}"
        )


def _timm_teachers() -> ModuleType:
    """The module of timm's teachers, imported only where one is wanted: timm is slow to load."""
    from rdrepro.models import timm_teachers

    return timm_teachers


def _build(backbone: str, weights: Weights) -> tuple[nn.Module, tuple, tuple]:
    """The encoder with its weights, and the mean and SD with which its input is normalised."""
    names = _timm_teachers().list_models() if backbone.startswith(TIMM) else None
    check_backbone(backbone, names)
    if backbone not in RESNETS:
        return _timm_teachers().build(backbone, weights)
    encoder = _ResNetStages(torchvision.models.get_model(backbone, weights=None))
    if weights.path:
        load_encoder(encoder, weights.path, backbone)
    return encoder, IMAGENET_MEAN, IMAGENET_STD

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
    VGG16,
    NoFourthStageError,
)
from rdrepro.config import RunConfig
from rdrepro.models.weights import RESNETS, Weights, load_encoder, resnet_entries
from rdrepro.text import nearest

# What `normalise` makes of the images, mean and SD of each channel; "imagenet" means as the weights
# want it. RadImageNet's want "symmetric": (image - 127.5) * 2 / 255 in its pytorch_example.ipynb.
NORMALISATIONS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
FOLDED = 2e-3  # folding leaves a variance of 1, less an epsilon (at most half of this), and mean 0


class Teacher(nn.Module):
    """Frozen encoder: images (B, 3, H, W) in [0, 1] -> [f_E^1, f_E^2, f_E^3].

    f_E^k: (B, C_k, H / s_k, W / s_k) with s = 4, 8, 16 and C = `channels`. It normalises its input
    as its weights want it. It stays in eval mode whatever the model's mode. With
    `batch_norm="train"`, an accident of the extension's code (E4), its batch norms are in training
    mode while the model is: they use the batch's statistics and move their own, which testing uses.
    normalise="none" feeds the images as they are (D9), "symmetric" in [-1, 1]; stem="no_maxpool"
    leaves a ResNet's max-pool out, which halves the strides (D10).
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
        """The teacher of a configuration."""
        return cls(config.backbone, weights, config.teacher_bn, config.normalise, config.stem)

    def forward(self, images: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return self.encoder((images - self.mean) / self.std)

    def train(self, mode: bool = True) -> "Teacher":
        """Keep all in eval mode, but batch norms where the batch's statistics are wanted."""
        super().train(False)
        for module in self.batch_norms():
            module.train(mode and self.batch_norm == "train")
        return self

    def batch_norms(self) -> list[nn.Module]:
        """The batch norms, whose statistics move with `batch_norm="train"`."""
        return [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def _probe(self) -> tuple[tuple[int, ...], bool]:
        """The maps' channels, and whether no value of theirs is negative (a final ReLU)."""
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
    """The frozen rest of the network as bottleneck: f_E -> phi (B, C, H/32, W/32) (Table 5, "Pre").

    On f_E^3 alone, as the authors' issue 1 replaces `bn(inputs)` (D26). A ResNet's `layer4`; for
    EfficientNet-Lite0 the blocks behind its map of stride 16 stand in. It stays in eval mode.
    NoFourthStageError where the backbone or its weights file has no such stage.
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
        """Stay in eval mode."""
        return super().train(False)


def check_fourth_stage(backbone: str, weights: Weights) -> None:
    """Raise NoFourthStageError where a network, or the file of its weights, ends at stride 16."""
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


def check_backbone(backbone: str) -> None:
    """Raise ValueError, with the nearest name, for a backbone that nobody knows."""
    known = [*RESNETS, LITE0]
    if backbone.startswith(TIMM):
        known = [TIMM + name for name in _timm_teachers().list_models()]
    if backbone.split(".")[0] not in known:  # timm's names may end in ".tag", the weights' own name
        raise ValueError(
            f"backbone={backbone!r} is neither a torchvision ResNet, nor {LITE0}, "
            f"nor a timm model written timm/NAME.{nearest(backbone, known)}"
        )


def check_teacher(config: RunConfig) -> None:
    """Raise ValueError for an unknown backbone, or one that has no such stem."""
    if config.backbone != VGG16:
        check_backbone(config.backbone)
    if config.stem != "original" and config.backbone not in RESNETS:
        raise ValueError(
            f"stem={config.stem!r} needs a torchvision ResNet, not {config.backbone!r}"
        )


def _timm_teachers() -> ModuleType:
    """The module of teachers that timm builds, loaded where one is wanted: timm is slow to load."""
    from rdrepro.models import timm_teachers

    return timm_teachers


def _build(backbone: str, weights: Weights) -> tuple[nn.Module, tuple, tuple]:
    """The encoder with its weights, and the mean and SD that its input wants."""
    check_backbone(backbone)
    if backbone not in RESNETS:
        return _timm_teachers().build(backbone, weights)
    encoder = _ResNetStages(torchvision.models.get_model(backbone, weights=None))
    if weights.path:
        load_encoder(encoder, weights.path, backbone)
    return encoder, IMAGENET_MEAN, IMAGENET_STD

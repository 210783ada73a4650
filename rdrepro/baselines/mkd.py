"""Multiresolution Knowledge Distillation (Salehi et al., CVPR 2021): a cloner restores VGG-16.

"official" is the authors' code, rohban-lab/Knowledge_Distillation_AD.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg

from rdrepro.config import RunConfig
from rdrepro.features import TeacherFeatures, autocast, layout
from rdrepro.losses import at_least_float32, kd_loss_per_image
from rdrepro.models.teacher import IMAGENET_MEAN, IMAGENET_STD
from rdrepro.progress import progress
from rdrepro.scoring import gaussian_smooth
from rdrepro.weights import Weights, load_encoder

# What the convolutions that were never a classifier (amdegroot's) want; torchvision's own figures.
FEATURES_MEAN, FEATURES_STD = (0.48235, 0.45882, 0.40784), (1 / 255,) * 3
# Output channels of the cloner's convolutions, block by block (official network.py, "B").
CLONER = ((16, 16), (16, 128), (16, 16, 256), (16, 16, 512), (16, 16, 512))
UNSCORED = 1  # trained on four layers, tested on the last three (official test_functions.py)


class VGG16(nn.Module):
    """Frozen teacher: images (B, 3, H, W) in [0, 1] -> its maps after the max-pools 2 to 5.

    They are (B, C_k, H / s_k, W / s_k) with C = 128, 256, 512, 512 and s = 4, 8, 16, 32. Unlike
    `Teacher` it lets gradients through to the images. normalise="none" feeds the images as they
    are, as the official loaders do but CIFAR-10's.
    """

    def __init__(self, weights: Weights, normalise: str = "none"):
        super().__init__()
        self.features = vgg.make_layers(vgg.cfgs["D"])
        if weights.path:
            load_encoder(self, weights.path, "vgg16")
        else:
            _initialise(self)
        self.requires_grad_(False)
        mean, std = IMAGENET_MEAN, IMAGENET_STD
        if weights.name == "IMAGENET1K_FEATURES":
            mean, std = FEATURES_MEAN, FEATURES_STD
        if normalise == "none":
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        return critical_layers(self.features, self.normalised(images))

    def normalised(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) as both networks see them."""
        return (images - self.mean) / self.std


def build_cloner() -> nn.Sequential:
    """Return VGG-16 made thin, without biases; batch norm follows all but a block's last layer."""
    layers, channels = [], 3
    for block in CLONER:
        for position, width in enumerate(block, 1):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False))
            if position < len(block):
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(2))
    return _initialise(nn.Sequential(*layers))


def _initialise(network: nn.Module) -> nn.Module:
    """Draw the convolutions' weights as the official network.py does; no biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def critical_layers(network: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Return what a VGG of five blocks gives after its max-pools 2 to 5, shallow to deep."""
    pooled = []
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            pooled.append(x)
    return pooled[1:]


def restoration_loss(f_e: Sequence[Tensor], f_d: Sequence[Tensor], weight: float = 0.01) -> Tensor:
    """Loss of each image (B,) >= 0, lower = better restored: direction plus `weight` times value.

    Summed over layers: one minus the cosine of all C*H*W values, and the mean of their squared
    differences (official loss_functions.py; its scalar is the mean over the batch).
    """
    # Channels last, as they lie in memory: flattening copies nothing.
    f_e, f_d = ([at_least_float32(f).permute(0, 2, 3, 1) for f in maps] for maps in (f_e, f_d))
    value = sum((e - d).square().flatten(1).mean(dim=1) for e, d in zip(f_e, f_d, strict=True))
    return kd_loss_per_image(f_e, f_d, "flatten") + weight * value


@contextmanager
def gradients() -> Iterator[None]:
    """Let gradients be computed, whatever surrounds."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


class MKD(nn.Module):
    """A frozen VGG-16 and a cloner trained to restore its maps of normal images.

    `fit(loader)` trains it; `anomaly_map(images)` returns (B, H, W) and `image_score(images)` (B,),
    both higher = more anomalous, of images (B, 3, H, W) in [0, 1]. The score is the loss over the
    last three layers, the map its plain gradient by the image, absolute values summed over
    channels, smoothed and opened (official test_functions.py, "gradients"; it also has averaged
    and guided gradients). The official code scales each image's gradient to [0, 1] and looks at
    anomalous images alone; here one scale serves all, so that images can be compared.
    """

    def __init__(self, teacher: VGG16, cloner: nn.Sequential, config: RunConfig):
        super().__init__()
        self.teacher, self.cloner, self.config = teacher, cloner, config
        self.eval()

    def trainable(self) -> nn.ModuleDict:
        """Return what training changes: the cloner."""
        return nn.ModuleDict({"cloner": self.cloner})

    def kept(self) -> nn.ModuleDict:
        """Return what is kept of training."""
        return self.trainable()

    def fit(self, loader: Iterable[Tensor]) -> pd.DataFrame:
        """Train the cloner on batches of normal images (B, 3, H, W), walked over once.

        Returns the history, one row per epoch: epoch, loss, seconds. RuntimeError when the loss is
        not finite.
        """
        config = self.config
        images = torch.cat([(batch * 255).round().to(torch.uint8) for batch in loader])
        features = TeacherFeatures(self.teacher, images, config, self.teacher.mean.device)
        betas = (config.beta1, config.beta2)
        optimiser = torch.optim.Adam(self.cloner.parameters(), config.lr, betas, fused=True)
        shuffle = torch.Generator().manual_seed(config.seed)
        self.cloner.train()
        history = []
        for epoch in (bar := progress(range(1, config.epochs + 1), "cloning", unit=" epochs")):
            started = time.perf_counter()
            order = torch.randperm(len(features), generator=shuffle)
            loss = self._epoch(features, order, optimiser)
            if not math.isfinite(loss):
                raise RuntimeError(
                    f"the loss is {loss} in epoch {epoch}; lower lr (now {config.lr}) or use "
                    f"precision=float32 (now {config.precision})"
                )
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            history.append({"epoch": epoch, "loss": loss, "seconds": time.perf_counter() - started})
        self.eval()
        return pd.DataFrame(history)

    def _epoch(
        self, features: TeacherFeatures, order: Tensor, optimiser: torch.optim.Optimizer
    ) -> float:
        """Take a step per batch in this order; return the mean loss, or one that is not finite."""
        total = 0.0
        for indices in order.split(self.config.batch_size):
            f_e, images = features[indices], features.pixels(indices)
            loss = restoration_loss(f_e, self.clone(images), self.config.value_weight).mean()
            if not loss.isfinite():
                return loss.item()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(indices)
        return total / len(order)

    def clone(self, images: Tensor) -> list[Tensor]:
        """Return the cloner's four maps of images (B, 3, H, W)."""
        with autocast(self.config, images.device):
            return critical_layers(self.cloner, self.teacher.normalised(images))

    def see(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the images, a gradient to be taken by them, and the teacher's four maps."""
        with gradients(), autocast(self.config, images.device):
            images = images.clone(memory_format=layout(self.config)).requires_grad_()
            return images, self.teacher(images)

    def restore(self, seen: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, list, list]:
        """Return the same and the cloner's four maps."""
        with gradients():
            return *seen, self.clone(seen[0])

    def finish(self, images: Tensor, f_e: list[Tensor], f_d: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return maps (B, H, W) and scores (B,)."""
        with gradients():
            scored = (f_e[UNSCORED:], f_d[UNSCORED:])
            scores = restoration_loss(*scored, self.config.value_weight)  # (B,)
            (gradient,) = torch.autograd.grad(scores.sum(), images)
        maps = gradient.abs().sum(dim=1)  # (B, H, W)
        return opened(gaussian_smooth(maps, self.config.sigma)), scores.detach()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps (B, H, W) and scores (B,)."""
        return self.finish(*self.restore(self.see(images)))

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Return maps (B, H, W) of images (B, 3, H, W)."""
        return self(images)[0]

    def image_score(self, images: Tensor) -> Tensor:
        """Return scores (B,) of images (B, 3, H, W)."""
        return self(images)[1]


def opened(maps: Tensor) -> Tensor:
    """Open maps (B, H, W) by a cross of 3x3 pixels, so that narrower peaks vanish.

    The official code opens the map once per threshold; thresholds of this one are the same.
    """
    return _dilated(-_dilated(-maps))


def _dilated(maps: Tensor) -> Tensor:
    """Return the maximum over each pixel and its four neighbours."""
    rows = F.max_pool2d(maps[:, None], (1, 3), stride=1, padding=(0, 1))
    columns = F.max_pool2d(maps[:, None], (3, 1), stride=1, padding=(1, 0))
    return torch.maximum(rows, columns)[:, 0]

"""Multiresolution Knowledge Distillation (Salehi et al., CVPR 2021): a cloner imitates VGG-16.

Here "official" means the code of MKD's authors, rohban-lab/Knowledge_Distillation_AD.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg

from rdrepro.backbones import IMAGENET_MEAN, IMAGENET_STD
from rdrepro.config import RunConfig
from rdrepro.detector import Checkpoint, Detector, Look
from rdrepro.features import TeacherFeatures
from rdrepro.losses import at_least_float32, kd_loss_per_image
from rdrepro.models.weights import Weights, load_encoder
from rdrepro.precision import autocast, layout
from rdrepro.scoring import gaussian_smooth
from rdrepro.training import fit

if TYPE_CHECKING:
    import pandas as pd

    from rdrepro.data.splits import ImageData

# Mean and SD of the input for IMAGENET1K_FEATURES, as torchvision gives them. These weights
# (amdegroot's) never belonged to a classifier.
FEATURES_MEAN, FEATURES_STD = (0.48235, 0.45882, 0.40784), (1 / 255,) * 3
# Output channels of the cloner's convolutions, block by block (official network.py, "B").
CLONER = ((16, 16), (16, 128), (16, 16, 256), (16, 16, 512), (16, 16, 512))
GRADIENT_PIXELS = 4 * 256**2  # at once: few, since gradients need every layer's output
UNSCORED = 1  # the first of the four trained layers is not scored (official test_functions.py)


class VGG16(nn.Module):
    """The frozen teacher: images (B, 3, H, W) in [0, 1] -> four maps, after max-pools 2 to 5.

    The maps are (B, C_k, H / s_k, W / s_k) with C = 128, 256, 512, 512 and s = 4, 8, 16, 32. Unlike
    in `Teacher`, gradients pass through to the images. normalise="none": images are not normalised.
    All official loaders do this, except the one for CIFAR-10.
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
        """Images (B, 3, H, W), normalised for both networks."""
        return (images - self.mean) / self.std


def build_cloner() -> nn.Sequential:
    """Build the cloner, a thin VGG-16 without biases.

    Batch norm follows every convolution but the last one of a block.
    """
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
    """Draw the convolutions' weights as the official network.py does; biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def critical_layers(network: nn.Sequential, x: Tensor) -> list[Tensor]:
    """The maps of a VGG of five blocks after its max-pools 2 to 5, shallow to deep."""
    pooled = []
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            pooled.append(x)
    return pooled[1:]


def restoration_loss(f_e: Sequence[Tensor], f_d: Sequence[Tensor], weight: float = 0.01) -> Tensor:
    """The loss of each image, (B,) >= 0; lower = better restored.

    It is the direction loss plus `weight` times the value loss, both summed over layers. The
    direction loss is one minus the cosine of all C*H*W values. The value loss is the mean of their
    squared differences. The official loss_functions.py returns the mean over the batch.
    """
    # The maps are stored channels last. In this order, flattening copies nothing.
    f_e, f_d = ([at_least_float32(f).permute(0, 2, 3, 1) for f in maps] for maps in (f_e, f_d))
    value = sum((e - d).square().flatten(1).mean(dim=1) for e, d in zip(f_e, f_d, strict=True))
    return kd_loss_per_image(f_e, f_d, "flatten") + weight * value


@contextmanager
def gradients() -> Iterator[None]:
    """The context in which gradients are computed, even inside inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


class MKD(Detector):
    """A frozen VGG-16, and a cloner trained to restore the VGG's maps of normal images.

    For images (B, 3, H, W) in [0, 1], `anomaly_map(images)` returns (B, H, W) and
    `image_score(images)` (B,), both higher = more anomalous. The score is the loss over the last
    three layers. The map is the gradient of the score with respect to the image. Its absolute
    values are summed over channels, smoothed and opened (official test_functions.py, "gradients").
    The averaged and guided gradients of the official code are left out.

    The official code scales each image's gradient from its minimum to its 99th percentile, clips
    it there before it is smoothed, and uses anomalous images only. Here gradients are neither
    scaled nor clipped, so that the maps of different images can be compared (DEVIATIONS.md, E16).
    """

    def __init__(self, teacher: VGG16, cloner: nn.Sequential, config: RunConfig):
        super().__init__()
        self.teacher, self.cloner, self.config = teacher, cloner, config
        self.eval()

    def trainable(self) -> nn.ModuleDict:
        """The modules that training changes: the cloner."""
        return nn.ModuleDict({"cloner": self.cloner})

    def kept(self) -> nn.ModuleDict:
        """The modules whose state is saved: the cloner."""
        return self.trainable()

    @classmethod
    def build(cls, config: RunConfig, weights: Weights) -> "MKD":
        return cls(VGG16(weights, config.normalise), build_cloner(), config)

    def fit(
        self,
        data: "ImageData",
        config: RunConfig,
        device: torch.device | str = "cpu",
        look: Look | None = None,
        validation: "ImageData | None" = None,
        checkpoint: Checkpoint | None = None,
    ) -> "pd.DataFrame":
        """Train the cloner; return the history, one row per epoch.

        Its columns are epoch, loss and seconds.
        """
        history = fit(self, data, config, device, checkpoint=checkpoint)
        self.eval()
        return history

    def batch_loss(self, features: TeacherFeatures, indices: Tensor, config: RunConfig) -> Tensor:
        f_e, images = features[indices], features.pixels(indices)
        return restoration_loss(f_e, self.clone(images), config.value_weight).mean()

    def stages(self, config: RunConfig, size: Sequence[int]) -> dict[str, Callable]:
        return {
            "teacher": self.see,
            "student": self.restore,
            "map": lambda restored: self.finish(*restored),
        }

    def test_batch(self, config: RunConfig) -> int:
        return max(1, GRADIENT_PIXELS // config.image_size**2)

    def clone(self, images: Tensor) -> list[Tensor]:
        """The cloner's four maps of images (B, 3, H, W)."""
        with autocast(self.config, images.device):
            return critical_layers(self.cloner, self.teacher.normalised(images))

    def see(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The images, marked so that gradients reach them, and the teacher's four maps."""
        with gradients(), autocast(self.config, images.device):
            images = images.clone(memory_format=layout(self.config)).requires_grad_()
            return images, self.teacher(images)

    def restore(self, seen: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, list, list]:
        """The images, the teacher's four maps and the cloner's four maps."""
        with gradients():
            return *seen, self.clone(seen[0])

    def finish(self, images: Tensor, f_e: list[Tensor], f_d: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Anomaly maps (B, H, W) and image scores (B,), from both networks' maps."""
        with gradients():
            scored = (f_e[UNSCORED:], f_d[UNSCORED:])
            scores = restoration_loss(*scored, self.config.value_weight)  # (B,)
            (gradient,) = torch.autograd.grad(scores.sum(), images)
        maps = gradient.abs().sum(dim=1)  # (B, H, W)
        return opened(gaussian_smooth(maps, self.config.sigma)), scores.detach()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Anomaly maps (B, H, W) and image scores (B,) of images (B, 3, H, W)."""
        return self.finish(*self.restore(self.see(images)))

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Anomaly maps (B, H, W) of images (B, 3, H, W)."""
        return self(images)[0]

    def image_score(self, images: Tensor) -> Tensor:
        """Image scores (B,) of images (B, 3, H, W)."""
        return self(images)[1]


def opened(maps: Tensor) -> Tensor:
    """Maps (B, H, W) after morphological opening by a cross of 3x3 pixels.

    Opening removes peaks that are narrower than the cross.

    The official code thresholds the map first and opens the result, once per threshold.
    Thresholding the opened map gives the same.
    """
    return _dilated(-_dilated(-maps))


def _dilated(maps: Tensor) -> Tensor:
    """The maximum over each pixel and its four neighbours."""
    rows = F.max_pool2d(maps[:, None], (1, 3), stride=1, padding=(0, 1))
    columns = F.max_pool2d(maps[:, None], (3, 1), stride=1, padding=(1, 0))
    return torch.maximum(rows, columns)[:, 0]

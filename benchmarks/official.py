"""The official training step, epoch and evaluation, restated: what the benchmark compares with.

The work is that of hq-deng/RD4AD at 6554076 (main.py, test.py, dataset.py, models/resnet.py), with
what makes it slow: float32 in torch's default layout, gradients computed through the teacher and
never reset, its fourth stage computed and dropped, an Adam that is not fused, files decoded in
every epoch, evaluation image by image, pixels in Python lists, and a PRO that labels the regions of
an image once for each of 200 thresholds. Two things are lighter here: PRO keeps its curve in lists,
since current pandas refuses the official data frame, and nothing checks that masks are binary.
Bottleneck and student are rdrepro's, which equal the official ones (tests/models/test_parity.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import torchvision
from scipy.ndimage import gaussian_filter
from skimage.measure import label as connected_components
from skimage.measure import regionprops
from sklearn.metrics import auc, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from rdrepro.backbones import IMAGENET_MEAN, IMAGENET_STD
from rdrepro.models.reverse_distillation import build_trainable, residual_design

LR, BETAS, BATCH = 0.005, (0.5, 0.999), 16  # main.py
SIGMA, THRESHOLDS, LIMIT, DEFECT = 4, 200, 0.3, 0.5  # test.py


class Teacher(nn.Module):
    """A ResNet with gradients, in eval mode: normalised images -> [f_E^1, f_E^2, f_E^3]."""

    def __init__(self, resnet: nn.Module):
        super().__init__()
        self.resnet = resnet
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        r = self.resnet
        f1 = r.layer1(r.maxpool(r.relu(r.bn1(r.conv1(images)))))
        f2 = r.layer2(f1)
        f3 = r.layer3(f2)
        r.layer4(f3)  # the official forward pass computes it, too
        return [f1, f2, f3]


@dataclass
class Networks:
    """Teacher, bottleneck and student, and the optimiser of the last two."""

    teacher: nn.Module
    bottleneck: nn.Module
    student: nn.Module

    def __post_init__(self):
        trained = [*self.student.parameters(), *self.bottleneck.parameters()]
        self.optimiser = torch.optim.Adam(trained, lr=LR, betas=BETAS)

    @classmethod
    def random(cls, backbone: str) -> "Networks":
        """The networks of a torchvision ResNet with random weights."""
        block, _, width, _ = residual_design(backbone)
        channels = tuple(n * block.expansion for n in (64, 128, 256))
        resnet = torchvision.models.get_model(backbone, weights=None)
        return cls(Teacher(resnet), *build_trainable(backbone, channels, width))

    def train(self, mode: bool = True) -> "Networks":
        """Put bottleneck and student into training mode, or into eval mode."""
        self.bottleneck.train(mode)
        self.student.train(mode)
        return self


def loss_of(f_e: Sequence[Tensor], f_d: Sequence[Tensor]) -> Tensor:
    """One cosine distance per image and layer over all values, summed over the layers."""
    cosine = nn.CosineSimilarity()
    total = 0
    for e, d in zip(f_e, f_d, strict=True):
        total = total + (1 - cosine(e.view(len(e), -1), d.view(len(d), -1))).mean()
    return total


def training_step(networks: Networks, images: Tensor) -> float:
    """One step on normalised images (B, 3, H, W); returns the loss."""
    f_e = networks.teacher(images)
    f_d = networks.student(networks.bottleneck(f_e))
    loss = loss_of(f_e, f_d)
    networks.optimiser.zero_grad()
    loss.backward()
    networks.optimiser.step()
    return loss.item()


def train_loader(folder: Path, image_size: int) -> DataLoader:
    """Batches of the images in the subfolders of a folder, decoded and resized at each pass."""
    prepare = transforms.Compose(
        [
            transforms.Resize((image_size, image_size)),
            transforms.ToTensor(),
            transforms.CenterCrop(image_size),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    return DataLoader(ImageFolder(str(folder), prepare), batch_size=BATCH, shuffle=True)


def epoch(networks: Networks, loader: DataLoader) -> float:
    """One pass over all images; returns the mean loss of the batches."""
    networks.train()
    return float(np.mean([training_step(networks, images) for images, _ in loader]))


def anomaly_map(f_e: Sequence[Tensor], f_d: Sequence[Tensor], size: int) -> np.ndarray:
    """The smoothed map (H, W), in float64, of the first image of a batch."""
    combined = np.zeros((size, size))
    for e, d in zip(f_e, f_d, strict=True):
        distance = 1 - F.cosine_similarity(d, e)
        resized = F.interpolate(
            distance.unsqueeze(1), size=size, mode="bilinear", align_corners=True
        )
        combined += resized[0, 0].cpu().detach().numpy()
    return gaussian_filter(combined, sigma=SIGMA)


@dataclass
class Evaluation:
    """Scores and truth of the images that were added, pixel by pixel and image by image."""

    pixel_truth: list = field(default_factory=list)
    pixel_scores: list = field(default_factory=list)
    image_truth: list = field(default_factory=list)
    image_scores: list = field(default_factory=list)
    pros: list = field(default_factory=list)  # of the images of defective kinds

    def add(self, amap: np.ndarray, mask: np.ndarray, defective: bool) -> None:
        """Add an image. amap, mask: (H, W), the mask from 0 to 1. defective: by its folder."""
        truth = (mask > DEFECT).astype(int)
        if defective:
            self.pros.append(pro(truth[None], amap[None]))
        self.pixel_truth.extend(truth.ravel())
        self.pixel_scores.extend(amap.ravel())
        self.image_truth.append(truth.max())
        self.image_scores.append(amap.max())

    def metrics(self) -> dict[str, float]:
        """The three metrics, as fractions; they are not rounded to three decimals here."""
        return {
            "pixel_auroc": roc_auc_score(self.pixel_truth, self.pixel_scores),
            "image_auroc": roc_auc_score(self.image_truth, self.image_scores),
            "pixel_aupro_official": float(np.mean(self.pros)),
        }


def evaluate(
    networks: Networks, images: Iterable[tuple[Tensor, np.ndarray, bool]]
) -> dict[str, float]:
    """The three metrics of normalised images (1, 3, H, W), each with its mask and kind."""
    networks.train(False)
    found = Evaluation()
    with torch.no_grad():
        for image, mask, defective in images:
            f_e = networks.teacher(image)
            f_d = networks.student(networks.bottleneck(f_e))
            found.add(anomaly_map(f_e, f_d, image.shape[-1]), mask, defective)
    return found.metrics()


def pro(masks: np.ndarray, maps: np.ndarray) -> float:
    """The official PRO of maps (N, H, W) and masks of zeros and ones; N is 1 in `evaluate`."""
    binary = np.zeros_like(maps, dtype=bool)
    overlaps, rates = [], []
    low, high = maps.min(), maps.max()
    for threshold in np.arange(low, high, (high - low) / THRESHOLDS):
        binary[maps <= threshold], binary[maps > threshold] = False, True
        found = []
        for predicted, mask in zip(binary, masks, strict=True):
            for region in regionprops(connected_components(mask)):
                rows, columns = region.coords[:, 0], region.coords[:, 1]
                found.append(predicted[rows, columns].sum() / region.area)
        normal = 1 - masks
        overlaps.append(mean(found))
        rates.append(np.logical_and(normal, binary).sum() / normal.sum())
    overlaps, rates = np.array(overlaps), np.array(rates)
    kept = rates < LIMIT
    return auc(rates[kept] / rates[kept].max(), overlaps[kept])

"""Networks and features to measure speed on: random weights and images, which time as real ones."""

from functools import cache

import torch

import rdrepro as rd
from rdrepro.backbones import RANDOM, base_width
from rdrepro.distillation import DistillationDetector
from rdrepro.features import TeacherFeatures
from rdrepro.models.weights import Weights
from rdrepro.precision import layout

from .settings import Settings

BATCH = 16  # Sec. 4.1
IMAGES = 64  # from which batches are drawn


def configuration(settings: Settings, backbone: str, **changes: object) -> rd.RunConfig:
    """The paper's protocol with a backbone, the trial's image size and other changes."""
    return rd.RunConfig(
        backbone=backbone,
        weights=RANDOM,
        oce_width=base_width(backbone),
        image_size=settings.image_size,
        batch_size=2 if settings.small else BATCH,
        **changes,
    )


@cache
def network(settings: Settings, backbone: str) -> DistillationDetector:
    """Teacher, bottleneck and student with random weights, on the CPU."""
    return rd.build_model(configuration(settings, backbone), Weights(RANDOM))


def kept_features(
    settings: Settings, model: DistillationDetector, config: rd.RunConfig
) -> TeacherFeatures:
    """The teacher's features of IMAGES random images, kept on the device."""
    number = 4 if settings.small else IMAGES
    generator = torch.Generator().manual_seed(0)
    shape = (number, 3, config.image_size, config.image_size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    model.to(settings.device, memory_format=layout(config)).train()
    return TeacherFeatures(model.teacher, images, config, torch.device(settings.device))


def batches(features: TeacherFeatures, config: rd.RunConfig) -> list[torch.Tensor]:
    """Whole batches of numbers of images, in the place where a step reads them."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(features), generator=generator).to(features.place)
    return list(order.split(config.batch_size))

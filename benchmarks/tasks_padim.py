"""PaDiM's memory bank and its maps: rdrepro's side of a comparison with anomalib."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.tasks_networks import random_images
from benchmarks.worker import Task
from rdrepro.baselines.padim import PaDiM
from rdrepro.config import RunConfig
from rdrepro.models.weights import Weights
from rdrepro.presets import PADIM_FEW_CHANNELS


def padim_fit(backbone: str, image_size: int, batch: int, images: int, precision: str) -> Task:
    """The memory bank of so many images."""
    model = build(backbone, image_size, precision)
    batches = drawn(images, image_size).split(batch)
    return Task(lambda: fit(model, batches))


def padim_inference(
    backbone: str, image_size: int, batch: int, images: int, precision: str
) -> Task:
    """Maps and scores of a batch, with a memory bank of so many images."""
    model = build(backbone, image_size, precision)
    fit(model, drawn(images, image_size).split(batch))
    tested = drawn(batch, image_size)

    def run() -> None:
        with torch.inference_mode():
            model(tested)

    return Task(run)


def build(backbone: str, image_size: int, precision: str) -> PaDiM:
    """PaDiM with the channels of its paper for a small ResNet, which anomalib keeps too."""
    config = RunConfig(
        method="padim",
        backbone=backbone,
        image_size=image_size,
        precision=precision,
        padim_channels=PADIM_FEW_CHANNELS,
        weights="random",
    )
    model = PaDiM.build(config, Weights("random"))
    return model.to(memory_format=torch.channels_last).eval()


def fit(model: PaDiM, batches: Sequence[Tensor]) -> None:
    """Fill the memory bank anew."""
    with torch.inference_mode():
        model.remember(batches)


def drawn(images: int, image_size: int) -> Tensor:
    """Images (N, 3, H, W) of noise in [0, 1]."""
    return random_images(images, image_size).float() / 255

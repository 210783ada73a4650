"""Epochs of rdrepro's training, as the benchmark times them."""

import torch

from benchmarks.tasks_networks import CONTEXTS, configuration
from rdrepro.config import RunConfig
from rdrepro.detector import Detector
from rdrepro.methods import build_model
from rdrepro.models.weights import Weights
from rdrepro.precision import layout
from rdrepro.stepping import Stepper

CPU = torch.device("cpu")


def model_in_training(
    backbone: str, image_size: int, images: int, precision: str
) -> tuple[Detector, RunConfig]:
    """A model with random weights that trains on so many images from now on."""
    config = configuration(backbone, image_size, precision)
    model = build_model(config, Weights("random")).to(memory_format=layout(config)).train()
    CONTEXTS.enter_context(model.while_training(images, config))
    return model, config


def epoch(stepper: Stepper) -> float:
    """One pass over all features in random order; returns the mean loss."""
    images, batch = len(stepper.features), stepper.config.batch_size
    parts = torch.randperm(images).split(batch)
    return sum(stepper(part) * len(part) for part in parts).item() / images

"""A small model and a few images, to take gradient steps on."""

from dataclasses import replace

import torch

import rdrepro as rd
from rdrepro.features import TeacherFeatures
from rdrepro.models.weights import Weights
from rdrepro.stepping import Stepper

CPU = torch.device("cpu")
CONFIG = rd.RunConfig(backbone="resnet18", weights="random", image_size=64, oce_width=64)


def images():
    """Six images as bytes (6, 3, 64, 64)."""
    drawn = torch.arange(6 * 3 * 64 * 64, dtype=torch.int64).mul(37).remainder(251)
    return drawn.reshape(6, 3, 64, 64).to(torch.uint8)


def model():
    """A model in training mode, always with the same weights."""
    torch.manual_seed(1)
    return rd.build_model(CONFIG, Weights("random")).train()


def stepper(**settings):
    """Gradient steps on these images, with changed settings."""
    trained, config = model(), replace(CONFIG, **settings)
    return Stepper(trained, TeacherFeatures(trained.teacher, images(), config, CPU), config)

"""Small detectors with a memory bank, and the images that fill it."""

import pytest
import torch
import torch.nn.functional as F

import rdrepro as rd
from rdrepro.models.weights import Weights

SIZE = 64


@pytest.fixture(scope="session")
def images():
    """Eight training and two test images."""
    return torch.rand(10, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def build():
    """A function from a method and changed settings to a detector with an empty memory bank."""

    def make(method, **changes):
        settings = {"backbone": "resnet18", "weights": "random", "image_size": SIZE}
        settings |= {"padim_channels": 20, "neighbours": 3} | changes
        return rd.build_model(rd.RunConfig(**settings, method=method), Weights("random"))

    return make


@pytest.fixture(scope="session")
def filled(build, images):
    """A function from a method and changed settings to a detector with a full memory bank."""

    def make(method, **changes):
        detector = build(method, **changes)
        detector.remember(images[:8].split(3))
        return detector

    return make


@pytest.fixture(scope="session")
def concatenated():
    """A function from maps to all channels at each location of the finest, (B, P, C).

    Coarser cells are repeated.
    """

    def concatenate(features):
        size = features[0].shape[-2:]
        whole = torch.cat([F.interpolate(f, size, mode="nearest") for f in features], dim=1)
        return whole.flatten(2).transpose(1, 2)

    return concatenate

"""The formula of the golden values, and the networks and maps that it gives (golden/README.md)."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from rdrepro.models.reverse_distillation import (
    build_trainable,
    rename_bottleneck,
    rename_decoder,
    residual_design,
)
from rdrepro.models.weights import load_strictly

SIZE = 64
RELATIVE, ABSOLUTE = 1e-7, 1e-9


def fill(shape, k):
    i = np.arange(math.prod(shape), dtype=np.float64)
    return np.sin(0.7 * i + 1.3 * k + 0.11 * (i % 7)).reshape(shape)


def parameter(name, shape, k):
    values = fill(shape, k)
    if len(shape) == 4:
        values *= math.sqrt(2 / math.prod(shape[1:]))
    elif name.endswith("running_var"):
        values = 1 + 0.5 * np.abs(values)
    elif name.endswith(("running_mean", "bias")):
        values *= 0.1
    else:
        values = 1 + 0.1 * values
    return torch.from_numpy(values)


def state(tensors):
    return {name: parameter(name, shape, k) for name, shape, k in tensors}


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=RELATIVE, atol=ABSOLUTE)


def check_summary(tensor, expected):
    values = tensor.detach().numpy()
    assert list(values.shape) == expected["shape"]
    close([values.mean(), values.std()], [expected["mean"], expected["std"]])
    close(values.ravel()[expected["index"]], expected["value"])


def golden_case(name, golden):
    """Bottleneck, student and teacher features of one network."""
    expected = golden["networks"][name]
    shapes = {tensor: shape for tensor, shape, _ in expected["bottleneck_tensors"]}
    channels = shapes["conv1.weight"][1]  # of the teacher's first map
    with torch.device("meta"):  # no initialisation, since every entry is loaded
        parts = build_trainable(
            name, tuple(channels * 2**j for j in range(3)), residual_design(name)[2]
        )
    bottleneck, student = (part.double().to_empty(device="cpu") for part in parts)
    load_strictly(bottleneck, rename_bottleneck(state(expected["bottleneck_tensors"])), name)
    load_strictly(student, rename_decoder(state(expected["decoder_tensors"])), name)
    features = [
        torch.from_numpy(
            np.abs(fill((2, channels * 2**j, 16 // 2**j, 16 // 2**j), 900 + golden["k"] + j))
        )
        for j in range(3)
    ]
    return bottleneck, student, features


def pro_case(k):
    """Maps and masks (6, H, W); the last two masks are empty."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    maps, masks = [], []
    for j in range(6):
        mask = np.zeros((SIZE, SIZE), bool)
        for q in range(j % 3 + 1) if j < 4 else ():
            radius = 3 + (j + 2 * q) % 5
            row, column = 8 + (13 * j + 17 * q + k) % 46, 8 + (29 * j + 11 * q + 2 * k) % 46
            mask |= (y - row) ** 2 + (x - column) ** 2 <= radius**2
        wave = 0.2 * np.sin(0.31 * x + 0.2 * j + k) + 0.15 * np.cos(0.23 * y - 0.4 * j)
        maps.append(0.5 + wave + (0.9 + 0.1 * j) * gaussian_filter(mask.astype(float), 2.5))
        masks.append(mask)
    return np.stack(maps), np.stack(masks)

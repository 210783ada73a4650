"""The networks, losses, maps, scores and PRO equal the official code's, number by number.

tests/golden/README.md says how parameters and inputs are made by formula.
"""

import copy
import json
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label

from rdrepro.losses import kd_loss
from rdrepro.metrics import aupro, aupro_official, auroc, average_precision
from rdrepro.models.reverse_distillation import (
    build_trainable,
    rename_bottleneck,
    rename_decoder,
    residual_design,
)
from rdrepro.models.weights import load_strictly
from rdrepro.scoring import anomaly_map, image_score

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


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        networks = json.loads(metafunc.config.getoption("--golden").read_text())["networks"]
        metafunc.parametrize("case", networks, indirect=True, scope="module")


@pytest.fixture(scope="module")
def golden(request):
    return json.loads(request.config.getoption("--golden").read_text())


@pytest.fixture(scope="module")
def case(request, golden):
    """Name, golden numbers, bottleneck, student and teacher features of one network."""
    name, expected = request.param, golden["networks"][request.param]
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
    return name, expected, bottleneck, student, features


def test_eval_mode(case):
    _, expected, bottleneck, student, f_e = case
    with torch.no_grad():
        phi = bottleneck.eval()(f_e)
        f_d = student.eval()(phi)
    check_summary(phi, expected["phi"])
    for actual, layer in zip(f_d, expected["student"], strict=True):
        check_summary(actual, layer)
    close(kd_loss(f_e, f_d, "flatten"), expected["loss_flatten_eval"])
    close(kd_loss(f_e, f_d, "pointwise"), expected["loss_pointwise_eval"])
    maps = anomaly_map(f_e, f_d, SIZE)
    check_summary(maps, expected["anomaly_map"])
    close(image_score(maps, "max"), expected["image_score_max"])
    close(image_score(maps, "sum"), expected["image_score_sum"])


def test_train_mode_loss_and_gradients(case):
    name, expected, *parts, f_e = case
    bottleneck, student = (copy.deepcopy(part).train() for part in parts)
    loss = kd_loss(f_e, student(bottleneck(f_e)), "flatten")
    close(loss.detach(), expected["loss_flatten_train"])
    if name != "resnet18":  # the deeper networks' gradients are badly conditioned at 64 pixels
        return
    loss.backward()

    def official(prefix):
        return {
            k.removeprefix(prefix): v
            for k, v in expected["grad_norm"].items()
            if k.startswith(prefix)
        }

    parameters = [*bottleneck.parameters(), *student.parameters()]
    close(math.hypot(*(p.grad.norm() for p in parameters)), expected["grad_norm_total"])
    for key, norm in rename_bottleneck(official("bn.")).items():
        close(bottleneck.get_parameter(key).grad.norm(), norm)
    for key, norm in rename_decoder(official("decoder.")).items():
        close(student.get_parameter(key).grad.norm(), norm)


def test_layers_that_the_official_forward_never_uses_are_skipped(case):
    _, expected, bottleneck, _, _ = case
    official = {name for name, _, _ in expected["bottleneck_tensors"]}
    assert set(expected["no_gradient"]) <= official
    assert all(n.split(".")[0] in ("mff", "oce") for n, _ in bottleneck.named_parameters())


def pro_case(k):
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


def test_pro(golden):
    maps, masks = pro_case(golden["k"])
    expected = golden["pro"]
    per_image = [aupro_official(maps[j : j + 1], masks[j : j + 1]) for j in range(4)]
    close(per_image, expected["official_per_image"])
    close(aupro_official(maps, masks), expected["official_mean"])
    close(aupro(maps, masks), expected["exact"])
    assert sum(label(m, np.ones((3, 3)))[1] for m in masks) == expected["region_count"]
    close(auroc(maps, masks), expected["pixel_auroc"])
    close(average_precision(maps, masks), expected["pixel_ap"])

"""The networks, losses, maps, scores and PRO equal the official code's, number by number.

tests/golden_values.py makes parameters and inputs by formula.
"""

import copy
import json
import math

import numpy as np
import pytest
import torch
from golden_values import SIZE, check_summary, close, golden_case, pro_case
from scipy.ndimage import label

from rdrepro.losses import kd_loss
from rdrepro.metrics import aupro, aupro_official, auroc, average_precision
from rdrepro.models.reverse_distillation import rename_bottleneck, rename_decoder
from rdrepro.scoring import anomaly_map, image_score


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
    return name, expected, *golden_case(name, golden)


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

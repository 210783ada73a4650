"""Promises of speed beside those of `make bench`, as ratios in one run: `make bench-tests`."""

import subprocess
import sys
import time

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

import rdrepro as rd
from rdrepro.kernels import fast_kernels
from rdrepro.models.weights import Weights
from rdrepro.runs.device import fast_precision
from rdrepro.scoring import gaussian_smooth

REPEATS = 5


def fastest(function):
    """Return the shortest of several times, which noise from elsewhere lengthens least."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def test_smoothing_a_batch_is_faster_than_scipy_image_by_image():
    maps = torch.rand(16, 256, 256)
    ours = fastest(lambda: gaussian_smooth(maps, 4))
    scipys = fastest(lambda: [gaussian_filter(m, 4) for m in maps.numpy()])
    assert ours < scipys, ours / scipys


def seconds_of(code):
    """The wall-clock seconds of a fresh interpreter."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def test_a_first_model_costs_little_more_than_importing_torch():
    build = """import rdrepro as rd
from rdrepro.models.weights import Weights
rd.build_model(rd.RunConfig(backbone="resnet18", oce_width=64), Weights("random"))"""
    pairs = [(seconds_of(build), seconds_of("import torch, torchvision")) for _ in range(REPEATS)]
    ratio = float(np.median([ours / theirs for ours, theirs in pairs]))
    assert ratio <= 1.15, pairs


def test_a_step_by_matrix_products_is_faster_on_small_images():
    size, most = 32, 0.75
    given = {"backbone": "resnet18", "weights": "random", "oce_width": 64, "image_size": size}
    config = rd.RunConfig(**given, precision=fast_precision(torch.device("cpu")))
    seconds = {}
    for code_cells in (1, 9):  # with 9 the convolutions stay as they are
        model = rd.build_model(config, Weights("random")).train()
        f_e = model.teacher(torch.rand(16, 3, size, size))
        with fast_kernels(model.bottleneck, code_cells):
            optimiser = torch.optim.Adam(model.trainable().parameters(), fused=True)

            def step():
                optimiser.zero_grad()  # noqa: B023
                # A list of one batch does as features.
                model.batch_loss([f_e], 0, config).backward()  # noqa: B023
                optimiser.step()  # noqa: B023

            seconds[code_cells] = fastest(step)
    ratio = seconds[1] / seconds[9]
    assert ratio <= most, ratio

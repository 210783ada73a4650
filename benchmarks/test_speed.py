"""Speed, as ratios within one run: `make bench`."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import rdrepro as rd
from rdrepro.features import TeacherFeatures
from rdrepro.kernels import fast_kernels
from rdrepro.metrics import aupro, aupro_official
from rdrepro.models.weights import Weights
from rdrepro.runs.device import fast_precision
from rdrepro.scoring import gaussian_smooth
from rdrepro.training import _adam, _step

REPEATS = 5


def fastest(function):
    """Return the shortest of several times, which noise from elsewhere lengthens least."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.fixture(scope="module")
def maps_and_masks():
    """80 maps of 256 x 256, a quarter of them normal, as a category of MVTec AD has them."""
    rng = np.random.default_rng(0)
    masks = gaussian_filter(rng.random((80, 256, 256)), (0, 12, 12)) > 0.515
    masks[:20] = False
    maps = (rng.random(masks.shape) + masks).astype(np.float32)
    return maps, masks


def test_exact_aupro_takes_at_most_three_sorts(maps_and_masks, record_property):
    maps, masks = maps_and_masks
    ratio = fastest(lambda: aupro(maps, masks)) / fastest(lambda: np.argsort(maps.ravel()))
    record_property("ratio", ratio)
    assert ratio <= 3, ratio


def test_official_aupro_takes_at_most_ten_sorts(maps_and_masks):
    maps, masks = maps_and_masks
    ratio = fastest(lambda: aupro_official(maps, masks)) / fastest(lambda: np.argsort(maps.ravel()))
    assert ratio <= 10, ratio


def test_smoothing_a_batch_is_faster_than_scipy_image_by_image():
    maps = torch.rand(16, 256, 256)
    ours = fastest(lambda: gaussian_smooth(maps, 4))
    scipys = fastest(lambda: [gaussian_filter(m, 4) for m in maps.numpy()])
    assert ours < scipys, ours / scipys


def test_kept_features_are_faster_than_the_teacher(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path))
    run = rd.resolve(preset="demo", backbone="resnet18", weights="random", device="cpu")
    teacher = rd.build_model(run.config, run.weights).teacher
    data = run.dataset("train")
    indices = torch.arange(16)
    kept = TeacherFeatures(teacher, data, run.config, run.device)
    assert fastest(lambda: kept[indices]) < 0.5 * fastest(lambda: kept._compute(indices))


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


@pytest.mark.parametrize(("size", "most"), [(32, 0.75), (64, 1.1)])
def test_a_step_by_matrix_products_is_faster_on_small_images(size, most):
    given = {"backbone": "resnet18", "weights": "random", "oce_width": 64, "image_size": size}
    config = rd.RunConfig(**given, precision=fast_precision(torch.device("cpu")))
    seconds = {}
    for code_cells in (size // 32, 9):  # with 9 the convolutions stay as they are
        model = rd.build_model(config, Weights("random")).train()
        f_e = model.teacher(torch.rand(16, 3, size, size))
        with fast_kernels(model.bottleneck, code_cells):
            optimiser = _adam(model, config)
            # A list of one batch does as features.
            seconds[code_cells] = fastest(lambda: _step(model, [f_e], 0, optimiser, config))  # noqa: B023
    ratio = seconds[size // 32] / seconds[9]
    assert ratio <= most, ratio

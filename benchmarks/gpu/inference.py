"""How fast images become maps and scores, and maps become metrics."""

import time

import numpy as np
import torch

from rdrepro.evaluation import Predictions, evaluate, score_images
from rdrepro.precision import convolution_kernels, layout

from .flops import testing_gflop
from .machine import PRECISIONS, share_of_limit
from .networks import configuration, network
from .settings import Settings
from .timing import forget_peak, peak_mib, quartiles

BATCH = 64
MAPS, SIZE = 80, 256  # about those of a category of MVTec AD
REPEATS = 3


def run(settings: Settings) -> None:
    """Record images per second, from images on the device to maps and scores on the device."""
    for backbone in settings.networks:
        gflop = testing_gflop(network(settings, backbone), configuration(settings, backbone))
        for precision in PRECISIONS:
            _network(settings, backbone, precision, gflop)
    metrics(settings)


def _network(settings: Settings, backbone: str, precision: str, gflop: float) -> None:
    config = configuration(settings, backbone, precision=precision)
    batch, calls = (2, 1) if settings.small else (BATCH, 5)
    forget_peak(settings.device)
    # In the layout in which training leaves a model.
    model = network(settings, backbone).to(settings.device, memory_format=layout(config)).eval()
    images = torch.rand(batch, 3, config.image_size, config.image_size, device=settings.device)
    with convolution_kernels(config), torch.inference_mode():
        q1, median, q3 = quartiles(
            lambda: score_images(model, images, config), settings.device, calls, warm_up=calls
        )
    tflops = gflop * batch / median / 1e3
    line = {
        "backbone": backbone,
        "precision": precision,
        "deterministic": config.deterministic,
        "batch": batch,
        "image size": config.image_size,
        "images/s": batch / median,
        "quartiles": [batch / q3, batch / q1],
        "TFLOP/s": tflops,
        "share of the matrix product's rate": share_of_limit(settings, tflops, precision),
        "peak MiB": peak_mib(settings.device),
    }
    settings.record.add("inference", line)


def metrics(settings: Settings) -> None:
    """Record the seconds that all metrics of one test set take, on the device and on the CPU."""
    made = made_up_predictions(*((4, 64) if settings.small else (MAPS, SIZE)))
    for device in dict.fromkeys((settings.device, "cpu")):
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            evaluate(made, device)
            seconds.append(time.perf_counter() - started)
        line = {"device": device, "maps": len(made.maps), "image size": made.maps.shape[-1]}
        settings.record.add("metrics", line | {"seconds": float(np.median(seconds))})


def made_up_predictions(number: int, size: int) -> Predictions:
    """Random maps that are higher in one square of three images out of four."""
    generator = np.random.default_rng(0)
    masks = np.zeros((number, size, size), dtype=bool)
    labels = np.arange(number) % 4 > 0
    masks[labels, size // 4 : size // 2, size // 4 : size // 2] = True
    maps = (generator.random(masks.shape) + masks).astype(np.float32)
    names = [f"{n:03}" for n in range(number)]
    scores = maps.max(axis=(1, 2))
    return Predictions(maps, scores, masks, labels.astype(int), names, names, "made up", 0.0)

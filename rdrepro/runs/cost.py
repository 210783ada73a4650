"""The time and memory that testing one image takes (Table 3; D27)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from rdrepro.config import RunConfig
from rdrepro.data.splits import ImageData
from rdrepro.detector import Detector
from rdrepro.precision import convolution_kernels
from rdrepro.progress import progress
from rdrepro.runs.schema import MIB

WARM_UP, TIMED = 5, 30  # images; kernels are chosen during the first ones, which are slower
SAMPLING = 0.002  # seconds between readings of resident memory
SECONDS_DIGITS, MIB_DIGITS = 6, 3


def measure_cost(
    model: Detector, data: ImageData, config: RunConfig, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Measure the cost of testing for a result row: seconds for single images, and MiB.

    schema.json describes the entries. Seconds are quartiles over TIMED images, of each stage and of
    all stages together; the first WARM_UP images are not counted. Image decoding is left out. The
    peak is the resident memory of the whole process, including remains of earlier work. On a GPU it
    is the memory that torch held.
    """
    device = torch.device(device)
    model.to(device).eval()
    indices = list(islice(cycle(range(len(data))), WARM_UP + TIMED))
    images = [data[i]["image"][None].to(device) for i in indices]  # (1, 3, H, W) each
    with convolution_kernels(config), torch.inference_mode():
        times = [_timed(model, image, config) for image in progress(images, "timing", leave=False)]
        with peak_memory(device) as peak:  # a separate pass, since reading memory takes time
            for image in images[:WARM_UP]:
                _timed(model, image, config)
    seconds = {name: [t[name] for t in times[WARM_UP:]] for name in times[0]}
    seconds["image"] = np.sum(list(seconds.values()), axis=0)
    sizes = {f"{k}_mib": round(n / MIB, MIB_DIGITS) for k, n in model.sizes(config).items()}
    quartiles = {f"{name}_seconds": _quartiles(values) for name, values in seconds.items()}
    return {**quartiles, "timed_images": TIMED, **sizes, "peak_mib": peak()}


def _timed(model: Detector, image: Tensor, config: RunConfig) -> dict[str, float]:
    """The seconds that each stage takes for one image (1, 3, H, W)."""
    result, seconds = image, {}
    for name, stage in model.stages(config, image.shape[-2:]).items():
        started = time.perf_counter()
        result = stage(result)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)
        seconds[name] = time.perf_counter() - started
    return seconds


def _quartiles(values: list[float]) -> list[float]:
    return [round(float(q), SECONDS_DIGITS) for q in np.quantile(values, (0.25, 0.5, 0.75))]


@contextmanager
def peak_memory(device: torch.device) -> Iterator:
    """The context whose peak memory is measured.

    It yields a function, to be called after the context has ended, that returns the peak in MiB.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: round(torch.cuda.max_memory_allocated(device) / MIB, MIB_DIGITS)
        return
    process, ended = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def watch() -> None:
        while not ended.wait(SAMPLING):
            seen[0] = max(seen[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: round(seen[0] / MIB, MIB_DIGITS)
    finally:
        ended.set()
        watcher.join()

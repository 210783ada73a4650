"""Seconds of repeated work on a device, its memory, and its rate of matrix products."""

import time
from collections.abc import Callable

import numpy as np
import torch

BLOCKS = 5  # groups of calls that are timed; each waits for the device once, at its end
MIB = 2**20


def wait(device: str) -> None:
    """Wait until a GPU has finished; a CPU computes nothing in the background."""
    if device == "cuda":
        torch.cuda.synchronize()


def quartiles(call: Callable[[], object], device: str, calls: int, warm_up: int) -> list[float]:
    """The seconds of one call, as quartiles over BLOCKS blocks of so many calls."""
    for _ in range(warm_up):
        call()
    seconds = []
    for _ in range(BLOCKS):
        wait(device)
        started = time.perf_counter()
        for _ in range(calls):
            call()
        wait(device)
        seconds.append((time.perf_counter() - started) / calls)
    return [float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75))]


def matrix_tflops(precision: str, device: str, size: int) -> float:
    """TFLOP/s of a product of two square matrices of random numbers, size x size."""
    dtype = getattr(torch, precision)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    _, median, _ = quartiles(lambda: torch.mm(a, b, out=out), device, calls=5, warm_up=3)
    return 2 * size**3 / median / 1e12


def forget_peak(device: str) -> None:
    """Free cached memory and start to watch the peak anew."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_mib(device: str) -> float | None:
    """The most memory that torch has held on a GPU since `forget_peak`, in MiB; None on a CPU."""
    return torch.cuda.max_memory_allocated() / MIB if device == "cuda" else None

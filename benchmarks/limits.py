"""What the machine can do at most: matrix products and a sort. Also the FLOPs of a task."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.worker import Task

SIDE = 4096  # of the square matrices: large enough that more is not faster


def matrix_product(precision: str, side: int = SIDE) -> Task:
    """The product of two square matrices on all cores."""
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(side, side, generator=generator).to(getattr(torch, precision))
    b, out = a.T.contiguous(), torch.empty_like(a)

    def run() -> None:
        torch.mm(a, b, out=out)

    return Task(run, lambda: {"gflop": 2 * side**3 / 1e9})


def argsort(pixels: int) -> Task:
    """`np.argsort` of as many random numbers as there are pixels."""
    values = np.random.default_rng(0).random(pixels, np.float32)

    def run() -> None:
        np.argsort(values)

    return Task(run)


def count_gflop(run: Callable[[], Any]) -> float:
    """The GFLOP of the matrix products and convolutions of a call, forwards and backwards.

    A multiplication and an addition count as two. Everything else, such as batch norm or Adam, is
    not counted, whatever the precision.
    """
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9

"""Kernels without what only ever meets padding, for training on images of 32 pixels."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdrepro.models.bottleneck import OneClassBottleneck


class OneCellConv(nn.Module):
    """A 3x3 convolution onto a single cell, with the kernel's cells that meet the input.

    (B, C, s, s) -> (B, C', 1, 1), s being its stride: one cell of nine at stride 1, four at stride
    2. The others meet padding only, so their gradient is zero and Adam never moves them.
    """

    def __init__(self, whole: nn.Conv2d):
        super().__init__()
        self.weight = nn.Parameter(reached(whole).detach().clone())  # (C', C, s, s)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight.flatten(1))[..., None, None]


def reached(conv: nn.Conv2d) -> Tensor:
    """Return the view (C', C, s, s) of a kernel that meets an input of s x s cells."""
    cells = slice(conv.padding[0], conv.padding[0] + conv.stride[0])
    return conv.weight[..., cells, cells]


@contextmanager
def reached_kernels(bottleneck: nn.Module, code_cells: int) -> Iterator[None]:
    """Within it, the OCE holds only kernel cells that meet its input; afterwards all, trained.

    What is computed and learned is the same, in about a third of the time. code_cells: of phi, per
    side; nothing changes where there are several.
    """
    swapped = []
    if code_cells == 1 and isinstance(bottleneck, OneClassBottleneck):
        for block in bottleneck.oce:
            for name, conv in list(block.named_children()):
                if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and conv.groups == 1:
                    swapped.append((block, name, conv, OneCellConv(conv)))
    for block, name, _, part in swapped:
        setattr(block, name, part)
    try:
        yield
    finally:
        for block, name, conv, part in swapped:
            with torch.no_grad():
                reached(conv).copy_(part.weight)
            setattr(block, name, conv)

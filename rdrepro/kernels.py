"""The OCE as matrix products, to train on images so small that phi has few cells.

A CPU's convolutions are made for large maps, and slow on a code of one or two cells a side; `make
bench` measures the gain. What is computed and learned is the same, rounding aside.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdrepro.models.bottleneck import OneClassBottleneck

MOST_CELLS = 2  # per side; from three on the usual convolutions are as fast


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

    def write_back(self, whole: nn.Conv2d) -> None:
        """Put what was learned into the whole kernel."""
        with torch.no_grad():
            reached(whole).copy_(self.weight)


class FewCellsConv(nn.Module):
    """A 3x3 convolution as one product of its own kernel with the input's unfolded cells."""

    def __init__(self, whole: nn.Conv2d):
        super().__init__()
        self.weight, self.stride = whole.weight, whole.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        columns = F.unfold(x, 3, padding=1, stride=self.stride)  # (B, 9 C, cells)
        side = x.shape[-1] // self.stride
        return (self.weight.flatten(1) @ columns).unflatten(2, (side, side))

    def write_back(self, whole: nn.Conv2d) -> None:
        """Do nothing: the kernel is shared."""


def reached(conv: nn.Conv2d) -> Tensor:
    """The view (C', C, s, s) of a kernel that meets an input of s x s cells."""
    cells = slice(conv.padding[0], conv.padding[0] + conv.stride[0])
    return conv.weight[..., cells, cells]


@contextmanager
def fast_kernels(bottleneck: nn.Module, code_cells: int) -> Iterator[None]:
    """Within it the OCE trains by matrix products, afterwards by its own, trained, convolutions.

    code_cells: of phi, per side; nothing changes where they are more than MOST_CELLS.
    """
    swapped = []
    if code_cells <= MOST_CELLS and isinstance(bottleneck, OneClassBottleneck):
        kind = OneCellConv if code_cells == 1 else FewCellsConv
        for block in bottleneck.oce:
            for name, conv in list(block.named_children()):
                if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and conv.groups == 1:
                    swapped.append((block, name, conv, kind(conv)))
    for block, name, _, part in swapped:
        setattr(block, name, part)
    try:
        yield
    finally:
        for block, name, conv, part in swapped:
            part.write_back(conv)
            setattr(block, name, conv)

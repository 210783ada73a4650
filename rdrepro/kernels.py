"""Matrix products that replace the OCE's convolutions where phi is a single cell, as at 32 px.

On a CPU, convolutions are made for large maps. With products in their place, a step at 32 px takes
about half as long (`make bench PARTS=small`). Results are the same up to rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdrepro.models.bottleneck import OneClassBottleneck


class OneCellConv(nn.Module):
    """A 3x3 convolution onto a single cell, reduced to the cells of its kernel that meet the input.

    (B, C, s, s) -> (B, C', 1, 1), where s is the stride. At stride 1 one of the nine cells meets
    the input, at stride 2 four do. The others meet only padding: their gradient is zero, and no
    optimiser moves them.
    """

    def __init__(self, whole: nn.Conv2d):
        super().__init__()
        self.weight = nn.Parameter(reached(whole).detach().clone())  # (C', C, s, s)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight.flatten(1))[..., None, None]

    def write_back(self, whole: nn.Conv2d) -> None:
        """Write what was learned into the kernel of the whole convolution."""
        with torch.no_grad():
            reached(whole).copy_(self.weight)


def reached(conv: nn.Conv2d) -> Tensor:
    """The part of a kernel that meets an input of s x s cells (s: stride), a view (C', C, s, s)."""
    cells = slice(conv.padding[0], conv.padding[0] + conv.stride[0])
    return conv.weight[..., cells, cells]


@contextmanager
def fast_kernels(bottleneck: nn.Module, code_cells: int) -> Iterator[None]:
    """The context in which the OCE trains by matrix products.

    On leaving it, the OCE has its convolutions back, with what was learned. code_cells: the cells
    of phi per side; nothing changes where there is more than one.
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
            part.write_back(conv)
            setattr(block, name, conv)

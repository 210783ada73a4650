"""The average of a model's weights over the last gradient steps (Izmailov et al. 2018)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The mean of the trained weights, and of batch norm's statistics, over the steps so far.

    modules: those whose weights are averaged. Whole numbers, which count batches, are not.
    """

    def __init__(self, modules: nn.Module):
        state = modules.state_dict(keep_vars=True)
        self.current = [t.detach() for t in state.values() if t.is_floating_point()]
        self.mean = [torch.zeros_like(t) for t in self.current]
        self.count = 0

    def update(self) -> None:
        """Include the weights as they are now."""
        self.count += 1
        torch._foreach_lerp_(self.mean, self.current, 1 / self.count)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the model has the averaged weights, if there are any."""
        if not self.count:
            yield
            return
        own = [t.clone() for t in self.current]
        self._set(self.mean)
        try:
            yield
        finally:
            self._set(own)

    def apply(self) -> None:
        """Give the model the averaged weights for good."""
        self._set(self.mean)

    def _set(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self.current, values)  # in place, since graphs know their addresses


def is_averaged(step: int, steps: int, share: float) -> bool:
    """Whether the weights after a step are among those that are averaged.

    step: its number, from 0 to steps - 1. share: of the steps, the last ones; at least the very
    last step counts.
    """
    return step >= min(steps - 1, round((1 - share) * steps))

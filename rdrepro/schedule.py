"""The learning rate of each gradient step."""

import math

from rdrepro.config import RunConfig


def learning_rate(step: int, steps: int, config: RunConfig) -> float:
    """The learning rate of a step, in (0, lr].

    step: its number, from 0 to steps - 1. In the first of the steps, a share of `warmup`, the rate
    rises linearly. Of the schedules, "constant" then keeps lr, and "linear" and "cosine" (half a
    period; Loshchilov & Hutter 2017) fall towards zero, which they would reach one step after the
    last.
    """
    rising = round(config.warmup * steps)
    if step < rising:
        return config.lr * (step + 1) / (rising + 1)
    gone = (step - rising) / (steps - rising)  # in [0, 1)
    shape = {"constant": 1.0, "linear": 1 - gone, "cosine": (1 + math.cos(math.pi * gone)) / 2}
    return config.lr * shape[config.lr_schedule]


def varies(config: RunConfig) -> bool:
    """Whether the learning rate changes from step to step."""
    return config.lr_schedule != "constant" or config.warmup > 0

"""The learning rate of each gradient step."""

import math

from rdrepro.config import RunConfig


def learning_rate(step: int, steps: int, config: RunConfig) -> float:
    """The learning rate of a step, in (0, lr].

    step: its number, from 0 to steps - 1. With lr_schedule="cosine" it falls by half a period of
    the cosine towards zero, which it would reach one step after the last (Loshchilov & Hutter
    2017).
    """
    if config.lr_schedule == "constant":
        return config.lr
    return config.lr * (1 + math.cos(math.pi * step / steps)) / 2


def varies(config: RunConfig) -> bool:
    """Whether the learning rate changes from step to step."""
    return config.lr_schedule != "constant"

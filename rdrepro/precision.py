"""The precision, memory layout and determinism with which the networks run."""

from contextlib import AbstractContextManager

import torch

from rdrepro.config import RunConfig

LARGEST_SMALL = 64  # pixels; on a CPU, channels last is slower up to this size


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """The context in which the networks run: bfloat16 where the configuration says so."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=config.precision == "bfloat16", cache_enabled=False
    )


def layout(config: RunConfig) -> torch.memory_format:
    """The memory layout of features: channels last, but channels first for small images."""
    small = config.image_size <= LARGEST_SMALL
    return torch.contiguous_format if small else torch.channels_last


def convolution_kernels(config: RunConfig) -> AbstractContextManager:
    """The context in which a GPU chooses its convolutions as configured; float32 is never TF32.

    With `deterministic`, two runs give the same bits. Without it, cuDNN searches for the fastest
    kernel of each shape.
    """
    exact = config.deterministic
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=not exact, deterministic=exact, allow_tf32=False
    )

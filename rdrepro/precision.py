"""In which precision, memory layout and determinism the networks run."""

from contextlib import AbstractContextManager

import torch

from rdrepro.config import RunConfig

LARGEST_SMALL = 64  # pixels; on a CPU, channels last are slower up to there


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """The context in which the networks run: bfloat16 where the configuration says so."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=config.precision == "bfloat16", cache_enabled=False
    )


def layout(config: RunConfig) -> torch.memory_format:
    """How features lie in memory: channels last, but of small images channels first."""
    small = config.image_size <= LARGEST_SMALL
    return torch.contiguous_format if small else torch.channels_last


def full_precision_kernels() -> AbstractContextManager:
    """The context in which a GPU's convolutions repeat exactly, and float32 is not TF32."""
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )

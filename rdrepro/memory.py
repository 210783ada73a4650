"""How much memory the teacher's features may take, and the message when memory runs out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from rdrepro.config import RunConfig

# A third of what is free leaves room for the training step itself.
FREE_SHARE = 1 / 3


@contextmanager
def memory_errors_explained(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Turn a failed allocation into a MemoryError whose message names what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out_of_memory and "can't allocate memory" not in str(error):
            raise
        raise MemoryError(
            f"out of memory; lower batch_size (now {config.batch_size}), image_size (now "
            f"{config.image_size}) or the features' budget, RDREPRO_CACHE_GB "
            f"(now {cache_budget(device) / 2**30:.1f})"
        ) from None


def cache_budget(device: torch.device) -> float:
    """How many bytes of features to keep: $RDREPRO_CACHE_GB in GiB, or a third of what is free.

    Raises ValueError where the variable is not a number.
    """
    named = os.environ.get("RDREPRO_CACHE_GB")
    if named:
        try:
            return float(named) * 2**30
        except ValueError:
            raise ValueError(f"RDREPRO_CACHE_GB={named!r} must be a number of GiB") from None
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] * FREE_SHARE
    return psutil.virtual_memory().available * FREE_SHARE

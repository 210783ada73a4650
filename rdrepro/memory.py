"""How much memory and disk the teacher's features may take, and the error when memory runs out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

import psutil
import torch

from rdrepro import paths
from rdrepro.config import RunConfig
from rdrepro.meaning import meaningless

# A third of what is free leaves room for the training step itself.
FREE_SHARE = 1 / 3
# A student and its checkpoints take up to 3 GiB of the same disk (runs/needs.py).
DISK_LEFT = 4 * 2**30


@contextmanager
def memory_errors_explained(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Turn a failed allocation into a MemoryError whose message names what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out_of_memory and "can't allocate memory" not in str(error):
            raise
        size = f"image_size (now {config.image_size})"
        if "batch_size" in meaningless(vars(config)):  # it is the memory bank that is large
            raise MemoryError(f"out of memory; lower {size}") from None
        raise MemoryError(
            f"out of memory; lower batch_size (now {config.batch_size}), {size} or the features' "
            f"budget, RDREPRO_CACHE_GB (now {cache_budget(device) / 2**30:.1f})"
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


def features_folder() -> Path:
    """The folder whose disk may hold features: the results folder or its nearest parent."""
    results = paths.results_dir()
    return next(folder for folder in (results, *results.parents) if folder.is_dir())


def check_features_disk(needed: int) -> None:
    """Raise OSError if features of this many bytes would leave too little space on the disk."""
    folder = features_folder()
    free = disk_usage(folder).free
    if needed + DISK_LEFT > free:
        raise OSError(
            f"that of {folder} has {free / 2**30:.1f} GiB free, of which {DISK_LEFT / 2**30:.0f} "
            "are left to students"
        )

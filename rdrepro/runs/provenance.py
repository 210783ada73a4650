"""The code, libraries and machine that a result comes from, without any path of the machine."""

import datetime
import platform
from importlib import metadata
from typing import Any

import torch

from rdrepro import __version__
from rdrepro.runs.git import git_state

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "scikit-image")


def now() -> str:
    """The time as rows store it: UTC, ISO 8601, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def environment(device: torch.device) -> dict[str, Any]:
    """The versions of the code and libraries, the machine, and the time, as they are now."""
    commit, dirty = git_state()
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "rdrepro": __version__,
        "git_commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "device": gpu or device.type,
        "threads": torch.get_num_threads(),
        "finished": now(),
    }

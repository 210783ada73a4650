"""The machine and the code of a run, and the limit that its training steps are compared with."""

import platform

import torch

from rdrepro.runs.git import git_state
from rdrepro.runs.provenance import now

from .settings import Settings
from .timing import matrix_tflops

GEMM_SIZE = 8192  # rows and columns: large enough to keep every core of an H100 busy
PRECISIONS = ("bfloat16", "float32")


def run(settings: Settings) -> None:
    """Record the device, the libraries and the commit, and measure the rate of matrix products.

    Raises RuntimeError where a GPU is needed and torch sees none.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"torch {torch.__version__} sees no GPU; run on a machine that has one, or try the "
            "command in its small size with SMALL=1"
        )
    commit, dirty = git_state()
    size = 256 if settings.small else GEMM_SIZE
    rates = {f"{p} TFLOP/s": matrix_tflops(p, settings.device, size) for p in PRECISIONS}
    found = {
        "device": torch.cuda.get_device_name() if settings.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "commit": commit,
        "dirty": dirty,
        "date": now()[:10],
        "matrix product": {"size": size, **rates},
    }
    settings.record.put("machine", found)
    print(f"  {found}", flush=True)  # noqa: T201 - the command's output


def share_of_limit(settings: Settings, tflops: float, precision: str) -> float:
    """A rate as a share of that of large matrix products in the same precision."""
    limits = settings.record.read()["machine"]["matrix product"]
    return tflops / limits[f"{precision} TFLOP/s"]

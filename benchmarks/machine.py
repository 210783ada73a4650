"""The machine that is measured, and whether anybody else uses it meanwhile."""

import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

# Processors that others may use on average. An idle Linux machine uses a fiftieth of one.
ALLOWED = 0.1
LOOK = 2.0  # seconds for which an idle machine is watched before a part


def cores() -> int:
    """The number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """Processor, cores, memory, and whether bfloat16 is native or emulated."""
    import torch

    from rdrepro.runs.device import fast_precision

    native = fast_precision(torch.device("cpu")) == "bfloat16"
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "bfloat16": "native" if native else "emulated",
    }


def processor() -> str:
    """The processor's name."""
    listing = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", listing.read_text()) if listing.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def machine_seconds() -> float:
    """Processor seconds used on the whole machine since its start.

    Those that a host gave to other guests count as used.
    """
    times = psutil.cpu_times()._asdict()
    # Linux counts the time of guests as time of users too.
    return sum(v for k, v in times.items() if k not in ("idle", "iowait", "guest", "guest_nice"))


def own_seconds() -> float:
    """Processor seconds used by this process and all it started, whether finished or not."""
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        try:
            # The first four are a process's own time and that of its finished children.
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue  # it has just ended, and counts as its parent's child
    return total


class Others:
    """How many processors others use. `share` is their number in the last measured stretch."""

    share = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """The context during which others are watched."""
        started, machine, own = time.perf_counter(), machine_seconds(), own_seconds()
        yield
        used = (machine_seconds() - machine) - (own_seconds() - own)
        self.share = max(0.0, used) / (time.perf_counter() - started)

    @property
    def busy(self) -> bool:
        """Whether others used more than ALLOWED processors in the last measured stretch."""
        return self.share > ALLOWED

    def look(self) -> bool:
        """Watch for a moment; return whether others are busy."""
        with self.measured():
            time.sleep(LOOK)
        return self.busy

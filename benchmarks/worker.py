"""One side of a comparison, in a process of its own: `python -m benchmarks.worker TASK OPTIONS`.

TASK is module:function, and OPTIONS are the function's arguments as a JSON object. The function
prepares and returns a `Task`, or its `run` alone. The worker then answers each line of its input
with a line of JSON:

    (at first)  {"ready": true}
    run N       seconds of one of N repetitions, and by stage where the task says so
    finish      peak memory in MiB, that after the imports, and the task's facts

A task's module imports at its top what the task needs, so that memory can be told from libraries'.
This file needs nothing but the standard library, so another interpreter can run it.
"""

import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


@dataclass
class Task:
    """What a worker does.

    run: performs the task once; returns the seconds of its stages, or None. facts: more to say,
    such as {"gflop": ...}. It is called once, after the last run and after memory was read.
    """

    run: Callable[[], dict[str, float] | None]
    facts: Callable[[], dict[str, Any]] = dict


def timed(run: Callable[[], dict[str, float] | None], repeats: int) -> dict[str, Any]:
    """The mean seconds of `repeats` repetitions, as a whole and by stage."""
    stages: dict[str, float] = {}
    started = time.perf_counter()
    for _ in range(repeats):
        for name, seconds in (run() or {}).items():
            stages[name] = stages.get(name, 0.0) + seconds / repeats
    return {"seconds": (time.perf_counter() - started) / repeats, "stages": stages}


def memory_mib() -> tuple[float, float]:
    """This process's resident memory now and at its peak, in MiB.

    Linux keeps the peak from before a program's start in `ru_maxrss`, so /proc comes first.
    """
    if STATUS.exists():
        text = STATUS.read_text()
        now, peak = (int(re.search(rf"{key}:\s+(\d+)", text)[1]) for key in ("VmRSS", "VmHWM"))
        return now / 1024, peak / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
    return peak, peak


def main() -> None:
    # What a library prints must not reach the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, function = sys.argv[1].split(":")
    prepare = getattr(import_module(module), function)
    imported = memory_mib()[0]
    task = prepare(**json.loads(sys.argv[2]))
    task = task if isinstance(task, Task) else Task(task)
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        command, *number = line.split()
        if command == "finish":
            memory = {"peak_mib": memory_mib()[1], "imported_mib": imported}
            answers.write(json.dumps(memory | task.facts()) + "\n")
            return
        answers.write(json.dumps(timed(task.run, int(*number))) + "\n")


if __name__ == "__main__":
    # Run by its name, this module is another one than the one that tasks import `Task` from.
    import_module("benchmarks.worker").main()

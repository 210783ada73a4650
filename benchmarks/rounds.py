"""Methods that take turns, A B A B ..., each in a process of its own, and what comes of it."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.machine import ALLOWED, Others, cores
from rdrepro.paths import ROOT

# A run lasts this many seconds at least, if need be by repetition: the system counts processor
# time in hundredths of a second, and ALLOWED must be seen in it.
LEAST = 0.5
DIGITS = 4  # significant ones that are written
SIZE = ("image_size", "batch", "images")
LINE = ("method", "backbone", "precision", "features", *SIZE)
SIDE = ("method", "precision", "features")  # what tells the two sides of a ratio apart


class BusyError(RuntimeError):
    """Others use the machine, so that nothing can be measured."""


class WorkerError(RuntimeError):
    """A worker has ended before its time."""


@dataclass(frozen=True)
class Method:
    """One way of doing a task.

    task: module:function, as `benchmarks.worker` takes it. options: its arguments. says: what its
    lines say of it, with keys of LINE. python: the interpreter.
    """

    task: str
    options: Mapping[str, Any] = field(default_factory=dict)
    says: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable


@dataclass(frozen=True)
class Ratio:
    """A ratio of the seconds of two methods, by their keys; above 1, the denominator is faster."""

    numerator: str
    denominator: str
    name: str
    target: float | None = None


@dataclass
class Measured:
    """What the rounds gave for one method."""

    seconds: list[float] = field(default_factory=list)  # one of each round
    stages: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # peak_mib, imported_mib, gflop, ...


class Worker:
    """A method's process. Used as a context, which ends it."""

    def __init__(self, method: Method):
        # Idle workers must not spin, and each uses all processors when its turn comes.
        threads = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(cores())}
        self.method, self.errors = method, tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [method.python, "-m", "benchmarks.worker", method.task, json.dumps(method.options)],
            cwd=ROOT,
            env=os.environ | threads,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> "Worker":
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command; return the answer. Raises WorkerError where the worker has failed."""
        with suppress(BrokenPipeError):  # what went wrong is read below
            self.process.stdin.write(f"{command}\n")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines() or ["nothing"]
        raise WorkerError(f"{self.method.task} ended with {code}; it said last: {said[-1]}")


def take_turns(
    methods: Mapping[str, Method],
    rounds: int,
    others: Others,
    anyway: bool = False,
    tell: Callable[[str, float], None] = lambda sentence, left: None,
) -> dict[str, Measured]:
    """Run each method once in every round, after a warm-up.

    A round in which others used the machine is repeated. anyway: it counts all the same. tell: is
    called with a sentence and the seconds that the rounds still take. Raises BusyError where more
    rounds were disturbed than are wanted.
    """
    measured = {key: Measured() for key in methods}
    with ExitStack() as stack:
        workers = {key: stack.enter_context(Worker(m)) for key, m in methods.items()}
        repeats, seconds = {}, 0.0
        for key, worker in workers.items():
            repeats[key], expected = _warm_up(worker)
            seconds += expected
        done = disturbed = 0
        while done < rounds:
            tell(f"round {done + 1} of {rounds}", seconds * (rounds - done))
            answers, busy = {}, 0.0
            for key, worker in workers.items():
                with others.measured():
                    answers[key] = worker.ask(f"run {repeats[key]}")
                busy = max(busy, others.share)
            if busy > ALLOWED and not anyway:
                disturbed += 1
                tell(f"disturbed: others used {busy:.2f} processors", seconds * (rounds - done))
                if disturbed > rounds:
                    raise BusyError(
                        f"others used the processors in {disturbed} rounds, in the last one "
                        f"{busy:.2f} of them; wait until the machine is idle, or give --anyway to "
                        "see figures that are not written"
                    )
                continue
            done += 1
            for key, answer in answers.items():
                _note(measured[key], answer)
        for key, worker in workers.items():
            measured[key].facts = worker.ask("finish")
    return measured


def _warm_up(worker: Worker) -> tuple[int, float]:
    """How often a task is repeated in a run, and the seconds that a run takes."""
    seconds = worker.ask("run 1")["seconds"]
    if seconds < LEAST:  # the first time is slower than the others
        seconds = worker.ask("run 1")["seconds"]
    repeats = max(1, math.ceil(LEAST / max(seconds, 1e-6)))
    return repeats, repeats * seconds


def _note(measured: Measured, answer: dict[str, Any]) -> None:
    measured.seconds.append(answer["seconds"])
    for stage, seconds in answer["stages"].items():
        measured.stages.setdefault(stage, []).append(seconds)


def quartiles(values: Sequence[float]) -> dict[str, float | int]:
    """Median, quartiles and number of values, as the files hold them."""
    low, median, high = (significant(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return {"median": median, "q1": low, "q3": high, "runs": len(values)}


def significant(value: float) -> float:
    """A number in DIGITS significant digits."""
    return float(f"{float(value):.{DIGITS}g}")


def lines_of(
    task: str,
    methods: Mapping[str, Method],
    measured: Mapping[str, Measured],
    limits: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """The lines of a file: seconds of each method as a whole and by stage, then peak memory.

    limits: GFLOP/s of the machine by precision; with them a line has its share.
    """
    lines = []
    for key, m in measured.items():
        says = methods[key].says
        start = {"task": task} | {name: says.get(name) for name in LINE}
        none = {"gflop": None, "share_of_limit": None}
        for stage, seconds in ({None: m.seconds} | m.stages).items():
            flops = none if stage else flops_of(m, says.get("precision"), limits or {})
            lines.append(start | {"stage": stage, "unit": "s"} | quartiles(seconds) | flops)
        beyond = m.facts["peak_mib"] - m.facts["imported_mib"]
        lines.append(start | {"stage": None, "unit": "MiB"} | quartiles([beyond]) | none)
    return lines


def flops_of(m: Measured, precision: str | None, limits: Mapping[str, float]) -> dict[str, Any]:
    """A method's GFLOP, and the share of the machine's GFLOP/s that its median second reaches."""
    gflop, limit = m.facts.get("gflop"), limits.get(precision)
    share = significant(gflop / np.median(m.seconds) / limit) if gflop and limit else None
    return {"gflop": significant(gflop) if gflop else None, "share_of_limit": share}


def ratio_of(
    task: str,
    ratio: Ratio,
    methods: Mapping[str, Method],
    measured: Mapping[str, Measured],
) -> dict[str, Any]:
    """The entry of a ratio, which is taken round by round."""
    above, below = measured[ratio.numerator].seconds, measured[ratio.denominator].seconds
    found = quartiles(np.divide(above, below))
    met = None if ratio.target is None else found["median"] >= ratio.target
    sides = {
        name: {k: methods[key].says.get(k) for k in SIDE}
        for name, key in (("numerator", ratio.numerator), ("denominator", ratio.denominator))
    }
    says = methods[ratio.denominator].says
    start = {"name": ratio.name, "task": task} | {k: says.get(k) for k in ("backbone", *SIZE)}
    return start | sides | found | {"target": ratio.target, "met": met}

"""The steps of `make gpu` by priority, and how one of them runs within its time."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import Settings
from .worker import REASON

ROOT = Path(__file__).resolve().parents[2]  # of the checkout


@dataclass(frozen=True)
class Step:
    """A module of this package to run in a process of its own.

    limit: the seconds that it may take. least: the seconds that must be left for it to start.
    """

    module: str
    arguments: tuple[str, ...] = ()
    limit: float = 60
    least: float = 20

    @property
    def name(self) -> str:
        """The step in words, such as "speed of resnet18"."""
        return " of ".join((self.module, *self.arguments))


def steps_of(settings: Settings) -> list[Step]:
    """The steps of a run, the most important first.

    The limits are those of an H100 with sixteen cores, doubled where a step must not be lost.
    """
    timed = settings.networks[:1]
    known = [n for n in settings.networks if n in timed or settings.weights_file(n)]
    ends = settings.networks[:1] + settings.networks[2:]  # the largest and the smallest network
    return [
        Step("machine", limit=60, least=5),
        Step("gpu_tests", limit=120, least=30),
        *(Step("protocol", (network,), limit=120, least=40) for network in known),
        *(Step("speed", (network,), limit=90) for network in settings.networks),
        Step("inference", limit=60),
        *(Step("compiled", (network,), limit=120, least=40) for network in ends),
    ]


def run_step(step: Step, settings: Settings, seconds: float) -> dict[str, Any]:
    """Run a step for at most so many seconds; return its outcome and, if it has none, the reason.

    Whatever the step started ends with it.
    """
    command = (sys.executable, "-m", f"{__package__}.worker", settings.to_json(), step.module)
    started, reason = time.monotonic(), Path(settings.work) / REASON
    reason.unlink(missing_ok=True)
    process = subprocess.Popen(
        (*command, *step.arguments),
        cwd=ROOT,
        env=_environment(settings),
        start_new_session=True,
    )
    try:
        code = process.wait(timeout=seconds)
        outcome = {"outcome": "failed" if code else "done"}
    except subprocess.TimeoutExpired:
        code, outcome = None, {"outcome": "stopped", "reason": f"it took more than {seconds:.0f} s"}
    finally:
        _end(process)
    if code:
        said = reason.read_text(encoding="utf-8") if reason.is_file() else f"exit status {code}"
        outcome["reason"] = said
    return {"step": step.name, **outcome, "seconds": time.monotonic() - started}


def _end(process: subprocess.Popen) -> None:
    """End a process and everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """The environment of a worker: caches in the work folder, and no bars outside a terminal."""
    bars = {} if sys.stderr.isatty() else {"TQDM_DISABLE": "1"}
    caches = {
        "TORCHINDUCTOR_CACHE_DIR": f"{settings.work}/inductor",
        "TRITON_CACHE_DIR": f"{settings.work}/triton",
        "RDREPRO_RESULTS": settings.work,
        "RDREPRO_OFFLINE": "1",
    }
    return os.environ | bars | caches

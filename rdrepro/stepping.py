"""One gradient step after another: kernel by kernel, or on a GPU replayed as a CUDA graph.

At batch 16 a GPU finishes most kernels of a step sooner than Python can launch the next one. A
graph launches all of them at once. It runs the same kernels in the same order, so no bit changes.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from rdrepro.config import RunConfig
from rdrepro.detector import Detector
from rdrepro.features import TeacherFeatures
from rdrepro.optimisers import build_optimiser
from rdrepro.progress import say
from rdrepro.text import one_of

VARIABLE = "RDREPRO_STEP"
KINDS = EAGER, GRAPH = "eager", "graph"
# CUDA needs a few real steps before it can record one: libraries allocate their work space in them.
WARM_UP_STEPS = 3
REHEARSED_STEPS, TIMED_STEPS = 4, 2  # the last ones are timed


@dataclass(frozen=True)
class Recording:
    """A recorded step: its graph, the batch that it reads and the loss that it writes."""

    graph: torch.cuda.CUDAGraph
    indices: Tensor  # (B,)
    loss: Tensor  # a scalar


class Stepper:
    """Gradient steps on a detector's `batch_loss` (official main.py).

    kind: "graph" on a GPU that holds all features, else "eager". The environment variable
    RDREPRO_STEP can name "eager". why: why steps are eager on a GPU, as part of a sentence; else
    empty. Raises ValueError where RDREPRO_STEP names neither.
    """

    def __init__(self, model: Detector, features: TeacherFeatures, config: RunConfig):
        self.model, self.features, self.config = model, features, config
        self.optimiser = build_optimiser(model.trainable(), config, features.device)
        self.recordings: dict[int, Recording] = {}  # by the number of images in the batch
        self.kind, self.why = _kind(features)

    def __call__(self, indices: Tensor) -> Tensor:
        """Take one step on a batch; return its loss, a scalar on the device.

        indices: (B,), which images of the features form the batch. The next call overwrites the
        loss. Nothing waits for the device.
        """
        if self.kind == GRAPH and len(indices) not in self.recordings:
            self._try_to_record(indices)
        if self.kind == EAGER:
            return self._step(indices)
        recording = self.recordings[len(indices)]
        recording.indices.copy_(indices)
        recording.graph.replay()
        return recording.loss

    def set_learning_rate(self, rate: float) -> None:
        """Use this learning rate from the next step on; groups with a `scale`, a multiple of it."""
        for group in self.optimiser.param_groups:
            own = rate * group.get("scale", 1.0)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own)  # in place, since graphs know it by its address
            else:
                group["lr"] = own

    def rehearse(self, indices: Tensor) -> float:
        """The seconds of a step on this batch, from a few steps that are undone afterwards."""
        times = []
        with self._undone():
            for _ in range(REHEARSED_STEPS):
                started = time.perf_counter()
                self(indices).item()  # waits for the device
                times.append(time.perf_counter() - started)
        return min(times[-TIMED_STEPS:])

    def _step(self, indices: Tensor) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.model.batch_loss(self.features, indices, self.config)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _try_to_record(self, indices: Tensor) -> None:
        """Record the step of a batch of this size; where that fails, go on with eager steps."""
        with self._undone():
            try:
                recording = self._record(indices.clone())
            except RuntimeError as error:
                self.recordings.clear()
                self.kind, self.why = EAGER, f"no graph could be recorded ({_first_line(error)})"
                say(f"The GPU trains kernel by kernel, which is slower: {self.why}.")
            else:
                self.recordings[len(indices)] = recording

    def _record(self, indices: Tensor) -> Recording:
        side = torch.cuda.Stream(indices.device)  # that device need not be the current one
        side.wait_stream(torch.cuda.current_stream(indices.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._step(indices)
        torch.cuda.current_stream(indices.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Only one graph runs at a time, so all of them can use the same memory.
        pool = next((r.graph.pool() for r in self.recordings.values()), None)
        with torch.cuda.graph(graph, pool=pool, stream=side):
            loss = self._step(indices)
        return Recording(graph, indices, loss)

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """A context whose steps leave no trace in the weights and in the optimiser's moments."""
        before = [(t, t.detach().clone()) for t in self._changing()]
        yield
        self._undo(before)

    def _changing(self) -> list[Tensor]:
        moments = [v for state in self.optimiser.state.values() for v in state.values()]
        return [*self.model.trainable().parameters(), *self.model.buffers(), *moments]

    def _undo(self, before: list[tuple[Tensor, Tensor]]) -> None:
        """Return to an earlier state in place, since graphs know tensors by their addresses."""
        known = {id(tensor) for tensor, _ in before}
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
            for moment in self._changing():
                if id(moment) not in known:  # Adam has made it since, from zero
                    moment.zero_()
        self.optimiser.zero_grad(set_to_none=True)


def _kind(features: TeacherFeatures) -> tuple[str, str]:
    """How steps are taken on a device and, on a GPU, why not as graphs."""
    chosen = os.environ.get(VARIABLE) or GRAPH
    if chosen not in KINDS:
        raise ValueError(f"{VARIABLE}={chosen!r} is not {one_of(KINDS)}")
    if features.device.type != "cuda":
        return EAGER, ""
    if chosen == EAGER:
        return EAGER, f"{VARIABLE}={EAGER}"
    if not features.resident:
        return EAGER, "the features do not fit on the device"
    return GRAPH, ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")

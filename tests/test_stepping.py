"""Gradient steps: a rehearsal leaves no trace, and a step that cannot be recorded runs eagerly."""

import pytest
import torch
from tiny import stepper

from rdrepro.stepping import EAGER, GRAPH, Stepper, _kind

BATCHES = torch.arange(6).split(4)


def state(step):
    tensors = [*step.model.trainable().state_dict().values()]
    moments = [v for s in step.optimiser.state.values() for v in s.values()]
    return [t.clone() for t in (*tensors, *moments)]


def equal(some, others):
    return len(some) == len(others) and all(map(torch.equal, some, others))


@pytest.fixture(scope="module")
def plain():
    """The losses and the final state of two steps without any rehearsal."""
    step = stepper()
    return [step(batch).item() for batch in BATCHES], state(step)


def test_a_rehearsal_leaves_no_trace(plain):
    step = stepper()
    before = state(step)
    assert step.rehearse(BATCHES[0]) > 0
    weights = state(step)[: len(before)]
    assert equal(weights, before)
    assert [step(batch).item() for batch in BATCHES] == plain[0]
    assert equal(state(step), plain[1])


def test_a_rehearsal_in_the_middle_keeps_the_moments_of_adam(plain):
    step = stepper()
    losses = [step(BATCHES[0]).item()]
    step.rehearse(BATCHES[1])
    assert [*losses, step(BATCHES[1]).item()] == plain[0]
    assert equal(state(step), plain[1])


def test_a_step_that_cannot_be_recorded_is_taken_eagerly(plain, monkeypatch, capsys):
    def fail(self, indices):
        self._step(indices)  # as a warm-up does, before the recording fails
        raise RuntimeError("operation not permitted when stream is capturing\nmore lines")

    monkeypatch.setattr(Stepper, "_record", fail)
    step = stepper()
    step.kind = GRAPH
    assert [step(batch).item() for batch in BATCHES] == plain[0]
    assert equal(state(step), plain[1]) and step.kind == EAGER
    said = capsys.readouterr().out
    assert "kernel by kernel, which is slower: no graph could be recorded (operation not" in said
    assert "more lines" not in said


class Features:
    def __init__(self, device, resident):
        self.device, self.resident = torch.device(device), resident


@pytest.mark.parametrize(
    ("chosen", "device", "resident", "kind"),
    [
        ("", "cpu", True, (EAGER, "")),
        ("graph", "cpu", True, (EAGER, "")),
        ("", "cuda", True, (GRAPH, "")),
        ("", "cuda", False, (EAGER, "the features do not fit on the device")),
        ("eager", "cuda", True, (EAGER, "RDREPRO_STEP=eager")),
    ],
)
def test_only_a_gpu_that_holds_the_features_records_steps(
    monkeypatch, chosen, device, resident, kind
):
    monkeypatch.setenv("RDREPRO_STEP", chosen)
    assert _kind(Features(device, resident)) == kind


def test_another_kind_of_step_is_refused(monkeypatch):
    monkeypatch.setenv("RDREPRO_STEP", "fast")
    with pytest.raises(ValueError, match="RDREPRO_STEP='fast' is not eager or graph"):
        stepper()

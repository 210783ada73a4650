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


def gradients(**settings):
    """The gradients of one step, as Adam receives them, in one vector."""
    step = stepper(**settings)
    step(BATCHES[0])
    return torch.cat([p.grad.flatten() for p in step.parameters])


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


def test_clipping_scales_all_gradients_to_the_largest_norm():
    free = gradients()
    norm = free.double().square().sum().sqrt().item()
    for allowed in (norm / 3, norm / 100):
        clipped = gradients(clip_norm=allowed)
        assert clipped.double().square().sum().sqrt().item() == pytest.approx(allowed, rel=1e-4)
        torch.testing.assert_close(clipped, free * (allowed / norm), rtol=1e-3, atol=0)


def test_gradients_below_the_largest_norm_are_not_clipped():
    free = gradients()
    assert torch.equal(gradients(clip_norm=1.01 * free.norm().item()), free)


def test_clipping_leaves_alone_what_has_no_gradient():
    step = stepper(train_layers=(3,), map_layers=(3,), clip_norm=1e-4)
    step(BATCHES[0])
    moved = [p.grad for p in step.parameters if p.grad is not None]
    assert len(moved) < len(step.parameters)
    assert torch.cat([g.flatten() for g in moved]).norm().item() == pytest.approx(1e-4, rel=1e-2)


def test_a_rehearsal_draws_no_random_number_of_the_noise():
    rehearsed, fresh = (stepper(bottleneck_noise=0.5) for _ in range(2))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    rehearsed.rehearse(BATCHES[0])
    assert torch.equal(torch.get_rng_state(), before)
    losses = [rehearsed(batch).item() for batch in BATCHES]
    assert not torch.equal(torch.get_rng_state(), before)  # steps do draw some
    torch.manual_seed(5)
    assert [fresh(batch).item() for batch in BATCHES] == losses
    assert equal(state(fresh), state(rehearsed))


def test_a_rehearsal_keeps_the_random_numbers_of_its_own_gpu(monkeypatch):
    kept, fork = [], torch.random.fork_rng

    def spy(devices, device_type):
        kept.append((devices, device_type))
        return fork([])

    monkeypatch.setattr(torch.random, "fork_rng", spy)
    step = stepper()
    step.rehearse(BATCHES[0])
    step.features.device = torch.device("cuda", 1)
    with step._undone():
        pass
    assert kept == [([], "cuda"), ([torch.device("cuda", 1)], "cuda")]


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

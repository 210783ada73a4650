"""Optimisers: Muon's direction, its equality with torch's, and what is left to Adam."""

import copy

import pytest
import torch
from tiny import CPU, model, stepper

import rdrepro as rd
from rdrepro.optimisers import Muon, build_optimiser, moments_of, orthogonalised

MUON = {"optimiser": "muon", "muon_lr": 0.1}
BATCH = torch.arange(4)


def kernels_and_others(step):
    parameters = dict(step.model.trainable().named_parameters())
    kernels = {n: p for n, p in parameters.items() if p.ndim == 4}
    return kernels, {n: p for n, p in parameters.items() if n not in kernels}


def copies(parameters):
    return {name: p.detach().clone() for name, p in parameters.items()}


@pytest.mark.parametrize("shape", [(3, 8, 40), (2, 40, 8), (1, 16, 16)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64)
    found = orthogonalised(matrices)
    u, s, vt = torch.linalg.svd(matrices, full_matrices=False)
    core = u.mT @ found @ vt.mT  # diagonal, if the singular vectors are the same
    values = torch.diagonal(core, dim1=1, dim2=2)
    assert s.max() / s.min() > 1.5  # they were spread
    assert values[s > s.max() / 20].min() > 0.6 and values.max() < 1.3
    torch.testing.assert_close(core, torch.diag_embed(values), rtol=0, atol=1e-9)


def test_the_size_of_a_matrix_does_not_matter_to_its_direction():
    matrices = torch.randn(2, 5, 7)
    torch.testing.assert_close(orthogonalised(1e3 * matrices), orthogonalised(matrices))
    assert orthogonalised(torch.zeros(1, 3, 4)).abs().max() == 0


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch before 2.9 has no Muon")
def test_kernels_move_as_with_torchs_muon():
    """torch.optim.Muon takes matrices alone, so it gets the kernels' rows."""
    torch.manual_seed(0)
    shapes = [(8, 4, 3, 3), (64, 4, 1, 1), (8, 4, 3, 3)]  # two alike; one with more rows
    ours = [torch.randn(s, requires_grad=True) for s in shapes]
    theirs = [p.detach().clone().flatten(1).requires_grad_() for p in ours]
    own = Muon(ours, lr=0.01, scale=5.0, dtype=torch.bfloat16, betas=(0.8, 0.999))
    other = torch.optim.Muon(theirs, lr=0.05, weight_decay=0.0, momentum=0.8)
    for number in range(4):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(number))
            q.grad = p.grad.flatten(1).clone()
        before = [p.detach().clone() for p in ours]
        own.step()
        other.step()
    for p, q, start in zip(ours, theirs, before, strict=True):
        moved = (p.detach() - start).norm()
        # Five iterations in bfloat16 round differently; without Nesterov's term this is 1.
        assert (p.detach().flatten(1) - q.detach()).norm() < 0.1 * moved


def test_all_other_parameters_move_as_with_adam():
    both = []
    for settings in ({}, MUON):
        step = stepper(**settings)
        kernels, others = kernels_and_others(step)
        started = copies(kernels)
        step(BATCH)
        assert all((kernels[n] != started[n]).any() for n in kernels)
        both.append((copies(kernels), copies(others)))
    (adams, plain), (moved, same) = both
    assert plain and plain.keys() == same.keys()
    assert all(torch.equal(plain[n], same[n]) for n in plain)
    assert not any(torch.equal(adams[n], moved[n]) for n in adams)


def test_the_first_step_has_the_rate_of_muon():
    """All singular values of the move are about the rate, without a schedule that sets it."""
    step = stepper(**MUON)
    kernels, _ = kernels_and_others(step)
    before = copies(kernels)
    step(BATCH)
    for name, kernel in kernels.items():
        rows = kernel.shape[0]
        move = (kernel - before[name]).detach().reshape(rows, -1)
        tall = max(1.0, rows / move.shape[1]) ** 0.5
        largest = torch.linalg.matrix_norm(move, 2) / (0.1 * tall)
        assert 0.5 < largest < 1.3, name


def test_a_changed_rate_changes_both_groups():
    step = stepper(**MUON)
    step.set_learning_rate(step.config.lr / 2)
    assert [g["lr"] for g in step.optimiser.param_groups] == pytest.approx([0.0025, 0.05])


def test_a_step_that_fails_leaves_both_groups(monkeypatch):
    def fail(self):
        raise RuntimeError("out of memory")

    step = stepper(**MUON)
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            step(BATCH)
    assert len(step.optimiser.param_groups) == 2
    step(BATCH)


def test_moments_are_named_for_checkpoints():
    step = stepper(**MUON)
    step(BATCH)
    for parameter, state in step.optimiser.state.items():
        assert set(moments_of(parameter, step.optimiser)) == set(state) - {"step"}
    plain = build_optimiser(model().trainable(), rd.RunConfig(), CPU)
    kernel = next(p for p in plain.param_groups[0]["params"] if p.ndim == 4)
    assert moments_of(kernel, plain) == ("exp_avg", "exp_avg_sq")


def test_parameters_without_a_gradient_stay():
    torch.manual_seed(0)
    kernel, other = torch.randn(4, 2, 3, 3), torch.randn(4)
    frozen = copy.deepcopy(kernel).requires_grad_()
    vector = other.clone().requires_grad_()
    vector.grad = torch.ones(4)
    Muon([frozen, vector], lr=0.1, scale=1.0, dtype=torch.float32).step()
    assert torch.equal(frozen.detach(), kernel) and not torch.equal(vector.detach(), other)

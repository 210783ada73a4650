"""The learning rate of each step, by hand and against PyTorch's own schedule."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny import images, stepper
from torch.optim import lr_scheduler

import rdrepro as rd
from rdrepro import stepping
from rdrepro.config import SCHEDULES
from rdrepro.schedule import learning_rate, varies

LR = 0.8
CONFIG = rd.RunConfig(lr=LR)


def rates(steps, **settings):
    config = replace(CONFIG, **settings)
    return [learning_rate(step, steps, config) for step in range(steps)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.8, 0.8, 0.8, 0.8]),
        ("cosine", [0.8, 0.4 * (1 + 0.5**0.5), 0.4, 0.4 * (1 - 0.5**0.5)]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    assert rates(4, lr_schedule=schedule) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_only_a_constant_rate_never_changes(schedule):
    config = replace(CONFIG, lr_schedule=schedule)
    assert varies(config) == (len(set(rates(20, lr_schedule=schedule))) > 1)
    assert varies(config) == (schedule != "constant")


def torchs(scheduler, steps):
    """The rates that one of PyTorch's schedulers gives to successive steps."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    schedule, found = scheduler(optimiser), []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_the_cosine_is_pytorchs(steps):
    cosine = torchs(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=steps), steps)
    assert rates(steps, lr_schedule="cosine") == pytest.approx(cosine, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 2001])
def test_a_falling_rate_stays_positive(steps):
    found = rates(steps, lr_schedule="cosine")
    assert all(one > other for one, other in pairwise(found))
    assert min(found) > 0 and found[0] == LR


def test_the_rate_reaches_adam():
    """Adam's first step is proportional to the learning rate."""
    moves = []
    for factor in (1, 0.5):
        step = stepper()
        parameters = list(step.model.trainable().parameters())
        before = [p.detach().clone().double() for p in parameters]
        step.set_learning_rate(factor * step.config.lr)
        step(torch.arange(4))
        moves.append([(p - b).abs().sum() for p, b in zip(parameters, before, strict=True)])
    whole, half = (torch.stack(each) for each in moves)
    assert whole.min() > 0
    torch.testing.assert_close(half, whole / 2, rtol=1e-3, atol=0)


def test_a_rate_in_a_tensor_is_changed_in_place():
    """As on a GPU, where graphs read it from the tensor's address."""
    step, rate = stepper(), torch.tensor(0.1)
    step.optimiser.param_groups[0]["lr"] = rate
    step.set_learning_rate(0.25)
    assert step.optimiser.param_groups[0]["lr"] is rate and rate.item() == 0.25


def test_each_step_of_a_training_has_its_own_rate(monkeypatch):
    seen, move = [], stepping.Stepper._step

    def spy(self, indices):
        seen.append(self.optimiser.param_groups[0]["lr"])
        return move(self, indices)

    monkeypatch.setattr(stepping.Stepper, "_step", spy)
    changes = {"epochs": 3, "batch_size": 4, "lr_schedule": "cosine"}
    step = stepper(**changes)
    rd.fit(step.model, images(), step.config)
    assert seen[-6:] == [learning_rate(n, 6, step.config) for n in range(6)]
    assert len(set(seen[-6:])) > 3

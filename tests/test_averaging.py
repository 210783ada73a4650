"""The average of weights: by hand, and against PyTorch's own."""

import pytest
import torch
from interruptions import StoppedError
from tiny import images, stepper
from torch import nn
from torch.optim.swa_utils import AveragedModel

import rdrepro as rd
from rdrepro import training
from rdrepro.averaging import WeightAverage, is_averaged
from rdrepro.training import fit


def filled(module, value):
    """Set every weight and statistic of a module."""
    for tensor in module.state_dict().values():
        tensor.fill_(value)


def values(module):
    return {name: tensor.unique().tolist() for name, tensor in module.state_dict().items()}


def test_the_mean_by_hand():
    norm = nn.BatchNorm2d(2)
    average = WeightAverage(norm)
    for value in (1, 2, 6):
        filled(norm, value)
        average.update()
    average.apply()
    statistics = ("weight", "bias", "running_mean", "running_var")
    assert values(norm) == {name: [3.0] for name in statistics} | {"num_batches_tracked": [6]}


def test_averaged_weights_are_applied_for_a_while():
    norm = nn.BatchNorm2d(2)
    average, addresses = WeightAverage(norm), [t.data_ptr() for t in norm.state_dict().values()]
    for value in (1, 4):
        filled(norm, value)
        average.update()
    with average.applied():
        assert values(norm)["weight"] == values(norm)["running_var"] == [2.5]
    assert all(value == [4] for value in values(norm).values())
    with pytest.raises(StoppedError), average.applied():
        raise StoppedError
    assert all(value == [4] for value in values(norm).values())
    assert [t.data_ptr() for t in norm.state_dict().values()] == addresses  # graphs know them
    filled(norm, 7)
    average.update()
    average.apply()
    assert values(norm)["weight"] == [4.0]


def test_before_the_first_update_the_own_weights_are_applied():
    norm = nn.BatchNorm2d(2)
    filled(norm, 5)
    with WeightAverage(norm).applied():
        assert values(norm)["weight"] == [5.0]


def test_the_mean_is_pytorchs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    model.to(memory_format=torch.channels_last)
    average, oracle = WeightAverage(model), AveragedModel(model, use_buffers=True)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(7):
        optimiser.zero_grad()
        model(torch.randn(2, 3, 8, 8)).square().sum().backward()
        optimiser.step()
        average.update()
        oracle.update_parameters(model)
    average.apply()
    expected = oracle.module.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[name])


@pytest.mark.parametrize(
    ("steps", "share", "first"),
    [(8, 1, 0), (8, 0.25, 6), (8, 0.5, 4), (10, 0.25, 8), (1, 0.5, 0), (4, 0.01, 3), (1, 1, 0)],
)
def test_the_last_share_of_the_steps_is_averaged(steps, share, first):
    found = [is_averaged(step, steps, share) for step in range(steps)]
    assert found == [False] * first + [True] * (steps - first)


@pytest.mark.parametrize(("share", "averaged"), [(1, 8), (0.25, 2), (0.01, 1)])
def test_a_training_ends_with_the_mean_of_its_last_steps(monkeypatch, share, averaged):
    seen, move = [], training.Stepper.__call__

    def spy(self, indices):
        loss = move(self, indices)
        state = self.model.trainable().state_dict()
        seen.append({name: tensor.clone() for name, tensor in state.items()})
        return loss

    monkeypatch.setattr(training.Stepper, "__call__", spy)
    step = stepper(epochs=4, batch_size=4, weight_averaging=share)  # eight steps
    fit(step.model, images(), step.config)
    for name, tensor in step.model.trainable().state_dict().items():
        steps = torch.stack([state[name] for state in seen[-averaged:]])
        expected = steps.double().mean(dim=0) if tensor.is_floating_point() else steps[-1]
        torch.testing.assert_close(tensor, expected.to(tensor.dtype), rtol=1e-4, atol=1e-6)


def test_a_look_sees_the_average_and_training_goes_on_from_the_own_weights():
    settings = {"epochs": 4, "batch_size": 4}
    plain = stepper(**settings)
    losses = fit(plain.model, images(), plain.config)["loss"].tolist()
    seen = []

    def look(model):
        seen.append({k: v.clone() for k, v in model.trainable().state_dict().items()})
        return {"image_auroc": 0.5}

    step = stepper(**settings, weight_averaging=0.5, eval_every=1)
    assert fit(step.model, images(), step.config, look=look)["loss"].tolist() == losses
    final = step.model.trainable().state_dict()
    assert all(torch.equal(seen[-1][name], tensor) for name, tensor in final.items())
    own = plain.model.trainable().state_dict()
    assert any(not torch.equal(seen[-1][name], tensor) for name, tensor in own.items())


def test_averaging_with_early_stopping_is_refused():
    with pytest.raises(ValueError, match="has no meaning with early_stopping='train'"):
        rd.RunConfig(
            weight_averaging=0.5, early_stopping="train", patience=2, validation_fraction=0.2
        )

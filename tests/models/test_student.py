"""The student decoder: its shapes and its initialisation."""

import math

import pytest
import torch
from torch import nn

from rdrepro.models.student import StudentDecoder


def test_transposed_convolutions_keep_pytorchs_initialisation():
    torch.manual_seed(0)
    student = StudentDecoder((64, 128, 256))
    transposed = student.stages[0][0].conv1  # uniform, fan = 4 * 256 outputs
    bound = 1 / math.sqrt(transposed.weight[0].numel())
    assert transposed.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert transposed.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


@pytest.mark.parametrize("linear", [False, True])
def test_each_stage_doubles_its_input_and_linear_heads_restore_negative_values(linear):
    torch.manual_seed(0)
    student = StudentDecoder((8, 16, 32), linear_heads=linear, in_channels=40).eval()
    maps = student(torch.rand(2, 40, 2, 3, generator=torch.Generator().manual_seed(1)))
    assert [m.shape for m in maps] == [(2, 8, 16, 24), (2, 16, 8, 12), (2, 32, 4, 6)]
    assert any((m < 0).any() for m in maps) == linear

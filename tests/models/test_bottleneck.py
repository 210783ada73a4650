"""The one-class bottleneck: its projection and its initialisation."""

import math

import pytest
import torch
from torch import nn

from rdrepro.models.bottleneck import OneClassBottleneck

CHANNELS = (8, 16, 32)


def size(module):
    return sum(p.numel() for p in module.parameters())


def test_projection_is_the_papers_one_by_one_convolution():
    plain, projected = (OneClassBottleneck(CHANNELS, mff_projection=p) for p in (False, True))
    assert size(projected) - size(plain) == 96 * 96 + 2 * 96
    f_e = [torch.rand(2, 8 * 2**k, 16 // 2**k, 16 // 2**k) for k in range(3)]
    assert projected(f_e).shape == plain(f_e).shape == (2, 64, 2, 2)


def test_without_fusion_the_deepest_map_alone_is_embedded():
    generator = torch.Generator().manual_seed(0)
    f_e = [torch.rand(2, 8 * 2**k, 16 // 2**k, 16 // 2**k, generator=generator) for k in range(3)]
    other = [torch.zeros_like(f_e[0]), torch.zeros_like(f_e[1]), f_e[2]]
    for fusion in (False, True):
        torch.manual_seed(1)
        bottleneck = OneClassBottleneck(CHANNELS, fusion=fusion).eval()
        assert torch.equal(bottleneck(f_e), bottleneck(other)) == (not fusion)


def test_convolutions_are_initialised_by_kaimings_rule_and_norms_by_one_and_zero():
    torch.manual_seed(0)
    bottleneck = OneClassBottleneck((64, 128, 256))
    conv = bottleneck.oce[1].conv2  # fan out: SD = sqrt(2 / (9 * 512))
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)
    for module in bottleneck.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()

"""What follows from the name of a teacher is what its network has."""

import pytest
import torch
import torchvision
from torchvision.models.resnet import Bottleneck

from rdrepro.backbones import (
    LITE0,
    SHIPPED_LITE0,
    VGG16,
    base_width,
    default_weights,
    has_bottleneck_blocks,
    usual_weights,
)
from rdrepro.models.weights import RESNETS
from rdrepro.runs.weights import find_weights, published_names


@pytest.mark.parametrize("backbone", RESNETS)
def test_a_resnets_name_gives_its_width_and_kind_of_block(backbone):
    with torch.device("meta"):
        network = torchvision.models.get_model(backbone, weights=None)
    assert base_width(backbone) == network.base_width
    assert has_bottleneck_blocks(backbone) == isinstance(network.layer1[0], Bottleneck)


@pytest.mark.parametrize("backbone", [LITE0, VGG16, "timm/resnet50", "resnet50d"])
def test_no_other_network_is_taken_for_one_of_bottleneck_blocks(backbone):
    assert not has_bottleneck_blocks(backbone)
    assert base_width(backbone) == 64


@pytest.mark.parametrize("backbone", [*RESNETS, VGG16])
def test_the_usual_weights_are_published_by_torchvision(backbone):
    assert usual_weights(backbone) == default_weights(backbone)
    assert default_weights(backbone) in published_names(backbone)


def test_the_usual_weights_of_lite0_are_the_file_that_installs_with_the_package():
    found = find_weights(LITE0, default_weights(LITE0))
    assert found.path.is_file()
    assert found.name == SHIPPED_LITE0 == usual_weights(LITE0)
    assert find_weights(LITE0, str(found.path)) == found


def test_a_timm_model_has_timms_own_weights():
    assert default_weights("timm/resnet18") == usual_weights("timm/resnet18") == "pretrained"

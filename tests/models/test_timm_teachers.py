"""Teachers that timm builds."""

import pytest
import skimage.data
import timm
import torch
from torch import nn

from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.models.timm_teachers import LITE0_MEAN, LITE0_STD
from rdrepro.models.weights import Weights
from rdrepro.runs.weights import shipped_lite0


def test_shipped_weights_fit_timms_network_and_classify_a_photograph():
    """The whole network with the shipped weights, loaded as the teacher is, says espresso."""
    network = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(shipped_lite0(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    coffee = torch.from_numpy(skimage.data.coffee()[:, 100:500]).permute(2, 0, 1)[None] / 255
    image = nn.functional.interpolate(coffee, (224, 224), mode="bilinear", antialias=True)
    espresso = 967  # of ImageNet's classes
    with torch.no_grad():
        assert network((image - LITE0_MEAN[0]) / LITE0_STD[0]).argmax() == espresso

    teacher = Teacher("efficientnet_lite0", Weights("shipped", shipped_lite0()))
    assert teacher.channels == (24, 40, 112)
    torch.testing.assert_close(
        teacher.encoder.blocks[4][2].conv_pwl.weight, network.blocks[4][2].conv_pwl.weight
    )
    fourth = FourthStage("efficientnet_lite0", Weights("shipped", shipped_lite0()))
    torch.testing.assert_close(
        fourth.stage[-1][0].conv_pwl.weight, network.blocks[-1][0].conv_pwl.weight
    )


def test_timm_models_without_the_strides_are_refused():
    with pytest.raises(ValueError, match="no feature maps at strides 4, 8 and 16"):
        Teacher("timm/vit_tiny_patch16_224", Weights("random"))

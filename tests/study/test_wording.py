"""Networks, devices, weights and settings in words."""

import pytest

from rdrepro.backbones import IMAGENET, SHIPPED_LITE0
from rdrepro.study import wording


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("resnet18", "ResNet-18"),
        ("wide_resnet50_2", "WideResNet-50-2"),
        ("efficientnet_lite0", "EfficientNet-Lite0"),
        ("timm/convnext_tiny", "timm/convnext_tiny"),
    ],
)
def test_a_network_has_the_name_that_papers_write(name, title):
    assert wording.network(name) == title


def test_a_device_is_named_without_its_memory():
    assert wording.device("cpu") == "CPU"
    assert wording.device("NVIDIA H100 80GB HBM3") == "NVIDIA H100"


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("random", "untrained weights"),
        (IMAGENET, "ImageNet weights"),
        (SHIPPED_LITE0, "weights that install with the package"),
        ("sha256:0123", "weights from another source"),
    ],
)
def test_weights_in_words(weights, said):
    assert wording.weights(weights, "efficientnet_lite0") == said


def test_departures_from_a_protocol_in_words():
    printed = {"backbone": "wide_resnet50_2", "epochs": 200, "weights": IMAGENET}
    ran = {"backbone": "resnet18", "epochs": 40, "sigma": 2.0}
    said = "ResNet-18 for WideResNet-50-2; 40 of 200 epochs; sigma: 2.0"
    assert wording.departures_in_words(ran, printed) == said
    assert wording.departures_in_words({"epochs": 300}, printed) == "300 epochs"


def test_conditions_in_words():
    text = "float32 on cpu; image_size=224 weights=random map_layers=(1, 2) precision=float32"
    said = "float32 on CPU; 224 px; untrained weights; map layers: (1, 2)"
    assert wording.conditions(text) == said
    assert wording.conditions("") == ""

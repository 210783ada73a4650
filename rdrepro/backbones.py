"""Names of teachers and their weights, and what can be read from a name alone. No torch."""

import re

LITE0 = "efficientnet_lite0"
VGG16 = "vgg16"  # the teacher of MKD only
TIMM = "timm/"
RANDOM = "random"
PRETRAINED = "pretrained"  # timm's own weights
IMAGENET = "IMAGENET1K_V1"  # the paper's (official resnet.py)
# The name in rows of the EfficientNet-Lite0 weights that install with the package.
SHIPPED_LITE0 = "sha256:579344248a93e230"
STRIDES = (4, 8, 16)  # of the maps that are distilled (Sec. 3.1)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BASE_WIDTH = 64  # of residual blocks, unless the network's name gives another
BASIC_RESNETS = ("resnet18", "resnet34")


class NoFourthStageError(ValueError):
    """Raised where a network, or the file of its weights, ends at stride 16."""


def default_weights(backbone: str) -> str:
    """The value that `weights` takes for a backbone when none is given."""
    if backbone == LITE0:
        return "shipped"
    return PRETRAINED if backbone.startswith(TIMM) else IMAGENET


def usual_weights(backbone: str) -> str:
    """The name that rows give to the weights of `default_weights`.

    For a timm model the name lacks timm's tag, which is not known here.
    """
    return SHIPPED_LITE0 if backbone == LITE0 else default_weights(backbone)


def base_width(backbone: str) -> int:
    """The base width of a torchvision ResNet's blocks; 64 for every other network.

    It is read from the name: "wide_" doubles it, and ResNeXt gives it after the groups (8 in
    32x8d).
    """
    grouped = re.fullmatch(r"resnext\d+_\d+x(\d+)d", backbone)
    if grouped:
        return int(grouped[1])
    return 2 * BASE_WIDTH if backbone.startswith("wide_resnet") else BASE_WIDTH


def has_bottleneck_blocks(backbone: str) -> bool:
    """Whether a teacher's blocks are bottlenecks, whose outputs are four times their width."""
    is_resnet = re.fullmatch(r"(wide_)?resnet\d+(_\d)?|resnext\d+_\d+x\d+d", backbone)
    return bool(is_resnet) and backbone not in BASIC_RESNETS

"""Names of teachers and of their weights, and what can be read from a name without torch."""

import re
from collections.abc import Sequence

from rdrepro.text import nearest

LITE0 = "efficientnet_lite0"
VGG16 = "vgg16"  # the teacher of MKD only
TIMM = "timm/"
RANDOM = "random"
PRETRAINED = "pretrained"  # timm's own weights
IMAGENET = "IMAGENET1K_V1"  # the paper's weights (official resnet.py)
# The name that result rows give to the EfficientNet-Lite0 weights that install with the package.
SHIPPED_LITE0 = "sha256:579344248a93e230"
STRIDES = (4, 8, 16)  # of the distilled maps (Sec. 3.1)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BASE_WIDTH = 64  # of residual blocks, unless the network's name gives another
# torchvision's networks with residual stages to distil; a test compares them with torchvision.
RESNETS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d"),
    *("wide_resnet101_2", "wide_resnet50_2"),
)
BASIC_RESNETS = ("resnet18", "resnet34")


class NoFourthStageError(ValueError):
    """Raised where a network, or its weights file, has no stage after the map of stride 16."""


def default_weights(backbone: str) -> str:
    """The value that `weights` takes for a backbone when none is given."""
    if backbone == LITE0:
        return "shipped"
    return PRETRAINED if backbone.startswith(TIMM) else IMAGENET


def usual_weights(backbone: str) -> str:
    """The name that result rows give to the weights of `default_weights`.

    For a timm model, rows add timm's tag to the name. The tag is not known here.
    """
    return SHIPPED_LITE0 if backbone == LITE0 else default_weights(backbone)


def base_width(backbone: str) -> int:
    """The base width of a torchvision ResNet's blocks; 64 for every other network.

    It is read from the network's name. The prefix "wide_" doubles it. The name of a ResNeXt states
    it after the number of groups: in "32x8d" it is 8.
    """
    grouped = re.fullmatch(r"resnext\d+_\d+x(\d+)d", backbone)
    if grouped:
        return int(grouped[1])
    return 2 * BASE_WIDTH if backbone.startswith("wide_resnet") else BASE_WIDTH


def has_bottleneck_blocks(backbone: str) -> bool:
    """Whether a teacher's blocks are bottlenecks, whose outputs are four times their width."""
    return backbone in RESNETS and backbone not in BASIC_RESNETS


def check_backbone(backbone: str, timm_models: Sequence[str] | None = None) -> None:
    """Raise ValueError for an unknown backbone. The message suggests the nearest name.

    timm_models: the names that timm has. Without them, any name after "timm/" is accepted.
    """
    known = [*RESNETS, LITE0, VGG16]
    if backbone.startswith(TIMM):
        if timm_models is None:
            return
        known = [TIMM + name for name in timm_models]
    if backbone.split(".")[0] not in known:  # timm's names may end in ".tag", the weights' own name
        raise ValueError(
            f"backbone={backbone!r} is neither a torchvision ResNet, nor {LITE0}, "
            f"nor a timm model written timm/NAME.{nearest(backbone, known)}"
        )

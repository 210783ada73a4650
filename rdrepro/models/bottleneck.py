"""The one-class bottleneck embedding, OCBE = MFF + OCE: f_E -> phi (Sec. 3.2, Fig. 4; Table 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck


def initialise(module: nn.Module) -> None:
    """Initialise as the official code does: convolutions by Kaiming's rule (fan out).

    Batch norms have a weight of 1 and a bias of 0. Transposed convolutions keep PyTorch's default
    (DEVIATIONS.md, D7).
    """
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    """A convolution without bias, followed by batch norm and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class MultiScaleFusion(nn.Module):
    """MFF: aligns the three maps to the deepest one's shape and concatenates them.

    [(B, C_1, H, W), (B, C_2, H/2, W/2), (B, C_3, H/4, W/4)] -> (B, 3 C_3, H/4, W/4). `projection`
    adds the paper's 1x1 convolution, which the official forward pass lacks (D2).
    """

    def __init__(self, channels: Sequence[int], projection: bool = False):
        super().__init__()
        c1, c2, c3 = channels
        self.align1 = nn.Sequential(conv_bn_relu(c1, c2, 3, 2), conv_bn_relu(c2, c3, 3, 2))
        self.align2 = conv_bn_relu(c2, c3, 3, 2)
        self.project = conv_bn_relu(3 * c3, 3 * c3, 1, 1) if projection else nn.Identity()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        f1, f2, f3 = features
        return self.project(torch.cat([self.align1(f1), self.align2(f2), f3], dim=1))


class DeepestMap(nn.Module):
    """The input of the OCE in a bottleneck without MFF: f_E^3 alone (Table 5, "Pre+OCE"; D26)."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return features[-1]


class OneClassBottleneck(nn.Module):
    """OCBE: f_E^1..3 -> phi (B, 2 C_3, H/32, W/32) (official resnet.py, `BN_layer`).

    channels: the teacher's C_1 to C_3. block: the OCE's kind of residual block. blocks: how many
    blocks the OCE has. width, groups: the base width and the groups of these blocks, as in
    torchvision. fusion: whether MFF is used; without it, the OCE receives f_E^3 alone.
    """

    def __init__(
        self,
        channels: Sequence[int],
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
        blocks: int = 2,
        width: int = 64,
        groups: int = 1,
        mff_projection: bool = False,
        fusion: bool = True,
    ):
        super().__init__()
        self.out_channels = 2 * channels[2]
        planes = self.out_channels // block.expansion
        self.mff = MultiScaleFusion(channels, mff_projection) if fusion else DeepestMap()
        in_channels = 3 * channels[2] if fusion else channels[2]
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, self.out_channels, 1, stride=2, bias=False),
            nn.BatchNorm2d(self.out_channels),
        )
        shape = {"groups": groups, "base_width": width}
        self.oce = nn.Sequential(
            block(in_channels, planes, stride=2, downsample=shortcut, **shape),
            *(block(self.out_channels, planes, **shape) for _ in range(blocks - 1)),
        )
        initialise(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.oce(self.mff(features))

"""The student decoder D: phi -> f_D, maps of the teacher's shapes, deep to shallow (Sec. 3.1)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from rdrepro.models.bottleneck import initialise


class StudentDecoder(nn.Module):
    """Mirrored residual network: phi (B, C, H/32, W/32) -> [f_D^1, f_D^2, f_D^3].

    f_D^k has the shape of f_E^k. blocks: the number of residual blocks of each stage, from deep to
    shallow (official de_resnet.py: 3, 4, 6; for ResNet-18 2, 2, 2). linear_heads: whether each
    output has a 1x1 convolution. Teachers whose maps have negative values need it, because a ReLU
    cannot restore them (DEVIATIONS.md, O4). in_channels: C, by default 2 C_3.
    """

    def __init__(
        self,
        channels: Sequence[int],
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
        blocks: Sequence[int] = (2, 2, 2),
        width: int = 64,
        groups: int = 1,
        linear_heads: bool = False,
        in_channels: int | None = None,
    ):
        super().__init__()
        deep_to_shallow = channels[::-1]
        inputs = (in_channels or 2 * channels[2], *deep_to_shallow[:-1])
        self.stages = nn.ModuleList(
            decoder_stage(block, n, c_in, c_out, width, groups)
            for n, c_in, c_out in zip(blocks, inputs, deep_to_shallow, strict=True)
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(c, c, 1) if linear_heads else nn.Identity() for c in deep_to_shallow
        )
        initialise(self)

    def forward(self, phi: Tensor) -> list[Tensor]:
        features, x = [], phi
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)  # twice as high and wide as its input
            features.append(head(x))
        return features[::-1]


def decoder_stage(
    block: type[BasicBlock] | type[Bottleneck],
    blocks: int,
    in_channels: int,
    out_channels: int,
    width: int,
    groups: int,
) -> nn.Sequential:
    """Residual blocks; the first one doubles height and width.

    The first is torchvision's block, with the strided convolution of the encoder replaced by a 2x2
    transposed one. In a basic block this is the first convolution, in a bottleneck block the
    second. The shortcut has a transposed convolution, too.
    """
    planes = out_channels // block.expansion
    shape = {"groups": groups, "base_width": width}
    shortcut = nn.Sequential(_upsample(in_channels, out_channels), nn.BatchNorm2d(out_channels))
    first = block(in_channels, planes, downsample=shortcut, **shape)
    strided = "conv1" if block is BasicBlock else "conv2"
    conv = getattr(first, strided)
    setattr(first, strided, _upsample(conv.in_channels, conv.out_channels, groups))
    return nn.Sequential(first, *(block(out_channels, planes, **shape) for _ in range(blocks - 1)))


def _upsample(in_channels: int, out_channels: int, groups: int = 1) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, groups=groups, bias=False)

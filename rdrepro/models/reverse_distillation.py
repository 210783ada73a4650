"""The whole model: teacher, one-class bottleneck and student (Fig. 3)."""

import re
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from rdrepro.config import RunConfig
from rdrepro.models.bottleneck import OneClassBottleneck
from rdrepro.models.student import StudentDecoder
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.models.weights import RESNETS, Weights, load_strictly, read_file, require_tensors

# Entries of official checkpoints that the official forward pass never uses (the authors' issue 36),
# or that another variant of the code left behind (D23).
DEAD_ENTRIES = re.compile(r"conv4\.|bn4\.|.*memory")


class ReverseDistillation(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> (f_E, f_D), each a list of three maps, shallow to deep."""

    def __init__(self, teacher: Teacher, bottleneck: nn.Module, student: StudentDecoder):
        super().__init__()
        self.teacher, self.bottleneck, self.student = teacher, bottleneck, student

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        f_e = self.teacher(images)
        return f_e, self.restore(f_e)

    def restore(self, f_e: list[Tensor]) -> list[Tensor]:
        """The student's maps f_D, restored from phi, the compact code of f_E."""
        return self.student(self.bottleneck(f_e))

    def kept(self) -> nn.ModuleDict:
        """The modules whose state is saved: the trained ones and, if they adapt, the batch norms.

        The teacher's batch norms adapt with `teacher_bn="train"` (E4).
        """
        moved = self.teacher.batch_norm == "train"
        norms = {"statistics": nn.ModuleList(self.teacher.batch_norms())} if moved else {}
        return nn.ModuleDict({**self.trainable(), **norms})

    def trainable(self) -> nn.ModuleDict:
        """The modules that training changes by gradients: bottleneck and student.

        A frozen bottleneck is left out.
        """
        trained = {"bottleneck": self.bottleneck, "student": self.student}
        if isinstance(self.bottleneck, FourthStage):
            del trained["bottleneck"]
        return nn.ModuleDict(trained)

    def load_official(self, path: str | Path) -> None:
        """Load the authors' checkpoint, a dictionary with bn and decoder.

        Raises ValueError where it does not fit.
        """
        path = Path(path)
        checkpoint = read_file(path)
        if not {"bn", "decoder"} <= set(checkpoint):
            raise ValueError(
                f"{path.name} is not an official checkpoint: its entries are "
                f"{', '.join(list(checkpoint)[:4])}, not bn and decoder"
            )
        bn, decoder = (require_tensors(checkpoint[k], path.name) for k in ("bn", "decoder"))
        state = {
            **{f"bottleneck.{k}": v for k, v in rename_bottleneck(bn).items()},
            **{f"student.{k}": v for k, v in rename_decoder(decoder).items()},
        }
        load_strictly(self.trainable(), state, path.name)


def build_parts(config: RunConfig, weights: Weights) -> tuple[Teacher, nn.Module, StudentDecoder]:
    """Build the teacher, bottleneck and student of a configuration.

    The initial weights depend on torch's seed.
    """
    teacher = Teacher.of(config, weights)
    pretrained = config.bottleneck == "pretrained"
    frozen = FourthStage(config.backbone, weights) if pretrained else None
    bottleneck, student = build_trainable(
        config.backbone,
        teacher.channels,
        oce_width=config.oce_width,
        mff_projection=config.mff_projection,
        linear_heads=not teacher.rectified,
        fusion=config.bottleneck == "oce+mff",
        frozen=frozen,
    )
    return teacher, bottleneck, student


def build_trainable(
    backbone: str,
    channels: tuple[int, ...],
    oce_width: int,
    mff_projection: bool = False,
    linear_heads: bool = False,
    fusion: bool = True,
    frozen: FourthStage | None = None,
) -> tuple[nn.Module, StudentDecoder]:
    """Build bottleneck and student for a teacher with these channels.

    For a torchvision ResNet they have the teacher's kind of block, depths and groups. For any other
    teacher they have basic blocks, two a stage (DEVIATIONS.md, O3 and O5). oce_width: the base
    width of the OCE's blocks. frozen: a bottleneck that needs no training, used in place of a new
    one.
    """
    block, depths, width, groups = residual_design(backbone)
    bottleneck = frozen or OneClassBottleneck(
        channels, block, depths[0], oce_width, groups, mff_projection, fusion
    )
    student = StudentDecoder(
        channels, block, depths, width, groups, linear_heads, bottleneck.out_channels
    )
    return bottleneck, student


def residual_design(
    backbone: str,
) -> tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...], int, int]:
    """The kind of block, blocks per stage, base width and groups of the student of a teacher.

    Stages are counted from deep to shallow, but their numbers of blocks are in the teacher's own
    order and not mirrored (official de_resnet.py; D5). ResNet-50's first three stages have 3, 4 and
    6 blocks, so the student's deepest stage has 3 and its shallowest 6. The OCE has as many blocks
    as the teacher's first stage.
    """
    if backbone not in RESNETS:
        return BasicBlock, (2, 2, 2), 64, 1
    with torch.device("meta"):
        resnet = torchvision.models.get_model(backbone, weights=None)
    stages = (resnet.layer1, resnet.layer2, resnet.layer3)
    block = type(resnet.layer1[0])
    return block, tuple(len(s) for s in stages), resnet.base_width, resnet.groups


OFFICIAL_NAMES = {
    "conv1": "mff.align1.0.0",
    "bn1": "mff.align1.0.1",
    "conv2": "mff.align1.1.0",
    "bn2": "mff.align1.1.1",
    "conv3": "mff.align2.0",
    "bn3": "mff.align2.1",
    "bn_layer": "oce",
}


def rename_bottleneck(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the entries of the official `BN_layer` to ours, without those that are never used."""
    parts = {name: name.partition(".") for name in state if not DEAD_ENTRIES.match(name)}
    return {
        f"{OFFICIAL_NAMES.get(head, head)}.{rest}": state[name]
        for name, (head, _, rest) in parts.items()
    }


def rename_decoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the entries of the official decoder, whose layer1 is the deepest stage, to ours.

    Entries that are never used are left out.
    """
    return {
        re.sub(r"^layer(\d)", lambda m: f"stages.{int(m[1]) - 1}", name).replace(
            "upsample", "downsample"
        ): tensor
        for name, tensor in state.items()
        if not DEAD_ENTRIES.match(name)
    }

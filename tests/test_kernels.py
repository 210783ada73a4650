"""Training on small images by matrix products: the same is computed and learned."""

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

import rdrepro as rd
from rdrepro.distillation import DistillationDetector
from rdrepro.kernels import OneCellConv, fast_kernels
from rdrepro.models.bottleneck import OneClassBottleneck
from rdrepro.models.student import StudentDecoder
from rdrepro.stepping import Stepper

CHANNELS = (8, 16, 32)  # of a teacher; few, since no result here depends on how many
CONFIG = rd.RunConfig(backbone="resnet18", weights="random", image_size=32, oce_width=64, lr=1e-3)


def small_model():
    """Bottleneck and student of basic blocks, to train on a teacher's features."""
    torch.manual_seed(CONFIG.seed)
    parts = OneClassBottleneck(CHANNELS), StudentDecoder(CHANNELS)
    return DistillationDetector(nn.Identity(), *parts).double().train()


def features(images, seed=0, size=32):
    generator = torch.Generator().manual_seed(seed)
    sides = (size // 4, size // 8, size // 16)
    return [
        torch.rand(images, c, n, n, generator=generator, dtype=torch.float64)
        for c, n in zip(CHANNELS, sides, strict=True)
    ]


class Batches:
    """In the place of a teacher's features of a data set: a batch by its number."""

    device = torch.device("cpu")

    def __init__(self, size):
        self.size = size

    def __getitem__(self, number):
        return features(4, number, self.size)


def test_training_by_matrix_products_learns_the_same():
    trained = []
    for code_cells in (1, 2):  # with 2 the convolutions stay as they are
        model = small_model()
        with fast_kernels(model.bottleneck, code_cells):
            stepper = Stepper(model, Batches(32), CONFIG)
            losses = [stepper(n).item() for n in range(4)]
        trained.append((model.trainable().state_dict(), losses))
    (fast, fast_losses), (whole, whole_losses) = trained
    assert fast_losses == pytest.approx(whole_losses, rel=1e-9)
    # Where a gradient is next to nothing, Adam turns rounding into a step.
    for name, value in whole.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-6, atol=1e-6, msg=name)


def test_two_cells_keep_their_convolutions():
    bottleneck = OneClassBottleneck(CHANNELS)
    with fast_kernels(bottleneck, 2):
        assert not any(isinstance(m, OneCellConv) for m in bottleneck.modules())


def test_kernel_cells_that_meet_padding_alone_are_most_and_never_move():
    model = small_model()
    before = model.bottleneck.oce[1].conv1.weight.detach().clone()
    with fast_kernels(model.bottleneck, 1):
        parts = [m for m in model.modules() if isinstance(m, OneCellConv)]
        assert sorted(p.weight.shape[-1] for p in parts) == [1, 1, 1, 2]
        Stepper(model, Batches(32), CONFIG)(0)
    moved = (model.bottleneck.oce[1].conv1.weight != before).flatten(2).any(dim=1).any(dim=0)
    assert moved.tolist() == [False] * 4 + [True] + [False] * 4


@pytest.mark.parametrize(
    ("block", "width", "groups", "swapped"),
    [(BasicBlock, 64, 1, 6), (Bottleneck, 64, 1, 3), (Bottleneck, 4, 32, 0)],
    ids=["resnet18", "resnet50", "resnext50_32x4d"],
)
def test_every_kind_of_block_computes_the_same(block, width, groups, swapped):
    torch.manual_seed(0)
    bottleneck = OneClassBottleneck(CHANNELS, block, 3, width, groups).double().eval()
    f_e = features(2)
    expected = bottleneck(f_e)
    kinds = [type(m) for m in bottleneck.modules()]
    with fast_kernels(bottleneck, 1):
        found = [type(m) for m in bottleneck.modules()]
        assert sum(a is not b for a, b in zip(kinds, found, strict=True)) == swapped
        torch.testing.assert_close(bottleneck(f_e), expected, rtol=1e-9, atol=1e-9)


def test_kernels_are_whole_again_after_an_error():
    bottleneck = OneClassBottleneck((4, 8, 16))
    kinds = [type(m) for m in bottleneck.modules()]
    with pytest.raises(KeyError), fast_kernels(bottleneck, 1):
        raise KeyError
    assert [type(m) for m in bottleneck.modules()] == kinds

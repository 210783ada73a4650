"""Bottlenecks of Table 5 and teachers of Table 6, inside the whole model."""

import pytest
import torch
import torchvision

from rdrepro.backbones import LITE0
from rdrepro.config import BOTTLENECKS, RunConfig
from rdrepro.methods import build_model
from rdrepro.models.bottleneck import OneClassBottleneck
from rdrepro.models.reverse_distillation import build_trainable, residual_design
from rdrepro.models.student import StudentDecoder
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.models.weights import RESNETS, Weights

RANDOM = Weights("random")


def built(backbone="resnet18", **changes):
    """A model of Reverse Distillation with random weights, at its backbone's width."""
    width = residual_design(backbone)[2]
    settings = {"backbone": backbone, "weights": "random", "oce_width": width, "image_size": 64}
    return build_model(RunConfig(**settings | changes), RANDOM)


def trained(module):
    """How many parameters of a module are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", LITE0])
@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_every_bottleneck_feeds_the_student(backbone, bottleneck):
    model = built(backbone, bottleneck=bottleneck).eval()
    f_e, f_d = model(torch.rand(2, 3, 64, 96))
    assert [f.shape for f in f_e] == [f.shape for f in f_d]
    phi = model.bottleneck(f_e)
    assert phi.shape == (2, model.bottleneck.out_channels, 2, 3)
    deepest = model.bottleneck([f_e[0] * 0, f_e[1] * 0, f_e[2]])
    assert torch.equal(phi, deepest) == (bottleneck != "oce+mff")


def test_a_pretrained_bottleneck_is_frozen():
    model = built(bottleneck="pretrained").train()
    assert not any(m.training for m in model.bottleneck.modules())
    assert trained(model.bottleneck) == 0
    assert set(model.trainable()) == {"student"}


def test_lite0s_fourth_stage_continues_the_teacher():
    import timm

    from rdrepro.runs.weights import find_weights

    weights = find_weights(LITE0, "shipped")
    teacher, stage = (kind(LITE0, weights) for kind in (Teacher, FourthStage))
    network = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    state = torch.load(weights.path, weights_only=True)
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    whole = dict(zip(names, state.values(), strict=True))
    network.load_state_dict({k: whole[k] for k in network.state_dict()})
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = network((images - teacher.mean) / teacher.std)[-1]
    torch.testing.assert_close(stage(teacher(images)), expected)


def test_an_embedding_alone_has_the_full_bottlenecks_blocks_on_a_third_of_the_input():
    alone, full = (built("resnet50", bottleneck=b).bottleneck for b in ("oce", "oce+mff"))
    assert trained(alone.mff) == 0
    # The first block's first convolution and the shortcut read C_3 channels instead of 3 C_3.
    assert trained(full.oce) - trained(alone.oce) == 2 * 1024 * (512 + 2048)


def test_the_choice_of_a_bottleneck_moves_no_random_number_of_the_method():
    """The student's first weights at seed 0 are those drawn for the paper's own bottleneck."""
    model = built(seed=0)
    torch.manual_seed(0)
    teacher = Teacher("resnet18", RANDOM)
    bottleneck = OneClassBottleneck(teacher.channels)
    student = StudentDecoder(teacher.channels)
    for own, expected in ((model.bottleneck, bottleneck), (model.student, student)):
        state = own.state_dict()
        assert all(torch.equal(state[k], v) for k, v in expected.state_dict().items())


def same_shape(norm, x):
    """What a batch norm does to a tensor without values, which torch works out slowly."""
    assert x.shape[1] == norm.num_features
    return x


@pytest.mark.parametrize("backbone", RESNETS)
def test_every_torchvision_resnet_can_teach(backbone, monkeypatch):
    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", same_shape)
    with torch.device("meta"):
        resnet = torchvision.models.get_model(backbone, weights=None)
        c3 = resnet.layer3[-1].conv1.in_channels
        width = residual_design(backbone)[2]
        bottleneck, student = build_trainable(backbone, (c3 // 4, c3 // 2, c3), width)
        x = torch.empty(1, 3, 64, 64)
        x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(x))))
        f1 = resnet.layer1(x)
        f2 = resnet.layer2(f1)
        f_e = [f1, f2, resnet.layer3(f2)]
        f_d = student(bottleneck(f_e))
    assert [f.shape for f in f_d] == [f.shape for f in f_e]
    assert [64 // f.shape[-1] for f in f_e] == [4, 8, 16]

"""The frozen teacher: its maps, its switches, its fourth stage, and the weights that it takes."""

import pytest
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.functional import normalize

from rdrepro.backbones import NoFourthStageError
from rdrepro.config import RunConfig
from rdrepro.methods import build_model
from rdrepro.models.reverse_distillation import residual_design
from rdrepro.models.teacher import FourthStage, Teacher, check_teacher
from rdrepro.models.weights import Weights

RANDOM = Weights("random")
SIZE = 64


def config(backbone, **changes):
    width = residual_design(backbone)[2]
    return RunConfig(backbone=backbone, weights="random", oce_width=width, **changes)


def test_the_teacher_is_torchvisions_network_on_normalised_images():
    teacher = Teacher("resnet18", RANDOM)
    network = torchvision.models.resnet18(weights=None).eval()
    network.load_state_dict(teacher.encoder.state_dict(), strict=False)
    reference = create_feature_extractor(network, ["layer1", "layer2", "layer3"])
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    normalised = normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for own, expected in zip(teacher(images), reference(normalised).values(), strict=True):
        torch.testing.assert_close(own, expected)


def test_teacher_is_frozen_and_in_eval_mode_whatever_the_models_mode():
    model = build_model(config("resnet18"), RANDOM)
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    model.train()
    f_e, f_d = model(torch.rand(2, 3, 64, 64))
    sum(f.mean() for f in f_d).backward()
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert not any(m.training for m in model.teacher.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.teacher.state_dict().items())
    assert not any(f.requires_grad for f in f_e)
    assert all(p.grad is not None for p in model.trainable().parameters())


def test_batch_statistics_are_used_in_training_and_move_those_of_testing():
    model = build_model(config("resnet18", teacher_bn="train"), RANDOM)
    frozen = build_model(config("resnet18"), RANDOM).teacher
    running = model.teacher.encoder.bn1.running_mean.clone()
    images = torch.rand(4, 3, 64, 64)
    in_training = model.train().teacher(images)
    assert not torch.allclose(in_training[0], frozen(images)[0], atol=1e-3)
    seen = model.teacher.encoder.conv1((images - model.teacher.mean) / model.teacher.std)
    moved = 0.9 * running + 0.1 * seen.mean(dim=(0, 2, 3))  # PyTorch's momentum
    torch.testing.assert_close(model.teacher.encoder.bn1.running_mean, moved)
    assert not torch.allclose(model.eval().teacher(images)[0], frozen(images)[0], atol=1e-3)
    other = build_model(config("resnet18", teacher_bn="train"), RANDOM)
    other.kept().load_state_dict(model.kept().state_dict())
    torch.testing.assert_close(other.eval().teacher(images), model.teacher(images))
    assert set(model.kept()) - set(model.trainable()) == {"statistics"}


@pytest.mark.parametrize("epsilon", [0, 1e-5, 1e-3])  # torchvision's, EfficientNet-Lite0's
def test_batch_statistics_refuse_folded_weights(epsilon, tmp_path):
    state = Teacher("resnet18", RANDOM).encoder.state_dict()
    for name in state:
        if name.endswith("running_var"):
            state[name] -= epsilon  # as folding leaves it
    torch.save(state, tmp_path / "folded.pth")
    with pytest.raises(ValueError, match="folded into its convolutions"):
        Teacher("resnet18", Weights("sha256:0", tmp_path / "folded.pth"), "train")


def test_batch_statistics_need_batch_norms():
    with pytest.raises(ValueError, match="has none"):
        Teacher("timm/convnext_atto", RANDOM, "train")


def test_without_normalisation_the_teacher_sees_the_images_as_they_are():
    torch.manual_seed(0)
    raw = Teacher("resnet18", RANDOM, normalise="none")
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(raw(images)[0], raw.encoder(images)[0])
    usual = Teacher("resnet18", RANDOM)
    usual.encoder = raw.encoder
    assert not torch.allclose(usual(images)[0], raw(images)[0])


def test_without_max_pool_maps_are_twice_as_fine():
    teacher = Teacher("resnet18", RANDOM, stem="no_maxpool")
    assert [f.shape[-1] for f in teacher(torch.rand(1, 3, 32, 32))] == [16, 8, 4]
    names = Teacher("resnet18", RANDOM).encoder.state_dict().keys()
    assert teacher.encoder.state_dict().keys() == names


def test_symmetric_images_span_minus_one_to_one():
    teacher = Teacher("resnet18", Weights("random"), normalise="symmetric")
    seen = []
    teacher.encoder.conv1.register_forward_hook(lambda _, images, __: seen.append(images[0]))
    teacher(torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)]))
    assert seen[0].amin(dim=(1, 2, 3)).tolist() == seen[0].amax(dim=(1, 2, 3)).tolist() == [-1, 1]


def test_the_fourth_stage_is_the_rest_of_torchvisions_network(tmp_path):
    torch.manual_seed(8)
    network = torchvision.models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    found = Weights("sha256:0", tmp_path / "whole.pth")
    stage = FourthStage("resnet18", found).train()
    assert not any(p.requires_grad for p in stage.parameters())
    assert not any(m.training for m in stage.modules())
    images = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    whole = create_feature_extractor(network, ["layer4"])
    expected = whole((images - 0.5) / 0.5)["layer4"]
    f_e = Teacher("resnet18", found, normalise="symmetric")(images)
    torch.testing.assert_close(stage(f_e), expected)
    assert stage.out_channels == 512 == expected.shape[1]


def test_a_network_without_a_fourth_stage_is_refused(resnet_file):
    with pytest.raises(NoFourthStageError, match="'timm/resnet18' has no fourth stage"):
        FourthStage("timm/resnet18", RANDOM)
    with pytest.raises(NoFourthStageError, match=r"teacher\.pth has no layer4"):
        FourthStage("resnet18", Weights("sha256:0", resnet_file))


@pytest.mark.parametrize(
    ("backbone", "nearest"),
    [
        ("resnet19", "Did you mean 'resnet1"),
        ("wide_resnet50", "Did you mean 'wide_resnet50_2'"),
        ("timm/resnet18d_", "Did you mean 'timm/resnet18d'"),
        ("", "neither a torchvision ResNet"),
    ],
)
def test_unknown_backbones_are_refused_with_the_nearest_name(backbone, nearest):
    with pytest.raises(ValueError, match=nearest):
        Teacher(backbone, RANDOM)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "timm/resnet18"])
def test_a_stem_without_max_pool_needs_a_torchvision_resnet(backbone):
    settings = {"weights": "random", "stem": "no_maxpool", "oce_width": 64}
    check_teacher(RunConfig(backbone="resnet18", **settings))
    with pytest.raises(ValueError, match="stem='no_maxpool' needs a torchvision ResNet, not"):
        check_teacher(RunConfig(backbone=backbone, **settings))

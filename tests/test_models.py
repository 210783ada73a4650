"""Teacher, bottleneck and student: shapes, frozenness, sizes, initialisation, checkpoints."""

import math

import pytest
import skimage.data
import timm
import torch
from torch import nn

from rdrepro.config import RunConfig
from rdrepro.methods import build_model
from rdrepro.models.bottleneck import OneClassBottleneck
from rdrepro.models.reverse_distillation import build_trainable, residual_design
from rdrepro.models.teacher import Teacher, check_backbone
from rdrepro.models.timm_teachers import LITE0_MEAN, LITE0_STD
from rdrepro.models.weights import Weights
from rdrepro.runs.weights import shipped_lite0

RANDOM = Weights("random")
# Official BN_layer (without conv4 and bn4) and de_resnet, by the shapes of their layers.
OFFICIAL_SIZES = {
    "resnet18": (11_680_000, 3_703_168),
    "resnet34": (16_400_640, 5_770_624),
    "resnet50": (30_829_568, 15_821_824),
    "wide_resnet50_2": (58_885_120, 24_917_504),
}
CHANNELS = {"resnet18": (64, 128, 256), "resnet34": (64, 128, 256)}
DEEP_CHANNELS = (256, 512, 1024)
DEAD_PARAMETERS = 8_392_704  # conv4 and bn4 of the official WideResNet checkpoint


def config(backbone, **changes):
    width = residual_design(backbone)[2]
    return RunConfig(backbone=backbone, weights="random", oce_width=width, **changes)


def size(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("backbone", OFFICIAL_SIZES)
def test_sizes_are_the_official_ones(backbone):
    with torch.device("meta"):
        parts = build_trainable(
            backbone, CHANNELS.get(backbone, DEEP_CHANNELS), residual_design(backbone)[2]
        )
    assert tuple(map(size, parts)) == OFFICIAL_SIZES[backbone]


def test_table_3_memory_is_the_checkpoint_with_its_dead_layer():
    trained = sum(OFFICIAL_SIZES["wide_resnet50_2"])
    assert round((trained + DEAD_PARAMETERS) * 4 / 2**20, 1) == 351.7
    assert round(trained * 4 / 2**20, 1) == 319.7


@pytest.mark.parametrize("backbone", ["resnet18", "resnext50_32x4d", "efficientnet_lite0"])
def test_student_restores_the_teachers_shapes(backbone):
    model = build_model(config(backbone), RANDOM).eval()
    with torch.no_grad():
        f_e, f_d = model(torch.rand(2, 3, 64, 96))
        phi = model.bottleneck(f_e)
    assert [f.shape for f in f_e] == [f.shape for f in f_d]
    assert [f.shape[-2:] for f in f_e] == [(16, 24), (8, 12), (4, 6)]
    assert phi.shape == (2, 2 * f_e[2].shape[1], 2, 3)


def test_any_timm_model_with_the_strides_can_teach():
    model = build_model(config("timm/mobilenetv3_small_050"), RANDOM).eval()
    with torch.no_grad():
        f_e, f_d = model(torch.rand(1, 3, 64, 64))
    assert [f.shape for f in f_e] == [f.shape for f in f_d]
    assert isinstance(model.student.heads[0], nn.Conv2d)  # its maps take negative values


def test_heads_are_linear_only_where_the_teachers_maps_are_not_rectified():
    lite0, resnet = (build_model(config(b), RANDOM) for b in ("efficientnet_lite0", "resnet18"))
    assert not lite0.teacher.rectified and resnet.teacher.rectified
    assert all(isinstance(h, nn.Conv2d) for h in lite0.student.heads)
    assert all(isinstance(h, nn.Identity) for h in resnet.student.heads)


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


def test_initialisation_is_the_official_one():
    torch.manual_seed(0)
    bottleneck, student = build_trainable("resnet18", CHANNELS["resnet18"], 64)
    conv = bottleneck.oce[1].conv2  # Kaiming, fan out: SD = sqrt(2 / (9 * 512))
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)
    transposed = student.stages[0][0].conv1  # PyTorch's default: uniform, fan = 4 * 256 outputs
    bound = 1 / math.sqrt(transposed.weight[0].numel())
    assert transposed.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert transposed.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    for module in (*bottleneck.modules(), *student.modules()):
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


def test_projection_is_the_papers_one_by_one_convolution():
    plain, projected = (OneClassBottleneck((8, 16, 32), mff_projection=p) for p in (False, True))
    assert size(projected) - size(plain) == 96 * 96 + 2 * 96
    f_e = [torch.rand(2, 8 * 2**k, 16 // 2**k, 16 // 2**k) for k in range(3)]
    assert projected(f_e).shape == plain(f_e).shape == (2, 64, 2, 2)


def test_seed_decides_every_weight():
    def states(seed):
        model = build_model(config("efficientnet_lite0", seed=seed), RANDOM)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(states(1), states(1))
    assert not torch.equal(states(1), states(2))


def test_shipped_weights_fit_timms_network_and_know_their_classes():
    """The whole network with the shipped weights, loaded as the teacher is, sees an espresso."""
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


def official_checkpoint(model):
    """The authors' layout: their names, dead layers, and a stray memory entry."""
    mff = {"align1.0.0": "conv1", "align1.0.1": "bn1", "align1.1.0": "conv2", "align1.1.1": "bn2"}
    mff |= {"align2.0": "conv3", "align2.1": "bn3"}
    bn = {}
    for name, tensor in model.bottleneck.state_dict().items():
        if name.startswith("oce."):
            bn[name.replace("oce.", "bn_layer.")] = tensor
        else:
            ours = next(k for k in mff if name.startswith(f"mff.{k}."))
            bn[name.replace(f"mff.{ours}", mff[ours])] = tensor
    bn |= {"conv4.weight": torch.zeros(2), "bn4.bias": torch.zeros(2), "memory": torch.zeros(1)}
    decoder = {
        f"layer{int(k.split('.')[1]) + 1}.{k.split('.', 2)[2].replace('downsample', 'upsample')}": v
        for k, v in model.student.state_dict().items()
    }
    return {"bn": bn, "decoder": decoder}


def test_official_checkpoints_load(tmp_path):
    source, target = (build_model(config("resnet18", seed=s), RANDOM) for s in (1, 2))
    torch.save(official_checkpoint(source), tmp_path / "wres50_bottle.pth")
    target.load_official(tmp_path / "wres50_bottle.pth")
    loaded, expected = target.trainable().state_dict(), source.trainable().state_dict()
    assert all(torch.equal(loaded[k], expected[k]) for k in expected)


def test_official_checkpoints_that_do_not_fit_say_why(tmp_path):
    model = build_model(config("resnet18"), RANDOM)
    checkpoint = official_checkpoint(model)
    del checkpoint["decoder"]["layer3.1.conv2.weight"]
    torch.save(checkpoint, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"1 entries missing.*stages\.2\.1\.conv2\.weight"):
        model.load_official(tmp_path / "a.pth")
    torch.save({"bn": 3, "decoder": {}}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match=r"c\.pth holds no state dict"):
        model.load_official(tmp_path / "c.pth")
    torch.save({"model": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"b\.pth is no official checkpoint"):
        model.load_official(tmp_path / "b.pth")


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
        check_backbone(backbone)


def test_timm_models_without_the_strides_are_refused():
    with pytest.raises(ValueError, match="no feature maps at strides 4, 8 and 16"):
        Teacher("timm/vit_tiny_patch16_224", RANDOM)

"""The whole model: sizes, shapes, seeds and the authors' checkpoints."""

import pytest
import torch
from torch import nn

from rdrepro.config import RunConfig
from rdrepro.distillation import dead_parameters
from rdrepro.methods import build_model
from rdrepro.models.reverse_distillation import build_trainable, residual_design
from rdrepro.models.weights import Weights

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
    assert dead_parameters("wide_resnet50_2") == DEAD_PARAMETERS
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


def test_structure_settings_reach_the_bottleneck():
    projected = build_model(config("efficientnet_lite0", mff_projection=True), RANDOM).bottleneck
    assert projected.mff.project[0].weight.shape == (336, 336, 1, 1)
    wide = RunConfig(backbone="resnet50", weights="random", oce_width=128)
    assert build_model(wide, RANDOM).bottleneck.oce[0].conv1.out_channels == 1024


def test_seed_decides_every_weight():
    def states(seed):
        model = build_model(config("efficientnet_lite0", seed=seed), RANDOM)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(states(1), states(1))
    assert not torch.equal(states(1), states(2))


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
    with pytest.raises(ValueError, match=r"b\.pth is not an official checkpoint"):
        model.load_official(tmp_path / "b.pth")

"""Bottlenecks, teachers and layers in variants; what testing costs; Tables 5-7 in shape."""

import copy
import json
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torchvision

import rdrepro as rd
from rdrepro.methods import build_model
from rdrepro.models.reverse_distillation import residual_design
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.models.weights import RESNETS, Weights
from rdrepro.paths import ROOT
from rdrepro.runs import cost
from rdrepro.study import ablation as ablations
from rdrepro.study import variants as studies

RANDOM = Weights("random")
TEMPLATE = json.loads(next((ROOT / "results/runs/readme").glob("*.json")).read_text())


def config(backbone="resnet18", **changes):
    width = residual_design(backbone)[2]
    settings = {"backbone": backbone, "weights": "random", "oce_width": width, "image_size": 64}
    return rd.RunConfig(**settings | changes)


def size(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


# Bottlenecks (Table 5)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "efficientnet_lite0"])
@pytest.mark.parametrize("bottleneck", ["pretrained", "oce", "oce+mff"])
def test_every_bottleneck_feeds_the_student(backbone, bottleneck):
    model = build_model(config(backbone, bottleneck=bottleneck), RANDOM).eval()
    f_e, f_d = model(torch.rand(2, 3, 64, 96))
    assert [f.shape for f in f_e] == [f.shape for f in f_d]
    phi = model.bottleneck(f_e)
    assert phi.shape == (2, model.bottleneck.out_channels, 2, 3)
    if bottleneck != "oce+mff":  # both see the deepest map alone
        assert torch.equal(phi, model.bottleneck([f_e[0] * 0, f_e[1] * 0, f_e[2]]))


def test_the_pretrained_bottleneck_is_the_networks_own_fourth_stage_frozen():
    network = torchvision.models.resnet18(weights=None).eval()
    path_free = FourthStage("resnet18", RANDOM)
    path_free.stage.load_state_dict(network.layer4.state_dict())
    f3 = torch.rand(2, 256, 4, 4)
    path_free.train()
    torch.testing.assert_close(path_free([f3]), network.layer4(f3))
    model = build_model(config(bottleneck="pretrained"), RANDOM).train()
    assert not any(m.training for m in model.bottleneck.modules())
    assert size(model.bottleneck) == 0
    assert set(model.trainable()) == {"student"}


def test_the_fourth_stages_weights_come_from_the_teachers_file(tmp_path):
    network = torchvision.models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    stage = FourthStage("resnet18", Weights("sha256:0", tmp_path / "whole.pth"))
    own, expected = stage.stage.state_dict(), network.layer4.state_dict()
    assert all(torch.equal(own[k], expected[k]) for k in expected)


def test_lite0s_fourth_stage_continues_the_teacher():
    import timm

    from rdrepro.runs.weights import find_weights

    weights = find_weights("efficientnet_lite0", "shipped")
    teacher, stage = (kind("efficientnet_lite0", weights) for kind in (Teacher, FourthStage))
    network = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    state = torch.load(weights.path, weights_only=True)
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    whole = dict(zip(names, state.values(), strict=True))
    network.load_state_dict({k: whole[k] for k in network.state_dict()})
    images = torch.rand(1, 3, 64, 64)
    expected = network((images - teacher.mean) / teacher.std)[-1]
    torch.testing.assert_close(stage(teacher(images)), expected)


def test_oce_alone_has_the_full_bottlenecks_blocks_on_a_third_of_the_input():
    alone, full = (
        build_model(config("resnet50", bottleneck=b), RANDOM).bottleneck for b in ("oce", "oce+mff")
    )
    assert size(alone.mff) == 0
    # The first block's first convolution and the shortcut read C_3 channels instead of 3 C_3.
    assert size(full.oce) - size(alone.oce) == 2 * 1024 * (512 + 2048)


def test_adding_bottlenecks_moved_no_random_number_of_the_method():
    """The first weights of the student at seed 0, as they were before there was a choice."""
    model = build_model(config(seed=0), RANDOM)
    torch.manual_seed(0)
    teacher = Teacher("resnet18", RANDOM)
    bottleneck = rd.OneClassBottleneck(teacher.channels)
    student = rd.StudentDecoder(teacher.channels)
    for built, expected in ((model.bottleneck, bottleneck), (model.student, student)):
        own = built.state_dict()
        assert all(torch.equal(own[k], v) for k, v in expected.state_dict().items())


# Teachers (Table 6)


@pytest.mark.parametrize("backbone", RESNETS)
def test_every_torchvision_resnet_can_teach(backbone):
    with torch.device("meta"):
        resnet = torchvision.models.get_model(backbone, weights=None)
        c3 = resnet.layer3[-1].conv1.in_channels
        channels = (c3 // 4, c3 // 2, c3)
        width = residual_design(backbone)[2]
        bottleneck, student = rd.models.reverse_distillation.build_trainable(
            backbone, channels, width
        )
        x = torch.empty(1, 3, 64, 64)
        x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(x))))
        f1 = resnet.layer1(x)
        f2 = resnet.layer2(f1)
        f_e = [f1, f2, resnet.layer3(f2)]
        f_d = student(bottleneck(f_e))
    assert [f.shape for f in f_d] == [f.shape for f in f_e]
    assert [64 // f.shape[-1] for f in f_e] == [4, 8, 16]


def test_backbones_are_named_with_or_without_weights():
    variants = studies.backbone_variants("resnet18=a.pth, timm/x ,resnet18=random", False)
    assert variants == {
        "resnet18, a.pth": {"backbone": "resnet18", "weights": "a.pth"},
        "timm/x": {"backbone": "timm/x"},
        "resnet18, random": {"backbone": "resnet18", "weights": "random"},
    }
    assert list(studies.backbone_variants(None, False)) == [
        "resnet18",
        "resnet50",
        "wide_resnet50_2",
    ]
    for wrong in ("resnet18,resnet18", "resnet18,,resnet50"):
        with pytest.raises(ValueError, match="twice or not at all"):
            studies.backbone_variants(wrong, False)


# Layers (Table 7)


def test_readings_of_table_7():
    assert studies.layer_variants("test")["M2,3"] == {"map_layers": "2,3"}
    trained = studies.layer_variants("train")
    assert trained["M2,3 (trained)"] == {"train_layers": "2,3", "map_layers": "2,3"}
    assert len(studies.layer_variants("both")) == 9
    with pytest.raises(ValueError, match="reading='best' is not test, train or both"):
        studies.layer_variants("best")


def test_maps_chosen_when_testing_train_once(tmp_path, monkeypatch):
    fitted, fit = [], rd.training.fit
    monkeypatch.setattr(rd.training, "fit", lambda *a, **k: fitted.append(a) or fit(*a, **k))
    given = {"preset": "demo", "category": "bottle", "image_size": 64, "epochs": 1}
    runs = {
        name: rd.resolve(results_dir=str(tmp_path), **given, **changes)
        for name, changes in studies.layer_variants("test").items()
    }
    outcomes = studies.run_variants(runs)
    assert len(fitted) == 1
    assert len(list((tmp_path / "demo").glob("*.json"))) == 5
    whole, parts = outcomes["M1,2,3"].predictions, [outcomes[f"M{k}"].predictions for k in "123"]
    np.testing.assert_allclose(whole.maps, sum(p.maps for p in parts), atol=1e-5)


def test_a_variant_without_a_fourth_stage_is_left_out_and_said_so(tmp_path, small_mvtec, capsys):
    torch.save(Teacher("resnet18", RANDOM).encoder.state_dict(), tmp_path / "short.pth")
    namespace = {"preset": "quick", "category": "bottle", "data_root": str(small_mvtec)}
    namespace |= {"weights": str(tmp_path / "short.pth"), "results_dir": str(tmp_path)}
    runs = studies.resolve_variants(namespace, studies.BOTTLENECK_VARIANTS)
    assert list(runs) == ["Pre+OCE", "Pre+OCE+MFM"]
    assert "Pre is left out: the weights file short.pth has no layer4" in capsys.readouterr().out


# Complexity (Table 3)


def test_the_paper_counts_its_checkpoint_in_mib():
    with torch.device("meta"):
        teacher = Teacher.__new__(Teacher)
    c = rd.RunConfig(weights="random")
    with torch.device("meta"):
        torch.nn.Module.__init__(teacher)
        parts = rd.models.reverse_distillation.build_trainable(
            c.backbone, (256, 512, 1024), c.oce_width
        )
    found = cost.sizes(rd.ReverseDistillation(teacher, *parts), c)
    assert tuple(map(size, parts)) == (58_885_120, 24_917_504)
    assert round(found["trained_mib"], 1) == 319.7
    assert round(found["checkpoint_mib"], 1) == 351.7
    assert cost.dead_parameters("wide_resnet50_2") == 92_195_328 - sum(map(size, parts))


def test_the_printed_banks_are_those_of_224_pixels():
    table = studies.printed_memory().set_index(["method", "px"])
    assert table.loc[("PaDiM", 224), "MB"] == 3801
    assert table.loc[("PaDiM", 256), "MB"] == round(64 * 64 * (550**2 + 550) * 4 / 1e6)
    assert abs(table.loc[("SPADE", 224), "MB"] - 1400) < 50 < table.loc[("SPADE", 256), "MB"] - 1400


@pytest.fixture
def slow_model():
    """A model whose stages take a known time."""

    class Slow:
        seen = 0

        def teacher(self, images):
            self.seen += 1
            time.sleep(0.1 if self.seen <= cost.WARM_UP else 0.004)
            return [torch.rand(1, 2, 16 >> k, 16 >> k) for k in range(3)]

        def restore(self, f_e):
            time.sleep(0.008)
            return [f + 1 for f in f_e]

        def to(self, device):
            return self

        def eval(self):
            return self

    return Slow()


def test_stages_are_timed_apart_after_a_warm_up(slow_model, small_mvtec, monkeypatch):
    monkeypatch.setattr(cost, "sizes", lambda model, config: {})
    seconds, quartiles = [], cost._quartiles
    monkeypatch.setattr(cost, "_quartiles", lambda v: seconds.extend(v) or quartiles(v))
    data = rd.MVTecAD(small_mvtec / "mvtec", "bottle", "test", 64)
    found = cost.measure_cost(slow_model, data, config())
    assert found["timed_images"] == 30
    teacher, student, whole = (found[f"{n}_seconds"] for n in ("teacher", "student", "image"))
    assert 0.004 <= teacher[0] <= teacher[1] <= teacher[2]
    assert max(seconds) < 0.1  # the slow first ones are not among the timed
    assert student[0] >= 0.008
    assert whole[1] >= teacher[0] + student[0]
    assert found["peak_mib"] > 1


def test_peak_memory_sees_what_is_given_back():
    with cost.peak_memory(torch.device("cpu")) as peak:
        before = peak()
        held = np.ones(2**26)  # 512 MiB
        time.sleep(0.05)
        del held
    assert peak() - before > 400


def test_complexity_variants():
    variants = studies.complexity_variants("padim, reverse_distillation", "64,128", "random", None)
    assert list(variants) == ["PaDiM, 64 px", "Ours, 64 px", "PaDiM, 128 px", "Ours, 128 px"]
    assert variants["Ours, 64 px"]["epochs"] == 1 and variants["PaDiM, 64 px"]["epochs"] is None
    assert studies.complexity_variants(None, None, None, None)["Ours, 224 px"]["epochs"] is None
    with pytest.raises(ValueError, match="'patchcore' is not reverse_distillation, padim or spade"):
        studies.complexity_variants("patchcore", None, None, None)


# Tables 5-7 in shape


def rows(tmp_path, table, made):
    """Rows of (category, seed, changes, image AUROC in percent), read back."""
    for number, (category, seed, changes, value) in enumerate(made):
        row = copy.deepcopy(TEMPLATE)
        row["config"] = asdict(rd.RunConfig(category=category, seed=seed, epochs=7)) | changes
        for name in ("train_layers", "map_layers"):
            row["config"][name] = list(row["config"][name])
        row["metrics"]["image_auroc"] = value / 100
        finished = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}+00:00"
        row["provenance"] |= {"dirty": False, "finished": finished}
        rd.save_row(row, tmp_path / "made-up")
    return rd.load_runs(tmp_path)


def test_steps_are_paired_by_category_and_seed(tmp_path):
    values = {"pretrained": (90, 92, 97), "oce": (91, 94, 98), "oce+mff": (93, 95, 99)}
    made = [
        ("bottle", seed, {"bottleneck": b}, v)
        for b, line in values.items()
        for seed, v in enumerate(line)
    ]
    made.append(("bottle", 9, {"bottleneck": "oce"}, 50))  # without a partner
    lines = ablations.steps(rows(tmp_path, "5", made), "5")
    found = lines[lines["metric"] == "image AUROC"].set_index("column")
    assert list(found.index) == ["Pre", "Pre+OCE", "Pre+OCE+MFM"]
    assert found["ours"].tolist() == pytest.approx([93, 94.333333, 95.666667])
    assert found.loc["Pre+OCE", "change"] == pytest.approx(4 / 3)
    half = 4.302652729911275 * np.std([1, 2, 1], ddof=1) / np.sqrt(3)
    assert found.loc["Pre+OCE", "change_high"] == pytest.approx(4 / 3 + half)
    assert (found["n"] == 3).all() and (found["over"] == "seeds").all()
    assert found["printed"].tolist() == [96.0, 97.9, 98.5]
    order = ablations.orders(rd.load_runs(tmp_path), "5").set_index("metric").loc["image AUROC"]
    assert order["order"] == "as printed"


def test_one_seed_repeats_over_categories_and_other_protocols_stay_apart(tmp_path):
    layers = {"map_layers": (2, 3)}
    made = [(c, 1, {}, 90 + i) for i, c in enumerate(("carpet", "grid", "tile"))]
    made += [(c, 1, layers, 91 + i) for i, c in enumerate(("carpet", "grid", "tile"))]
    made += [("carpet", 1, layers | {"sigma": 2.0}, 10)]
    lines = ablations.steps(rows(tmp_path, "7", made), "7")
    found = lines[lines["metric"] == "image AUROC"].set_index("column")
    assert list(found.index) == ["M2,3", "M1,2,3"]
    assert found["over"].tolist() == ["categories"] * 2 and found["n"].tolist() == [3, 3]
    assert found.loc["M1,2,3", "change"] == pytest.approx(-1)
    order = ablations.orders(rd.load_runs(tmp_path), "7").set_index("metric").loc["image AUROC"]
    assert (order["our order"], order["order"]) == ("M1,2,3 < M2,3", "differs")


def test_trained_layers_are_a_reading_of_their_own(tmp_path):
    made = [("bottle", 1, {}, 95), ("bottle", 1, {"map_layers": (3,)}, 94)]
    made += [("bottle", 1, {"map_layers": (3,), "train_layers": (3,)}, 80)]
    lines = ablations.steps(rows(tmp_path, "7", made), "7")
    found = lines[lines["metric"] == "image AUROC"].set_index(["reading", "column"])["ours"]
    assert found[ablations.READINGS[0], "M3"] == pytest.approx(94)
    assert found[ablations.READINGS[1], "M3"] == pytest.approx(80)
    assert found[ablations.READINGS[1], "M1,2,3"] == pytest.approx(95)


def test_no_rows_and_dirty_rows_make_no_table(tmp_path):
    made = [("bottle", 1, {}, 95), ("bottle", 1, {"map_layers": (3,)}, 94)]
    found = rows(tmp_path, "7", made)
    found["provenance.dirty"] = True
    for table in (found, found.iloc[:0]):
        assert ablations.ablation_table(table, "7").empty and ablations.orders(table, "7").empty


ORDERS = {
    "as printed": ((90, 91, 90), (92, 93, 92), (95, 96, 95.5)),
    "tied": ((100, 100, 100),) * 3,
    "differs": ((95, 96, 95.5), (92, 93, 92), (90, 91, 90)),
}


@pytest.mark.parametrize("expected", ORDERS)
def test_orders_know_ties_and_directions(tmp_path, expected):
    made = [
        ("bottle", seed, {"bottleneck": b}, v)
        for b, line in zip(("pretrained", "oce", "oce+mff"), ORDERS[expected], strict=True)
        for seed, v in enumerate(line)
    ]
    found = ablations.orders(rows(tmp_path, "5", made), "5").set_index("metric").loc["image AUROC"]
    assert found["order"] == expected
    steps = {"as printed": (2, 0, 0), "tied": (0, 0, 2), "differs": (0, 2, 0)}[expected]
    named = ("steps as printed", "steps against print", "steps not resolved")
    assert tuple(found[list(named)]) == steps


def test_printed_ties_bind_nothing():
    import pandas as pd

    known = pd.DataFrame({"printed": [94.0, 96.9, 96.9], "ours": [90.0, 97.0, 95.0]})
    assert ablations._order(known) == "as printed"


def test_a_random_teacher_is_no_column_of_table_6(tmp_path):
    small, random = {"backbone": "resnet18", "oce_width": 64}, {"weights": "random"}
    made = [("bottle", 1, {"backbone": "resnet50", "oce_width": 64}, 98), ("bottle", 1, small, 97)]
    made.append(("bottle", 1, small | random, 60))
    lines = ablations.steps(rows(tmp_path, "6", made), "6")
    found = lines[lines["metric"] == "image AUROC"].set_index("column")
    assert found["ours"].to_dict() == pytest.approx(
        {"ResNet18": 97, "ResNet50": 98, "resnet18, random": 60}
    )
    assert np.isnan(found.loc["resnet18, random", "printed"])


def test_seeds_without_every_category_are_no_repetitions(tmp_path):
    layers = {"map_layers": (3,)}
    made = [(c, 1, x, v) for c, v in (("carpet", 90), ("grid", 80)) for x in ({}, layers)]
    made += [("carpet", seed, x, 99) for seed in (2, 3) for x in ({}, layers)]
    lines = ablations.steps(rows(tmp_path, "7", made), "7")
    found = lines[(lines["metric"] == "image AUROC") & (lines["reading"] == ablations.READINGS[0])]
    assert found["over"].tolist() == ["categories"] * 2 and found["n"].tolist() == [2, 2]
    assert found["ours"].tolist() == pytest.approx([85, 85])


def test_a_parameter_that_the_notebook_sets_itself_is_refused():
    with pytest.raises(ValueError, match="bottleneck='oce' cannot be given here"):
        studies.resolve_variants(
            {"preset": "demo", "bottleneck": "oce"}, studies.BOTTLENECK_VARIANTS
        )


def test_a_presets_projection_belongs_to_the_fusion(small_mvtec):
    given = {"preset": "as_printed", "weights": "random", "data_root": str(small_mvtec)}
    config = rd.resolve(**given, category="bottle", bottleneck="oce").config
    assert config.mff_projection is False and config.loss_reduction == "pointwise"
    with pytest.raises(ValueError, match="mff_projection=True needs"):
        rd.resolve(**given, category="bottle", bottleneck="oce", mff_projection=True)

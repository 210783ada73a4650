"""From parameters to a run: presets, places, and where data and weights are found or drawn."""

import shutil

import pytest
import torch
from PIL import Image

from rdrepro import paths
from rdrepro.presets import PRESETS
from rdrepro.runs.device import fast_precision
from rdrepro.runs.resolve import resolve


def test_without_data_auto_is_the_demo_with_a_banner():
    run = resolve()
    assert (run.preset, run.config.dataset) == ("demo", "synthetic")
    assert run.banner and run.banner in repr(run) and run.banner in run._repr_html_()
    assert run.rows_dir == run.results_dir / "scratch"
    assert resolve(study="mine").rows_dir == run.results_dir / "runs" / "mine"


@pytest.mark.parametrize("how", ["parameter", "variable", "project"])
def test_with_data_auto_is_the_paper(small_mvtec, monkeypatch, how):
    given = {"weights": "random", "category": "bottle"}
    if how == "parameter":
        given["data_root"] = str(small_mvtec)
    elif how == "variable":
        monkeypatch.setenv("RDREPRO_DATA", str(small_mvtec))
    else:
        paths.ROOT.mkdir()
        (paths.ROOT / "data").symlink_to(small_mvtec)
    run = resolve(**given)
    assert (run.preset, run.config.dataset, run.banner) == ("paper", "mvtec", "")
    assert run.config.backbone == "wide_resnet50_2" and run.config.oce_width == 128
    assert run.dataset("train").counts() == {"good": 6}
    assert run.rows_dir == run.results_dir / "scratch"


def test_a_named_root_without_the_data_is_an_error_and_never_a_demo(tmp_path, monkeypatch):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="get MVTec AD from"):
            resolve(data_root=str(root), weights="random")
    monkeypatch.setenv("RDREPRO_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="get MVTec AD from"):
        resolve(weights="random")


def test_a_category_that_the_root_lacks_is_an_error(small_mvtec):
    with pytest.raises(ValueError, match=r"no category 'wood' .* \(found: bottle\)"):
        resolve(data_root=str(small_mvtec), category="wood", weights="random")


def test_a_relative_root_is_sought_from_the_working_folder_then_from_the_project(
    small_mvtec, monkeypatch, tmp_path
):
    paths.ROOT.mkdir()
    (tmp_path / "there").symlink_to(small_mvtec)
    monkeypatch.chdir(tmp_path)
    assert resolve(data_root="there", weights="random").data_root.is_dir()
    monkeypatch.chdir(small_mvtec)
    (paths.ROOT / "here").symlink_to(small_mvtec)
    assert resolve(data_root="here", weights="random").data_root.is_dir()


def test_presets_change_what_they_say():
    assert resolve(preset="official", dataset="synthetic", weights="random").preset == "official"
    printed = resolve(preset="as_printed", dataset="synthetic", weights="random").config
    assert printed.loss_reduction == "pointwise" and printed.mff_projection
    quick = resolve(preset="quick", dataset="synthetic", weights="random").config
    assert quick.backbone == "resnet18" and quick.epochs == PRESETS["quick"]["epochs"]
    with pytest.raises(ValueError, match=r"preset='quik' is not one of .* Did you mean 'quick'"):
        resolve(preset="quik")


def test_precision_is_resolved():
    auto = resolve(preset="demo", device="cpu").config.precision
    assert auto == fast_precision(torch.device("cpu"))
    assert resolve(preset="demo", precision="float32").config.precision == "float32"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"categroy": "wood"}, "'categroy' is not a parameter. Did you mean 'category'"),
        ({"backbone": "resnet17"}, "backbone='resnet17' is neither"),
        (
            {"dataset": "digits", "stem": "no_maxpool"},
            "stem='no_maxpool' needs a torchvision ResNet",
        ),
        ({"device": "gpu"}, "device='gpu' is not on this machine"),
        ({"data_root": "/somewhere"}, "embedded data need none"),
        ({"dataset": "digits", "data_root": "here"}, "embedded data need none"),
        ({"weights": "nowhere.pth"}, "weights='nowhere.pth' is not a file"),
        ({"oce_width": 128}, "oce_width=128 does not fit backbone='efficientnet_lite0'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given, message):
    preset = "novelty_demo" if "dataset" in given else "demo"
    with pytest.raises(ValueError, match=message) as error:
        resolve(**{"preset": preset, **given})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dataset", "preset"), [("digits", "novelty_demo"), ("scans", "medical_demo")]
)
def test_a_named_data_set_has_a_preset_of_its_own(dataset, preset):
    run = resolve(dataset=dataset)
    assert run.preset == preset and run.config.dataset == dataset


def test_no_network_for_the_weights_says_what_to_do(monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise ConnectionRefusedError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("rdrepro.downloads.urlopen", no_network)
    with pytest.raises(ConnectionError, match=r"cannot download .*RDREPRO_WEIGHTS"):
        resolve(preset="quick", dataset="synthetic")


def test_settings_show_what_the_method_has():
    shown = {m: set(resolve(preset="demo", method=m).settings().index) for m in (None, "padim")}
    assert {"epochs", "loss"} <= shown[None] and "padim_channels" not in shown[None]
    assert "padim_channels" in shown["padim"] and not {"epochs", "neighbours"} & shown["padim"]


def test_a_seed_that_is_set_aside_is_said_to_be_so(resnet_file):
    given = {"backbone": "resnet18", "weights": str(resnet_file), "method": "spade"}
    run = resolve(preset="demo", **given, seed=3)
    assert run.config.seed == 111 and "seed=3 has no meaning with method='spade'" in repr(run)
    assert resolve(preset="demo", **given).notes == ()


def test_a_setting_without_a_meaning_is_refused_before_torch_or_data_are_sought():
    with pytest.raises(ValueError, match="data_seed=2 has no meaning with dataset='mvtec'"):
        resolve(preset="paper", data_seed=2, data_root="nowhere", device="gpu")


def test_a_file_in_place_of_the_data_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "bottle.png").touch()
    monkeypatch.setenv("RDREPRO_DATA", str(tmp_path / "bottle.png"))
    with pytest.raises(ValueError, match=r"RDREPRO_DATA=.* is a file; name the folder"):
        resolve(weights="random")


def test_all_that_is_missing_is_named_at_once_and_nothing_is_fetched(small_mvtec, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small_mvtec, root)
    mask = next((root / "mvtec" / "bottle" / "ground_truth").rglob("000_mask.png"))
    mask.unlink()
    given = {"data_root": str(root), "category": "bottle", "preset": "quick", "device": "tpu"}
    with pytest.raises(ValueError, match=r"^3 things are missing for this run: ") as caught:
        resolve(**given, weights=str(tmp_path / "none.pth"))
    said = str(caught.value)
    assert "(1) device='tpu'" in said and mask.name in said and "none.pth" in said


def test_a_disk_without_room_for_the_student_is_named(monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"has 0\.0 GiB free, .* up to 0\.5 GiB; free some space"):
        resolve(preset="demo")


def test_what_is_unusual_about_the_data_is_shown(small_mvtec, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small_mvtec, root)
    first = next((root / "mvtec" / "bottle" / "train").rglob("*.png"))
    Image.open(first).resize((128, 64)).save(first)
    run = resolve(data_root=str(root), category="bottle", weights="random", preset="quick")
    assert any("square" in note for note in run.notes)
    assert all(note in repr(run) for note in run.notes)

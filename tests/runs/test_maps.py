"""Maps kept beside a row come back, and the command that makes them gives the row's very run."""

import re
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import rdrepro as rd
from rdrepro.backbones import LITE0, RANDOM, default_weights, usual_weights
from rdrepro.config import FIELD_NAMES, RunConfig
from rdrepro.data.checking import Findings
from rdrepro.models.weights import Weights
from rdrepro.runs.configure import configure, separate
from rdrepro.runs.maps import keep_maps_command, maps_file
from rdrepro.runs.resolve import check_parameters

FILE = "FILE"  # in a command: the weights file of one's own


@pytest.fixture
def predictions():
    """Predictions of three 16-pixel images, two of them with a region."""
    labels = np.array([0, 1, 1])
    masks = np.zeros((3, 16, 16), dtype=bool)
    masks[labels == 1, 4:6, 4:6] = True
    maps = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
    names = [f"grid/test/{i:03}.png" for i in range(3)]
    defects = ["good", "bent", "cut"]
    return rd.Predictions(
        maps, np.array([0.1, 0.9, 0.5]), masks, labels, defects, names, "abc", 1.5
    )


@pytest.mark.parametrize("name", ["wood-x-s1-12345678.json", "wood-x-s1-12345678-2.json"])
def test_kept_maps_come_back_and_the_rows_of_one_configuration_share_them(
    tmp_path, name, predictions
):
    row_file = tmp_path / name
    assert rd.load_maps(row_file) is None
    file = rd.save_maps(predictions, row_file)
    assert file == maps_file(row_file)
    assert [p.name for p in tmp_path.iterdir()] == [file.name] == ["wood-x-s1-12345678.maps.npz"]
    kept = rd.load_maps(row_file)
    assert kept.maps.dtype == np.float32
    np.testing.assert_allclose(kept.maps, predictions.maps, rtol=2**-10, atol=1e-7)
    for field in ("scores", "gt_masks", "gt_labels"):
        np.testing.assert_array_equal(getattr(kept, field), getattr(predictions, field))
    assert kept.gt_masks.dtype == bool
    for field in ("defects", "paths", "data_hash", "seconds"):
        assert getattr(kept, field) == getattr(predictions, field)


@pytest.mark.parametrize("damage", ["cut short", "overwritten", "empty"])
def test_damaged_maps_are_an_error_in_one_sentence(tmp_path, damage, predictions):
    file = rd.save_maps(predictions, tmp_path / "wood-1234abcd.json")
    content = file.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut short": content[:middle],
        "overwritten": content[: middle - 50] + bytes(100) + content[middle + 50 :],
        "empty": b"",
    }
    file.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=rf"{file.name} cannot be read .* keep_maps=true") as error:
        rd.load_maps(tmp_path / "wood-1234abcd.json")
    assert "\n" not in str(error.value)


# The command


def command_parameters(row):
    """The parameters that the command of a row gives to papermill."""
    words = shlex.split(re.search("`(.*)`", keep_maps_command(row))[1])
    assert words[:3] == ["papermill", "notebooks/01_mvtec.ipynb", "out.ipynb"]
    assert words[3::3] == ["-p"] * len(words[3::3])
    return dict(zip(words[4::3], words[5::3], strict=True))


def row_of(config, preset="paper", study=None):
    """A line of a table of rows, as far as the command needs it."""
    settings = {name: getattr(config, name) for name in FIELD_NAMES}
    return pd.Series({**settings, "provenance.preset": preset, "provenance.study": study})


def configured(given):
    """The configuration that parameters mean, and where things are, with nothing looked for."""
    places, chosen = separate(given)
    preset, settings = check_parameters(places, chosen)
    return configure(settings, chosen, RunConfig.precision), places | {"preset": preset}


def test_the_command_gives_every_committed_row_its_configuration(committed_runs):
    assert len(committed_runs) >= 927
    said = ["file", "provenance.preset", "provenance.study"]
    for _, row in committed_runs[[*FIELD_NAMES, *said]].iterrows():
        config, places = configured(command_parameters(row))
        wanted = RunConfig(**row[list(FIELD_NAMES)])
        assert replace(config, weights=wanted.weights) == wanted, row["file"]
        found = {
            FILE: wanted.weights if wanted.weights.startswith("sha256:") else FILE,
            default_weights(wanted.backbone): usual_weights(wanted.backbone),
        }
        assert found.get(config.weights, config.weights) == wanted.weights, row["file"]
        assert places["keep_maps"] is True
        assert places["preset"] == row["provenance.preset"]
        study = row["provenance.study"]
        assert places["study"] == (None if pd.isna(study) else study)


@pytest.fixture
def weights_anywhere(monkeypatch):
    """Weights have the name that rows give them; neither they nor data are looked for."""
    import rdrepro.data.mvtec_files
    import rdrepro.runs.needs
    import rdrepro.runs.weights

    def find(backbone, weights):
        usual = weights == default_weights(backbone)
        return Weights(usual_weights(backbone) if usual else weights)

    monkeypatch.setattr(rdrepro.runs.weights, "find_weights", find)
    monkeypatch.setattr(rdrepro.runs.needs, "find_weights", find)
    monkeypatch.setattr(rdrepro.data.mvtec_files, "find_mvtec", lambda root, name: root)
    monkeypatch.setattr(rdrepro.runs.needs, "check_images", lambda *_, **__: Findings([], [], ""))


CHANGES = [
    {"preset": "demo", "score": "mkd_loss", "loss": "mkd", "sigma": 2.5, "seed": 7},
    {"preset": "as_printed", "backbone": "resnet50", "oce_width": 128, "image_size": 128},
    {"preset": "paper", "train_layers": "2,3", "map_layers": 3, "weights": "random"},
    {"preset": "quick", "mff_projection": True, "weights": "IMAGENET1K_V2", "beta2": 0.99},
    {"preset": "as_printed", "method": "padim", "weights": "random", "padim_channels": 9},
    {"preset": "quick", "method": "spade", "weights": "random", "neighbours": 5, "sigma": 1},
    {"preset": "demo", "bottleneck": "pretrained"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_command_gives_any_run_its_configuration(changes, weights_anywhere):
    run = rd.resolve(category="grid", **changes)
    given = command_parameters(row_of(run.config, run.preset))
    assert "study" not in given
    again = rd.resolve(**given)
    assert again.config == run.config and again.keep_maps is True


def test_the_command_names_every_setting_whatever_a_preset_will_say():
    given = command_parameters(row_of(RunConfig(category="grid"), "demo"))
    config, _ = configured(given | {"preset": "quick"})
    assert replace(config, weights="") == replace(RunConfig(category="grid"), weights="")


def test_a_weights_file_of_ones_own_is_left_to_the_reader():
    row = row_of(RunConfig(), study="mine")
    row["weights"] = "sha256:0123456789abcdef"
    assert f"weights={FILE}" in command_parameters(row)["overrides"]
    assert keep_maps_command(row).endswith("with FILE the weights sha256:0123456789abcdef.")
    row["backbone"], row["weights"], row["oce_width"] = LITE0, usual_weights(LITE0), 64
    assert f"weights={default_weights(LITE0)}" in command_parameters(row)["overrides"]
    assert FILE not in keep_maps_command(row)
    row["weights"] = RANDOM
    assert f"weights={RANDOM}" in command_parameters(row)["overrides"]


@pytest.mark.parametrize("value", [True, "true", "True", False, "false"])
def test_keep_maps_is_a_yes_or_a_no(value):
    _, places = configured({"preset": "demo", "keep_maps": value})
    assert places["keep_maps"] is (str(value).lower() == "true")


def test_maps_are_not_kept_where_nothing_is_said():
    for given in ({}, {"keep_maps": None}):
        assert configured({"preset": "demo"} | given)[1]["keep_maps"] is False


@pytest.mark.parametrize("value", [1, 0, "yes", ""])
def test_keep_maps_is_nothing_else(value):
    with pytest.raises(ValueError, match=f"keep_maps={value!r} must be True or False"):
        rd.resolve(preset="demo", keep_maps=value)


def test_a_row_with_settings_that_no_run_can_have_gets_no_command():
    row = row_of(RunConfig(), study="mine")
    row["lr"], row["file"] = 5.0, "mine/x.json"
    assert keep_maps_command(row).startswith("The row mine/x.json has settings that no run can")

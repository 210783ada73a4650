"""Figures show the numbers they are given; kept maps come back; files are the same twice."""

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import auc

import rdrepro as rd
from rdrepro.backbones import LITE0
from rdrepro.config import FIELD_NAMES, RunConfig
from rdrepro.models.weights import Weights
from rdrepro.runs.weights import find_weights
from rdrepro.study import figures

RUNS = Path(__file__).parents[1] / "results" / "runs"
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def without_a_screen():
    matplotlib.use("Agg")
    before = dict(plt.rcParams)
    yield
    assert dict(plt.rcParams) == before
    plt.close("all")


def predictions(scores, labels, defects):
    """Predictions of 16-pixel images; every anomalous one has one 2 x 2 region."""
    labels = np.array(labels)
    gt_masks = np.zeros((len(labels), 16, 16), dtype=bool)
    gt_masks[labels == 1, 4:6, 4:6] = True
    amaps = RNG.random((len(labels), 16, 16), dtype=np.float32)
    names = [f"grid/test/{d}/{i:03}.png" for i, d in enumerate(defects)]
    return rd.Predictions(amaps, np.array(scores), gt_masks, labels, defects, names, "abc", 1.5)


SEVEN = predictions(
    [0.1, 0.9, 0.5, 0.7, 0.3, 0.8, 0.2],
    [0, 1, 1, 1, 1, 1, 0],
    ["good", "bent", "bent", "bent", "cut", "cut", "good"],
)


def items(p):
    return [
        {"image": torch.rand(3, 16, 16), "gt_mask": torch.tensor(mask), "defect": d, "path": name}
        for mask, d, name in zip(p.gt_masks, p.defects, p.paths, strict=True)
    ]


def test_scaled_scores_span_0_to_1_and_every_image_is_counted():
    assert figures.scale_scores([-2, 0, 6]).tolist() == [0, 0.25, 1]
    assert figures.scale_scores([3, 3]).tolist() == [0, 0]
    _, ax = rd.new_figure()
    rd.plot_scores(ax, SEVEN.scores, SEVEN.gt_labels)
    normal, anomalous = ax.containers
    assert [sum(bar.get_height() for bar in bars) for bars in (normal, anomalous)] == [2, 5]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["normal", "anomalous"]
    assert "scaled" in ax.get_xlabel()


def test_a_histogram_knows_which_images_are_anomalous():
    _, ax = rd.new_figure()
    rd.plot_scores(ax, [0, 1, 2, 4], [0, 0, 1, 1])
    highest = [max(b.get_x() for b in bars if b.get_height()) for bars in ax.containers]
    assert highest == pytest.approx([0.24, 0.96])


def test_loss_curves_have_a_point_per_epoch():
    _, ax = rd.new_figure()
    history = {"epoch": [1, 2, 3], "loss": [2.0, 1.0, 0.5], "seconds": [1, 1, 1]}
    rd.plot_history(ax, history, "a")
    rd.plot_history(ax, pd.DataFrame(history), "b")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[2.0, 1.0, 0.5]] * 2
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_no_epoch_of_a_loss_curve_is_a_fraction(epochs):
    _, ax = rd.new_figure()
    rd.plot_history(ax, {"epoch": range(1, epochs + 1), "loss": [1.0] * epochs})
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_the_roc_curve_encloses_its_auroc():
    _, ax = rd.new_figure()
    rd.plot_roc(ax, SEVEN.scores, SEVEN.gt_labels, "x")
    rd.plot_roc(ax, [0, 1, 2, 3], [0, 1, 0, 1], "y")
    chance, _, second = ax.lines
    assert auc(*second.get_data()) == pytest.approx(0.75)
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == ["chance", "x: AUROC 100.0 %", "y: AUROC 75.0 %"]
    assert chance.get_label() == "chance"


def test_the_pro_curve_stops_at_the_limit_and_encloses_the_aupro():
    _, ax = rd.new_figure()
    rd.plot_pro(ax, SEVEN.maps, SEVEN.gt_masks, "x")
    limit, curve = ax.lines
    fpr, pro = curve.get_data()
    assert limit.get_xdata()[0] == fpr[-1] == fpr.max() == 0.3
    aupro = rd.aupro(SEVEN.maps, SEVEN.gt_masks)
    assert auc(fpr, pro) / 0.3 == pytest.approx(aupro)
    assert ax.get_legend().get_texts()[1].get_text() == f"x: AUPRO {100 * aupro:.1f} %"


def test_region_overlaps_by_hand():
    gt_masks = np.zeros((2, 10, 10), dtype=bool)
    gt_masks[0, 0, :4] = gt_masks[0, 8, 8] = gt_masks[0, 9, 9] = True  # corners touch: one region
    amaps = np.zeros((2, 10, 10))
    amaps[1] = np.arange(100).reshape(10, 10)  # of 194 normal pixels, 9 are at least 91
    amaps[0, 0, :3] = amaps[0, 8, 8] = 95
    amaps[0, 0, 3] = 50
    table = rd.region_overlaps(amaps, gt_masks, fpr_limit=0.05)
    assert table["image"].tolist() == [0, 0]
    assert table["size_px"].tolist() == [4, 2]
    assert table["overlap"].tolist() == [0.75, 0.5]
    assert rd.region_overlaps(amaps, gt_masks, fpr_limit=0.3)["overlap"].tolist() == [1, 0.5]
    assert rd.region_overlaps(amaps, gt_masks, fpr_limit=0.001)["overlap"].tolist() == [0, 0]
    _, ax = rd.new_figure()
    rd.plot_region_overlap(ax, table)
    assert ax.collections[0].get_offsets().tolist() == [[4, 0.75], [2, 0.5]]
    assert ax.get_xscale() == "log"


CELLS = pd.DataFrame(
    [
        ("wood", "image_auroc", 99.0, 98.5, 98.0, 99.0, "agrees"),
        ("wood", "pro", 91.0, np.nan, np.nan, np.nan, "not run"),
        ("grid", "image_auroc", 90.0, 92.0, np.nan, np.nan, "one seed"),
        ("grid", "pro", np.nan, 80.0, np.nan, np.nan, "nothing printed"),
    ],
    columns=["label", "metric", "printed", "ours", "low", "high", "verdict"],
)


def test_paper_against_ours_keeps_a_line_for_a_cell_without_a_run():
    _, ax = rd.new_figure()
    rd.plot_paper_against_ours(ax, CELLS)
    ours, paper = ax.containers[0].lines[0], next(x for x in ax.lines if x.get_label() == "paper")
    np.testing.assert_array_equal(ours.get_xdata().astype(float), CELLS["ours"])
    np.testing.assert_array_equal(paper.get_xdata(), CELLS["printed"])
    interval = ax.containers[0].lines[2][0].get_segments()[0]
    assert interval.tolist() == [[98, 0], [99, 0]]
    assert [t.get_text() for t in ax.texts] == CELLS["verdict"].tolist()
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["wood, image_auroc", "wood, pro", "grid, image_auroc", "grid, pro"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first cell is on top"


def test_the_heat_map_says_deltas_and_what_was_not_run():
    _, ax = rd.new_figure()
    rd.plot_deltas(ax, CELLS)
    texts = {(*t.get_position(),): t.get_text() for t in ax.texts}
    assert texts == {
        (0.5, 0.5): "-0.5",
        (1.5, 0.5): "not run",
        (0.5, 1.5): "+2.0",
        (1.5, 1.5): "not printed",
    }
    assert ax.collections[0].get_clim() == (-2, 2)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["wood", "grid"]
    _, ax = rd.new_figure()
    rd.plot_deltas(ax, CELLS.assign(ours=np.nan))
    assert sorted({t.get_text() for t in ax.texts}) == ["not printed", "not run"]


def test_cases_are_chosen_by_rule():
    assert rd.choose_cases(SEVEN, "defect") == {"bent": 3, "cut": 4}  # lower median of two
    assert list(rd.choose_cases(SEVEN, "best and worst").values()) == [1, 0, 4, 6]
    smaller = SEVEN.gt_masks.copy()
    smaller[5] = False
    smaller[5, 0, :3] = True
    assert rd.choose_cases(replace(SEVEN, gt_masks=smaller), "smallest") == {"smallest region": 5}
    with pytest.raises(ValueError, match="by='hand' is not defect, smallest or best and worst"):
        rd.choose_cases(SEVEN, "hand")


def test_overlays_draw_three_panels_per_case_on_one_scale():
    _, axes = rd.new_figure(2, 6)
    data, cases = items(SEVEN), rd.choose_cases(SEVEN, "best and worst")
    rd.plot_cases(axes, data, SEVEN, cases)
    shown = [ax.images[-1] for ax in axes.reshape(-1, 3)[:, 2]]
    for image, index in zip(shown, cases.values(), strict=True):
        np.testing.assert_array_equal(image.get_array(), SEVEN.maps[index])
    assert len({image.get_clim() for image in shown}) == 1
    assert [len(ax.collections) for ax in axes[:, 1]] == [1, 1], "the truth is outlined"
    assert axes[0, 0].get_title("left") == "best: anomalous, highest score\nbent, score 0.9"
    with pytest.raises(AssertionError, match="not the same images"):
        rd.plot_cases(axes, data[::-1], SEVEN, cases)


def test_samples_have_a_column_per_kind(small_mvtec):
    data = rd.MVTecAD(small_mvtec / "mvtec", "bottle", "test", 64)
    _, axes = rd.new_figure(2, len(data.counts()), size=(1, 1))
    rd.plot_samples(axes, data)
    assert {ax.get_title() for ax in axes[0]} == set(data.counts())
    assert axes[0, 0].get_title() == "good"
    assert all(len(ax.images) == 1 for ax in axes[0])


def test_figures_are_written_in_three_formats_the_same_bytes_twice(tmp_path):
    written = []
    for folder in (None, tmp_path / "again"):
        figure, ax = rd.new_figure()
        rd.plot_history(ax, {"epoch": [1, 2], "loss": [2.0, 1.0]}, "a")
        written.append(rd.save_figure(figure, "loss", folder))
    first, second = written
    assert [f.name for f in first] == ["loss.png", "loss.svg", "loss.pdf"]
    assert first[0].parent == tmp_path / "results" / "figures"
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    assert sorted(first[0].parent.iterdir()) == sorted(first)
    heads = [f.read_bytes()[:5] for f in first]
    assert heads == [b"\x89PNG\r", b"<?xml", b"%PDF-"]


@pytest.mark.parametrize("name", ["wood-x-s1-12345678.json", "wood-x-s1-12345678-2.json"])
def test_kept_maps_come_back_and_the_rows_of_one_configuration_share_them(tmp_path, name):
    row_file = tmp_path / name
    assert rd.load_maps(row_file) is None
    file = rd.save_maps(SEVEN, row_file)
    assert [p.name for p in tmp_path.iterdir()] == [file.name] == ["wood-x-s1-12345678.maps.npz"]
    kept = rd.load_maps(row_file)
    assert kept.maps.dtype == np.float32
    np.testing.assert_allclose(kept.maps, SEVEN.maps, rtol=2**-10, atol=1e-7)
    for field in ("scores", "gt_masks", "gt_labels"):
        np.testing.assert_array_equal(getattr(kept, field), getattr(SEVEN, field))
    assert kept.gt_masks.dtype == bool
    for field in ("defects", "paths", "data_hash", "seconds"):
        assert getattr(kept, field) == getattr(SEVEN, field)


@pytest.mark.parametrize("damage", ["cut short", "overwritten", "empty"])
def test_damaged_maps_are_an_error_in_one_sentence(tmp_path, damage):
    file = rd.save_maps(SEVEN, tmp_path / "wood-1234abcd.json")
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


def command_parameters(row):
    """Return the parameters that the command of a row gives to papermill."""
    words = shlex.split(re.search("`(.*)`", rd.keep_maps_command(row))[1])
    assert words[:3] == ["papermill", "notebooks/01_mvtec.ipynb", "out.ipynb"]
    assert words[3::3] == ["-p"] * len(words[3::3])
    return dict(zip(words[4::3], words[5::3], strict=True))


@pytest.fixture
def weights_anywhere(monkeypatch):
    """Published weights are known by their names; none is looked for."""
    module = sys.modules["rdrepro.resolve"]  # its name is the function's too
    known = {"random", "IMAGENET1K_V1", "IMAGENET1K_V2"}

    def find(backbone, weights):
        return Weights(weights) if weights in known else find_weights(backbone, weights)

    monkeypatch.setattr(module, "find_weights", find)
    monkeypatch.setattr(module, "find_mvtec", lambda root: root)


@pytest.mark.parametrize("study", ["embedded", "deviations"])
def test_the_command_gives_every_row_its_configuration(study, weights_anywhere):
    rows = rd.load_runs(RUNS / study)
    assert len(rows) >= 15
    for _, row in rows.iterrows():
        given = command_parameters(row)
        run = rd.resolve(**given)
        assert run.keep_maps is True
        assert run.config == RunConfig(**row[list(FIELD_NAMES)])
        assert (run.study, run.preset) == (row["provenance.study"], row["provenance.preset"])


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "demo", "score": "mkd_loss", "loss": "mkd", "sigma": 2.5, "seed": 7},
        {"preset": "as_printed", "backbone": "resnet50", "oce_width": 128, "image_size": 128},
        {"preset": "paper", "train_layers": "2,3", "map_layers": 3, "weights": "random"},
        {"preset": "quick", "mff_projection": True, "weights": "IMAGENET1K_V2", "beta2": 0.99},
        {"preset": "as_printed", "method": "padim", "weights": "random", "padim_channels": 9},
        {"preset": "quick", "method": "spade", "weights": "random", "neighbours": 5, "sigma": 1},
        {"preset": "demo", "bottleneck": "pretrained"},
    ],
    ids=str,
)
def test_the_command_gives_any_configuration(changes, weights_anywhere):
    run = rd.resolve(category="grid", **changes)
    settings = {name: getattr(run.config, name) for name in FIELD_NAMES}
    row = pd.Series({**settings, "provenance.preset": run.preset, "provenance.study": None})
    given = command_parameters(row)
    assert "study" not in given
    assert rd.resolve(**given).config == run.config


def test_a_weights_file_of_ones_own_is_left_to_the_reader():
    settings = {name: getattr(RunConfig(), name) for name in FIELD_NAMES}
    row = pd.Series({**settings, "provenance.preset": "paper", "provenance.study": "mine"})
    row["weights"] = "sha256:0123456789abcdef"
    assert "weights=FILE" in command_parameters(row)["overrides"]
    assert rd.keep_maps_command(row).endswith("with FILE the weights sha256:0123456789abcdef.")
    shipped = find_weights(LITE0, "shipped").name
    row["backbone"], row["weights"] = LITE0, shipped
    assert "weights=" not in rd.keep_maps_command(row)


@pytest.mark.parametrize("value", [True, "true", "True", False, "false", None])
def test_keep_maps_is_a_yes_or_a_no(value):
    assert rd.resolve(preset="demo", keep_maps=value).keep_maps is (str(value).lower() == "true")


@pytest.mark.parametrize("value", [1, 0, "yes", ""])
def test_keep_maps_is_nothing_else(value):
    with pytest.raises(ValueError, match=f"keep_maps={value!r} must be True or False"):
        rd.resolve(preset="demo", keep_maps=value)

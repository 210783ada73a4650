"""Figures show the numbers that they are given, and the same figure gives the same files."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import auc

import rdrepro as rd
from rdrepro.study import figures


@pytest.fixture(autouse=True)
def without_a_screen():
    """No test opens a window, and none leaves the reader's own style changed."""
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
    maps = np.random.default_rng(0).random((len(labels), 16, 16), dtype=np.float32)
    names = [f"grid/test/{d}/{i:03}.png" for i, d in enumerate(defects)]
    return rd.Predictions(maps, np.array(scores), gt_masks, labels, defects, names, "abc", 1.5)


def legend(ax):
    """The texts of a figure's only legend."""
    (only,) = ax.figure.legends
    assert not any(other.get_legend() for other in ax.figure.axes)
    return [text.get_text() for text in only.get_texts()]


@pytest.fixture
def seven():
    """Predictions of two good images and five with two kinds of defect."""
    return predictions(
        [0.1, 0.9, 0.5, 0.7, 0.3, 0.8, 0.2],
        [0, 1, 1, 1, 1, 1, 0],
        ["good", "bent", "bent", "bent", "cut", "cut", "good"],
    )


def items(p):
    """The items of a data set that predictions are of."""
    return [
        {"image": torch.rand(3, 16, 16), "gt_mask": torch.tensor(mask), "defect": d, "path": name}
        for mask, d, name in zip(p.gt_masks, p.defects, p.paths, strict=True)
    ]


def test_scaled_scores_span_0_to_1_and_every_image_is_counted(seven):
    assert figures.scale_scores([-2, 0, 6]).tolist() == [0, 0.25, 1]
    assert figures.scale_scores([3, 3]).tolist() == [0, 0]
    _, ax = rd.new_figure()
    rd.plot_scores(ax, seven.scores, seven.gt_labels)
    normal, anomalous = ax.containers
    heights = [[bar.get_height() for bar in bars] for bars in (normal, anomalous)]
    assert [sum(h) for h in heights] == pytest.approx([100, 100]), "shares of each class"
    assert min(h for h in heights[0] if h) == pytest.approx(50), "of two normal images"
    assert legend(ax) == ["normal", "anomalous"]
    assert "scaled" in ax.get_xlabel()


def test_a_histogram_separates_anomalous_images():
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


def test_the_roc_curve_encloses_its_auroc(seven):
    _, ax = rd.new_figure()
    rd.plot_roc(ax, seven.scores, seven.gt_labels, "x")
    rd.plot_roc(ax, [0, 1, 2, 3], [0, 1, 0, 1], "y")
    chance, _, second = ax.lines
    assert auc(*second.get_data()) == pytest.approx(0.75)
    assert legend(ax) == ["chance", "x: AUROC 100.0 %", "y: AUROC 75.0 %"]
    assert chance.get_label() == "chance"


def test_the_pro_curve_stops_at_the_limit_and_encloses_the_aupro(seven):
    _, ax = rd.new_figure()
    figures.plot_pro(ax, seven.maps, seven.gt_masks, "x")
    limit, curve = ax.lines
    fpr, pro = curve.get_data()
    assert limit.get_xdata()[0] == fpr[-1] == fpr.max() == 0.3
    aupro = rd.aupro(seven.maps, seven.gt_masks)
    assert auc(fpr, pro) / 0.3 == pytest.approx(aupro)
    assert legend(ax)[1] == f"x: AUPRO {100 * aupro:.1f} %"


def test_region_overlaps_by_hand():
    gt_masks = np.zeros((2, 10, 10), dtype=bool)
    gt_masks[0, 0, :4] = gt_masks[0, 8, 8] = gt_masks[0, 9, 9] = True  # corners touch: one region
    amaps = np.zeros((2, 10, 10))
    amaps[1] = np.arange(100).reshape(10, 10)  # of 194 normal pixels, 9 are at least 91
    amaps[0, 0, :3] = amaps[0, 8, 8] = 95
    amaps[0, 0, 3] = 50
    table = figures.region_overlaps(amaps, gt_masks, fpr_limit=0.05)
    assert table["image"].tolist() == [0, 0]
    assert table["size_px"].tolist() == [4, 2]
    assert table["overlap"].tolist() == [0.75, 0.5]
    assert figures.region_overlaps(amaps, gt_masks, fpr_limit=0.3)["overlap"].tolist() == [1, 0.5]
    assert figures.region_overlaps(amaps, gt_masks, fpr_limit=0.001)["overlap"].tolist() == [0, 0]
    _, ax = rd.new_figure()
    figures.plot_region_overlap(ax, table)
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
    figures.plot_paper_against_ours(ax, CELLS)
    ours = ax.containers[0].lines[0]
    paper = next(line for line in ax.lines if line.get_label() == "printed value")
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
    figures.plot_deltas(ax, CELLS)
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
    figures.plot_deltas(ax, CELLS.assign(ours=np.nan))
    assert sorted({t.get_text() for t in ax.texts}) == ["not printed", "not run"]


def test_cases_are_chosen_by_rule(seven):
    assert rd.choose_cases(seven, "defect") == {"bent": 3, "cut": 4}  # lower median of two
    assert list(rd.choose_cases(seven, "best and worst").values()) == [1, 0, 4, 6]
    smaller = seven.gt_masks.copy()
    smaller[5] = False
    smaller[5, 0, :3] = True
    assert rd.choose_cases(replace(seven, gt_masks=smaller), "smallest") == {"smallest region": 5}
    with pytest.raises(ValueError, match="by='hand' is not defect, smallest or best and worst"):
        rd.choose_cases(seven, "hand")


def test_overlays_have_three_panels_per_case_on_one_scale(seven):
    _, axes = rd.new_figure(2, 6)
    data, cases = items(seven), rd.choose_cases(seven, "best and worst")
    rd.plot_cases(axes, data, seven, cases)
    shown = [ax.images[-1] for ax in axes.reshape(-1, 3)[:, 2]]
    for image, index in zip(shown, cases.values(), strict=True):
        np.testing.assert_array_equal(image.get_array(), seven.maps[index])
    assert len({image.get_clim() for image in shown}) == 1
    assert [len(ax.collections) for ax in axes[:, 1]] == [1, 1], "the truth is outlined"
    titles = [ax.get_title("left") for ax in axes[0, :3]]
    case = "best: anomalous, highest score\nbent, score 0.900"
    assert titles == [f"{case}\ninput", "outlined defect", "anomaly map"]
    with pytest.raises(AssertionError, match="not the same images"):
        rd.plot_cases(axes, data[::-1], seven, cases)


def test_samples_have_a_column_per_kind(small_mvtec):
    data = rd.MVTecAD(small_mvtec / "mvtec", "bottle", "test", 64)
    _, axes = rd.new_figure(2, len(data.counts()), size=(1, 1))
    rd.plot_samples(axes, data)
    assert {" ".join(ax.get_title().split()) for ax in axes[0]} == {
        kind.replace("_", " ") for kind in data.counts()
    }
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

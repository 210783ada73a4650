"""Figures show the numbers that they are given, and the same figure gives the same files."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from sklearn.metrics import auc

import rdrepro as rd
from rdrepro.study import figures
from rdrepro.study.figures import images


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


MINUS = "\N{MINUS SIGN}"


def test_paper_against_ours_keeps_a_line_for_a_cell_without_a_run():
    _, ax = rd.new_figure()
    figures.plot_paper_against_ours(ax, CELLS)
    ours = ax.containers[0].lines[0]
    paper = next(line for line in ax.lines if line.get_label() == "printed value")
    np.testing.assert_array_equal(ours.get_xdata().astype(float), CELLS["ours"])
    np.testing.assert_array_equal(paper.get_xdata(), CELLS["printed"])
    assert ours.get_ydata().tolist() == paper.get_ydata().tolist() == [1, 2, 4, 5]
    interval = ax.containers[0].lines[2][0].get_segments()[0]
    assert interval.tolist() == [[98, 1], [99, 1]]
    texts = {t.get_position()[1]: t.get_text() for t in ax.texts}
    verdicts = dict(zip([1, 2, 4, 5], CELLS["verdict"], strict=True))
    assert texts == verdicts | {0: "wood", 3: "grid"}, "a label has a line above its metrics"
    assert [t.get_text() for t in ax.get_yticklabels()] == CELLS["metric"].tolist()
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first cell is on top"
    assert paper.get_zorder() >= ours.get_zorder() and paper.get_fillstyle() == "none"
    assert paper.get_markersize() > ours.get_markersize(), "a dot does not cover a diamond"


def test_what_all_cells_have_in_common_is_their_title():
    cells = CELLS.assign(label=["wood, 2 epochs", "wood, 2 epochs", "wood, 3 epochs, x", "wood, 4"])
    _, ax = rd.new_figure()
    figures.plot_paper_against_ours(ax, cells.assign(verdict="reduced"))
    assert ax.get_title() == "wood, all cells reduced"
    assert [t.get_text() for t in ax.texts] == ["2 epochs", "3 epochs, x", "4"]
    _, ax = rd.new_figure()
    figures.plot_paper_against_ours(ax, cells[cells["metric"] == "pro"])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["2 epochs", "4"]
    _, ax = rd.new_figure()
    figures.plot_deltas(ax, cells)
    assert ax.get_title() == "wood"
    one = cells[:1].assign(verdict="agrees")
    _, ax = rd.new_figure()
    figures.plot_paper_against_ours(ax, one)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["2 epochs"], "never empty"


def test_the_heat_map_says_deltas_and_what_was_not_run():
    _, ax = rd.new_figure()
    figures.plot_deltas(ax, CELLS)
    texts = {(*t.get_position(),): t.get_text() for t in ax.texts}
    assert texts == {
        (0.5, 0.5): f"{MINUS}0.5",
        (1.5, 0.5): "not\nrun",
        (0.5, 1.5): "+2.0",
        (1.5, 1.5): "not\nprinted",
    }
    assert ax.collections[0].get_clim() == (-2, 2)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["wood", "grid"]
    _, ax = rd.new_figure()
    figures.plot_deltas(ax, CELLS.assign(ours=np.nan))
    assert sorted({t.get_text() for t in ax.texts}) == ["not\nprinted", "not\nrun"]


def test_a_number_with_its_sign_has_the_minus_of_the_axes():
    assert [figures.signed(v) for v in (-0.04, 1.25, -3)] == ["+0.0", "+1.2", f"{MINUS}3.0"]


def test_a_roc_curve_that_another_covers_is_wider():
    _, ax = rd.new_figure()
    rd.plot_roc(ax, [0, 1, 2, 3], [0, 0, 1, 1], "covered")
    rd.plot_roc(ax, [0, 1, 2, 3], [0, 1, 0, 1], "lower")
    rd.plot_roc(ax, [0, 1, 2, 9], [0, 0, 1, 1], "on top")
    _, covered, lower, top = (line.get_linewidth() for line in ax.lines)
    assert covered > lower == top


def test_rotation_draws_a_line_per_metric_that_has_values():
    table = pd.DataFrame({"A": [99, 50], "B": [np.nan] * 2, "C": [80, 70]}, index=[0, 330])
    _, ax = rd.new_figure()
    figures.plot_rotation(ax, table, "screw")
    first, second = ax.lines
    assert [first.get_label(), second.get_label()] == ["A", "C"]
    assert second.get_color() == figures.COLOURS[2], "a metric looks the same in every panel"
    assert len({first.get_marker(), second.get_marker()}) == 2
    assert max(ax.get_xticks()) >= 330 and second.get_ydata().tolist() == [80, 70]


def test_the_epoch_that_was_selected_is_named_below_all_curves():
    _, ax = rd.new_figure()
    epochs = list(range(1, 9))
    losses = [2.0, 1.5, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6]
    validation = [3.0, 2, 1.5, 1.2, 1.0, 0.9, 1.1, 1.2]
    history = {"epoch": epochs, "loss": losses, "validation_loss": validation}
    rd.plot_stopping(ax, history, "held out")
    ax.figure.draw_without_rendering()
    (named,) = ax.texts
    assert named.get_text() == "epoch 6" and named.xy == (6, 0.9)
    text = Text.get_window_extent(named)  # without its line
    top = ax.transData.inverted().transform(text)[1, 1]
    assert top < min(losses)


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


def test_scores_have_three_significant_digits_and_no_exponent():
    values = {869.3: "869", 1495: "1500", 0.0798: "0.0798", 0.08036: "0.0804", 0.9996: "1.00"}
    assert {value: images.significant(value) for value in values} == values


def test_variants_have_a_legend_only_beside_printed_values():
    table = pd.DataFrame({"PRO": [90.0, 80.0]}, index=["M1", "M2"])
    for shown, legends in ((table, 0), (table.assign(**{"PRO, printed average": 91.0}), 1)):
        figure, axes = rd.new_figure(1, 2)
        rd.plot_variants(axes, shown)
        assert len(figure.legends) == legends


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

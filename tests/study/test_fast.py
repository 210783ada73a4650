"""The preset `fast` beside `paper`: its arms, numbers by hand, and the log of trials."""

import csv
import math

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from builders import load, make_row

from rdrepro.presets import PRESETS
from rdrepro.study import every_table, fast, results_page, stats
from rdrepro.study.fast_choice import COLUMNS, log_of, selection_log
from rdrepro.study.printed import load_printed
from rdrepro.study.report import fast as report

SETTINGS = {"epochs": 20, "lr_schedule": "cosine"}
LITE0 = {"backbone": "efficientnet_lite0", "weights": "sha256:0123", "oce_width": 32}
TRAIN = 209  # images of bottle: 14 steps of 16 images in an epoch
T_2 = 2.919986  # the 95 % quantile of Student's t with two degrees of freedom
AUROC, PIXEL, PRO = fast.METRICS


@pytest.fixture(autouse=True)
def preset(monkeypatch):
    """A preset `fast` of which these tests know the settings."""
    monkeypatch.setitem(PRESETS, "fast", SETTINGS)
    matplotlib.use("Agg")
    yield
    plt.close("all")


def row(arm, seed=1, values=(0.9, 0.95, 0.9), seconds=100.0, looks=(), **changes):
    """A row of an arm on bottle; values: image AUROC, pixel AUROC and PRO."""
    settings = {"paper": {}, "fast": SETTINGS, "2,000 steps": SETTINGS | {"epochs": 143}}[arm]
    parts = {"counts": {"train": TRAIN}, "cost": {"train_seconds": seconds}}
    if looks:
        blank = [None] * (settings.get("epochs", 200) - len(looks))
        epochs = list(range(1, len(blank) + len(looks) + 1))
        history = {"epoch": epochs, "loss": [0.1] * len(epochs), "seconds": [1.0] * len(epochs)}
        parts["history"] = history | {PRO: [*blank, *looks]}
    metrics = dict(zip(fast.METRICS, values, strict=True))
    return make_row(metrics=metrics, **{**LITE0, **parts, **settings, "seed": seed, **changes})


@pytest.fixture
def loaded(tmp_path):
    """A function from rows to the rows read back from the study `fast`."""
    return lambda rows, study="fast": load(rows, tmp_path / "runs", study)


def pairs(aurocs_of_paper, aurocs_of_fast, **changes):
    """Rows of both arms by seed, with these image AUROCs; None: not run."""
    both = {"paper": aurocs_of_paper, "fast": aurocs_of_fast}
    return [
        row(arm, seed, (auroc, 0.95, 0.9), **changes)
        for arm, aurocs in both.items()
        for seed, auroc in enumerate(aurocs, 1)
        if auroc is not None
    ]


def of_metric(table, title="image AUROC"):
    """The only line of a table for a metric."""
    [(_, line)] = table[table["metric"] == title].iterrows()
    return line


def test_non_inferior_by_hand():
    mean, bound, good = stats.non_inferior([-1, 0, 1], 1.7)  # the SD is 1
    assert mean == 0 and bound == pytest.approx(-T_2 / math.sqrt(3), abs=1e-6) and good
    assert not stats.non_inferior([-1, 0, 1], 1.6)[2]


def test_non_inferior_at_its_edges():
    mean, bound, good = stats.non_inferior([5.0, 5.0], 1)
    assert mean == 5 and math.isnan(bound) and good is False
    assert math.isnan(stats.non_inferior([], 1)[0])
    assert stats.non_inferior([-1.0] * 3, 1.1) == (-1, -1, True)  # no spread
    assert stats.non_inferior([-1.2] * 3, 1.1)[2] is False
    assert stats.non_inferior([-1.1] * 3, 1.1)[2], "a bound on the margin is inside, as elsewhere"


def test_arms_are_recognised_by_their_settings(loaded):
    rows = [row("paper"), row("fast"), row("2,000 steps")]
    rows += [row("fast", lr=0.001), row("paper", epochs=100), row("fast", rotation=90.0)]
    rows += [row("fast", 2, provenance={"dirty": True})]
    found = fast.arms(loaded(rows))
    assert found[["arm", "steps"]].to_numpy().tolist() == [
        ["paper", 2800],  # 200 epochs of 14 steps
        ["fast", 280],
        ["2,000 steps", 2002],
    ]
    assert set(found["data"]) == {"bottle (MVTec AD), 256 px"}
    assert set(found["teacher"]) == {"EfficientNet-Lite0"}


def test_only_the_newest_row_and_the_right_studies_count(loaded):
    again = {"provenance": {"finished": "2026-02-01T00:00:00+00:00"}}
    loaded([row("paper", values=(0.9, 0.95, 0.9))], "gpu-first")
    loaded([row("paper", values=(0.91, 0.95, 0.9))], "small-backbones")
    found = fast.arms(loaded([row("paper", values=(0.92, 0.95, 0.9), **again)]))
    assert found[AUROC].tolist() == [0.92]


def test_without_the_preset_only_paper_is_recognised(loaded, monkeypatch):
    monkeypatch.delitem(PRESETS, "fast")
    assert fast.arms(loaded([row("paper"), row("fast")]))["arm"].tolist() == ["paper"]


def test_the_comparison_by_hand(loaded):
    runs = loaded(pairs([0.9, 0.9, 0.9, 0.5], [0.89, 0.9, 0.91, None]))
    line = of_metric(fast.comparison(runs))
    assert line["pairs"] == 3, "seed 4 has no partner"
    assert line["paper"] == pytest.approx(90) and line["fast"] == pytest.approx(90)
    assert line["difference"] == pytest.approx(0, abs=1e-9) and line["SD"] == pytest.approx(1)
    assert line["lower bound"] == pytest.approx(-T_2 / math.sqrt(3), abs=1e-6)
    assert line["margin"] == 2.7 and line["answer"] == "non-inferior"
    assert of_metric(fast.comparison(runs), "PRO")["margin"] == 3.0
    assert of_metric(fast.comparison(runs), "pixel AUROC")["margin"] == 1.7


@pytest.mark.parametrize(
    ("aurocs", "answer"),
    [
        ([0.86, 0.86, 0.861], "worse"),
        ([0.86, 0.9, 0.88], "not shown"),
        ([0.8, 0.8, None], "not shown"),  # two pairs have no interval
    ],
)
def test_misses_come_first(loaded, aurocs, answer):
    table = fast.comparison(loaded(pairs([0.9] * 3, aurocs)))
    assert table["metric"].iloc[0] == "image AUROC" and table["answer"].iloc[0] == answer


def test_the_spread_by_hand(loaded):
    steady = [0.9] * 10
    swinging = [0.89, 0.91] * 5  # points: nine degrees of freedom, ten squares of 1
    rows = [row("paper", 1, (0.9, 0.95, 0.90), looks=swinging)]
    rows += [row("paper", 2, (0.92, 0.95, 0.91), looks=steady)]
    rows += [row("fast", 1, looks=steady[:9]), row("fast", 2)]
    lines = fast.spread(loaded(rows)).set_index(["arm", "metric"])
    assert lines.loc[("paper", "PRO"), "last epochs"] == pytest.approx(math.sqrt(10 / 9) / 2)
    assert lines.loc[("paper", "image AUROC"), "over seeds"] == pytest.approx(math.sqrt(2))
    assert lines["last epochs"].notna().sum() == 1, "nine looks and no looks have no spread"
    wide = fast.spread_table(loaded(rows))
    assert of_metric(wide, "PRO")["paper: over seeds"] == pytest.approx(math.sqrt(0.5))


def test_collapses_are_counted(loaded):
    rows = [row("fast", seed, (0.9, 0.95, 0.9)) for seed in (1, 2, 3)]
    rows += [row("fast", 4, (0.79, 0.95, 0.9)), row("fast", 5, status="collapsed")]
    [(_, line)] = fast.collapses(loaded(rows)).iterrows()
    assert (line["seeds"], line["collapsed"]) == (5, 2)
    assert (line["lowest"], line["median"]) == pytest.approx((79, 90))


def test_two_thousand_steps_stand_beside_printed_values(loaded):
    runs = loaded([row("2,000 steps", s, (1.0, 0.96, 0.9 + 0.01 * s)) for s in (1, 2, 3)])
    table = fast.two_thousand(runs)
    pro = of_metric(table[table["data"] == "bottle (MVTec AD), 256 px"], "PRO")
    shown = pro[["seeds", "2,000 steps", "ReContrast, printed", "RD4AD, printed"]]
    assert shown.tolist() == pytest.approx([3, 92, 97.09, 96.6])
    means = table[table["data"].str.startswith("average")]
    assert means["ReContrast, printed"].tolist() == [99.45, 98.37, 95.2]
    assert means["RD4AD, printed"].tolist() == [98.5, 97.8, 93.9]
    assert "answer" not in table and "verdict" not in table


def test_the_printed_values_of_recontrast_are_their_own_text():
    table = load_printed("recontrast")
    assert len(table) == 9 and set(table["category"]) == {"bottle", "transistor", "average"}
    assert [float(text) for text in table["printed"]] == table["value"].tolist()


def test_embedded_categories_are_averaged_over_seeds_that_have_all(loaded):
    drawn = {"dataset": "synthetic", "data_seed": 2, "image_size": 128, "counts": {"train": 40}}
    rows = [
        row(arm, seed, (0.9, 0.95, value), seconds=10 * value, **drawn, category=category)
        for arm in ("paper", "fast")
        for seed in (1, 2)
        for category, value in (("wood", 0.8), ("grid", 0.9))
    ]
    rows += [row("fast", 3, **drawn, category="wood")]
    lines = fast.efforts(loaded(rows), PRO).set_index(["arm", "seed"])
    assert len(lines) == 4 and set(lines["data"]) == {"2 embedded categories, 128 px"}
    assert lines["value"].tolist() == pytest.approx([85] * 4)
    assert lines.loc[("paper", 1), ["steps", "seconds"]].tolist() == pytest.approx([600, 8.5])
    times = fast.seconds(loaded(rows)).set_index("arm")
    assert times["runs"].to_dict() == {"paper": 4, "fast": 5}
    assert times.loc["paper", "seconds"] == pytest.approx(8.5)


def test_sentences_name_misses_first(loaded):
    said = fast.in_words(loaded(pairs([0.9] * 3, [0.86, 0.86, 0.861])))
    assert said[0] == (
        "`fast` loses more than the margin against `paper` in 1 of 3 comparisons: bottle (MVTec "
        "AD), 256 px, EfficientNet-Lite0, image AUROC (-4.0 points)."
    )
    assert said[1].startswith("`fast` is non-inferior to `paper` in 2 of 3 comparisons")
    assert said[2] == "None of 3 trainings with `fast` collapsed."


def test_the_figure_has_a_row_for_each_data_set(loaded):
    runs = loaded(pairs([0.9] * 3, [0.9, 0.91, 0.92], looks=[0.9] * 10))
    figure = report.drawn(runs)
    steps, seconds = figure.axes
    assert steps.get_title(loc="left") == "bottle (MVTec AD), 256 px, EfficientNet-Lite0"
    assert steps.get_ylim() == seconds.get_ylim() and steps.get_xscale() == "log"
    assert [line.get_xdata()[0] for line in steps.lines] == [2800, 280]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["paper", "fast"]


def test_a_category_has_its_own_figure_and_table_in_its_notebook(loaded):
    runs = loaded(pairs([0.9] * 3, [0.9, 0.91, 0.92]))
    caption, table = report.about_category(report.of_category(runs, "mvtec", "bottle"), 5)
    assert caption.data.startswith("**Figure 5.** PRO (%)") and "non-inferior" in table.data
    other = report.of_category(runs, "mvtec", "wood")
    [sentence] = report.about_category(other, 5)
    assert sentence.data.startswith("No committed row") and report.drawn(other) == report.NOT_RUN


def test_without_rows_nothing_is_said_but_that(tmp_path):
    runs = pd.DataFrame()
    [said] = report.parts(runs, tmp_path / "runs")
    assert said.data == fast.NOT_RUN and report.drawn(runs) == report.NOT_RUN
    assert not fast.readme_sentences(runs)
    assert every_table_is_empty(runs, tmp_path)


def test_rows_of_paper_alone_are_not_shown(loaded, tmp_path):
    runs = loaded([row("paper", seed) for seed in (1, 2, 3)], "small-backbones")
    assert len(fast.arms(runs)) == 3 and every_table_is_empty(runs, tmp_path)
    assert fast.in_words(runs) == [fast.NOT_RUN]


def every_table_is_empty(runs, folder):
    [section] = [s for s in results_page.SECTIONS if s.title == "A tenth of the steps"]
    return all(every_table.MAKERS[name](runs, folder / "runs").empty for name in section.tables)


def write_log(file, lines):
    """Write lines of (trial, data, seed, image AUROC, pixel AUROC, AUPRO) as a log."""
    usual = dict.fromkeys(COLUMNS, 0) | {"settings": "", "commit": "abc1234"}
    names = ("trial", "data", "seed", "image_auroc", "pixel_auroc", "pixel_aupro")
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        for line in lines:
            writer.writerow(usual | dict(zip(names, line, strict=True)))


def test_the_score_of_a_trial_by_hand(tmp_path):
    wood, grid = "synthetic wood official", "synthetic grid official"
    pasted = "mvtec bottle pasted"
    file = log_of(tmp_path / "runs")
    write_log(
        file,
        [
            *[("paper", data, 1, 0.9, 0.9, 0.9) for data in (wood, grid, pasted)],
            ("paper", wood, 2, 0.927, 0.917, 0.93),  # a margin higher in each metric
            ("cosine", wood, 2, 0.927, 0.917, 0.93),  # as that seed: 0
            ("cosine", wood, 3, 0.9135, 0.9085, 0.915),  # as the mean over seeds: 0
            ("cosine", grid, 1, 0.873, 0.9, 0.9),  # -1, 0, 0: -1/3
            ("cosine", pasted, 1, 0.5, 0.5, 0.5),  # repeated below
            ("cosine", pasted, 1, 0.9, 0.883, 0.96),  # 0, -1, a gain: -1/3
            ("linear", wood, 1, 0.9, 0.9, 0.9),
        ],
    )
    paper, cosine, linear = selection_log(file).to_dict("records")
    assert [line["trial"] for line in (paper, cosine, linear)] == ["paper", "cosine", "linear"]
    assert paper["score"] == 0 and cosine["seeds"] == "1, 2, 3" and cosine["runs"] == 4
    assert cosine["embedded"] == pytest.approx(-1 / 6) and cosine["pasted"] == pytest.approx(-1 / 3)
    assert cosine["score"] == pytest.approx(-1 / 4)
    assert cosine["worst data set"] in (f"{grid} (-0.33)", f"{pasted} (-0.33)")
    assert cosine["commit"] == "abc1234"
    assert math.isnan(linear["embedded"]) and math.isnan(linear["score"]), "not all of them ran"

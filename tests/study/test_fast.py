"""The preset `fast` beside `paper`: its arms, numbers by hand, and the log of trials."""

import csv
import math

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from builders import ROOT, load, make_row

from rdrepro.config import RunConfig
from rdrepro.presets import PRESETS
from rdrepro.study import every_table, fast, results_page, stats
from rdrepro.study.fast_choice import CHOSEN, COLUMNS, REFERENCE, TRIALS, log_of, selection_log
from rdrepro.study.printed import load_printed
from rdrepro.study.report import fast as report

OWN = dict(PRESETS["fast"])  # the preset itself, which the tests replace
COMMITTED_LOG = ROOT / "results" / "fast" / "trials.csv"
SETTINGS = {"epochs": 20, "lr_schedule": "cosine"}
ARMS = {"paper": {}, "fast": SETTINGS, "2,000 steps": SETTINGS | {"epochs": 143}}
ARMS |= {f"fast, {n} epochs": SETTINGS | {"epochs": n} for n in (10, 40, 80)}
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


def row(arm, seed=1, values=(0.9, 0.95, 0.9), seconds=1.0, looks=(), **changes):
    """A row of an arm on bottle.

    values: image AUROC, pixel AUROC and PRO. seconds: of each epoch but the first, which took 99.
    """
    settings = ARMS[arm]
    epochs = list(range(1, settings.get("epochs", 200) + 1))
    history = {"epoch": epochs, "loss": [0.1] * len(epochs)}
    history["seconds"] = [99.0] + [seconds] * (len(epochs) - 1)
    if looks:
        history[PRO] = [None] * (len(epochs) - len(looks)) + list(looks)
    parts = {"counts": {"train": TRAIN}, "history": history}
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
    assert lines.loc[("paper", "PRO"), ["seeds", "seeds with looks"]].tolist() == [2, 2]
    wide = fast.spread_table(loaded(rows))
    assert of_metric(wide, "PRO")["paper: over seeds"] == pytest.approx(math.sqrt(0.5))
    assert of_metric(wide, "PRO")["fast: seeds with looks"] == 0


def test_seeds_without_looks_do_not_hide_the_spread_of_the_others(loaded):
    rows = [row("fast", 1, looks=[0.89, 0.91] * 5), row("fast", 2), row("fast", 3)]
    line = of_metric(fast.spread(loaded(rows)), "PRO")
    assert line["last epochs"] == pytest.approx(math.sqrt(10 / 9))
    assert (line["seeds"], line["seeds with looks"]) == (3, 1)


def test_collapses_are_counted(loaded):
    rows = [row("fast", seed, (0.9, 0.95, 0.9)) for seed in (1, 2, 3)]
    rows += [row("fast", 4, (0.79, 0.95, 0.9)), row("fast", 5, status="collapsed")]
    [(_, line)] = fast.collapses(loaded(rows)).iterrows()
    assert (line["seeds"], line["collapsed"]) == (5, 2)
    assert (line["lowest"], line["median"]) == pytest.approx((79, 90))
    assert math.isnan(line["median of paper"]) and line["far below paper"] is pd.NA


def test_an_arm_that_fell_as_a_whole_is_seen(loaded):
    table = fast.collapses(loaded(pairs([0.9] * 3, [0.79, 0.79, 0.81])))
    below, paper = table.to_dict("records")
    assert (below["arm"], below["collapsed"], below["far below paper"]) == ("fast", 0, 2)
    assert below["median of paper"] == pytest.approx(90)
    assert pd.isna(paper["far below paper"])
    said = fast.in_words(loaded([]))
    assert said[-1] == (
        "None of 3 trainings with `fast` collapsed, and 2 lie more than 10 points of image AUROC "
        "below the median of `paper`."
    )


def test_two_thousand_steps_stand_beside_printed_values(loaded):
    runs = loaded([row("2,000 steps", s, (1.0, 0.96, 0.9 + 0.01 * s)) for s in (1, 2, 3)])
    table = fast.two_thousand(runs)
    pro = of_metric(table[table["data"] == "bottle (MVTec AD), 256 px"], "PRO")
    names = ["ReContrast, printed at 256 px", "RD4AD, printed at 256 px"]
    shown = pro[["seeds", "2,000 steps", *names]]
    assert shown.tolist() == pytest.approx([3, 92, 97.09, 96.6])
    means = table[table["data"] == "average of 15 (MVTec AD), 256 px"]
    assert means[names[0]].tolist() == [99.45, 98.37, 95.2]
    assert means[names[1]].tolist() == [98.5, 97.8, 93.9]
    assert "answer" not in table and "verdict" not in table
    assert set(results_page.NARROW["fast_2000"]) <= set(table)


def test_nothing_is_printed_for_drawn_images(loaded):
    drawn = {"dataset": "synthetic", "data_seed": 2}
    table = fast.two_thousand(loaded([row("2,000 steps", s, **drawn) for s in (1, 2, 3)]))
    own = table[table["data"] == "bottle (embedded), 256 px"]
    assert len(own) == 3 and own.filter(like="printed").isna().all(axis=None)


def test_other_numbers_of_epochs_are_arms_of_their_own_table(loaded):
    rows = pairs([0.9] * 3, [0.86, 0.86, 0.861])
    rows += [row("fast, 40 epochs", s, (0.89, 0.95, 0.9)) for s in (1, 2, 3)]
    rows += [row("2,000 steps", 1, (0.91, 0.95, 0.9))]
    rows += [row(arm, 1, category="wood") for arm in ("paper", "fast")]
    runs = loaded(rows)
    table = fast.more_steps(runs)
    assert set(table["data"]) == {"bottle (MVTec AD), 256 px"}, "wood has no other arm"
    own = table[table["metric"] == "image AUROC"].set_index("arm")
    assert own["steps"].to_dict() == {
        "paper": 2800,
        "fast": 280,
        "fast, 40 epochs": 560,
        "2,000 steps": 2002,
    }
    assert list(own.index)[1:] == sorted(list(own.index)[1:], key=own["steps"].get)
    assert own["value"].tolist() == pytest.approx([90, 86.0333333, 89, 91])
    assert own["answer"].fillna("").tolist() == ["", "worse", "non-inferior", "not shown"]
    assert own["difference"].iloc[1:].tolist() == pytest.approx([-3.9666667, -1, 1])
    shown = [fast.comparison(runs), fast.spread(runs), fast.collapses(runs), fast.seconds(runs)]
    assert not any(t.astype(str).eq("fast, 40 epochs").any(axis=None) for t in shown)


def test_pairs_have_one_precision_and_one_width(loaded):
    rows = pairs([0.9] * 3, [0.9] * 3, precision="float32")
    rows += [row("fast", s, (0.5, 0.95, 0.9), precision="bfloat16") for s in (1, 2, 3)]
    rows += [row("fast", s, (0.5, 0.95, 0.9), precision="float32", oce_width=64) for s in (1, 2)]
    runs = loaded(rows)
    line = of_metric(fast.comparison(runs))
    assert (line["pairs"], line["fast"]) == (3, pytest.approx(90))
    assert line["teacher"] == "EfficientNet-Lite0, OCE width 32, float32"
    assert len(fast.collapses(runs)) == 4


def test_the_printed_values_of_recontrast_are_their_own_text():
    table = load_printed("recontrast")
    assert len(table) == 9 and set(table["category"]) == {"bottle", "transistor", "average"}
    assert [float(text) for text in table["printed"]] == table["value"].tolist()


def test_embedded_categories_are_averaged_over_seeds_that_have_all(loaded):
    drawn = {"dataset": "synthetic", "data_seed": 2, "image_size": 128, "counts": {"train": 40}}
    rows = [
        row(arm, seed, (0.9, 0.95, value), seconds=value, **drawn, category=category)
        for arm in ("paper", "fast")
        for seed in (1, 2)
        for category, value in (("wood", 0.8), ("grid", 0.9))
    ]
    # of the test of collapse: a seed and a category without `paper`
    rows += [row("fast", 3, seconds=50, **drawn, category="wood")]
    rows += [row("fast", 1, seconds=50, **drawn, category="screw")]
    lines = fast.efforts(loaded(rows), PRO).set_index(["arm", "seed"])
    assert len(lines) == 4 and set(lines["data"]) == {"2 embedded categories, 128 px"}
    assert lines["value"].tolist() == pytest.approx([85] * 4)
    assert lines.loc[("paper", 1), ["steps", "seconds"]].tolist() == pytest.approx([600, 160])
    times = fast.seconds(loaded(rows)).set_index("arm")
    assert times["runs"].to_dict() == {"paper": 4, "fast": 4}
    assert times["seconds"].tolist() == pytest.approx([160, 16])
    assert times["times fewer than paper"].tolist() == pytest.approx([1, 10])


def test_seconds_of_older_code_do_not_count(loaded):
    loaded([row("paper", s) for s in (1, 2, 3)], "small-backbones")
    runs = loaded([row("fast", s) for s in (1, 2, 3)])
    times = fast.seconds(runs).set_index("arm")
    assert math.isnan(times.loc["paper", "seconds"]) and times.loc["fast", "seconds"] == 20
    assert times["times fewer than paper"].isna().all()
    steps, seconds = report.drawn(runs).axes
    assert len(steps.lines) == 2 and len(seconds.lines) == 1


def test_sentences_name_misses_first(loaded):
    runs = loaded(pairs([0.9] * 3, [0.86, 0.86, 0.861]))
    said = fast.in_words(runs)
    assert said == [
        "The preset `fast` trains for a tenth of the gradient steps of `paper`.",
        "It loses more than the margin (the loss that this study tolerates for one category) "
        "against `paper` in 1 of 3 comparisons: bottle (MVTec AD), 256 px, EfficientNet-Lite0, "
        "image AUROC (-4.0 points).",
        "A loss as large as the margin is excluded in 2 of 3 comparisons of a category and a "
        "metric.",
        "None of 3 trainings with `fast` collapsed, and none lie more than 10 points of image "
        "AUROC below the median of `paper`.",
    ]
    [bullet] = fast.readme_sentences(runs)
    assert bullet == f"**A tenth of the steps**: {' '.join(said)}"


def test_comparisons_at_the_ceiling_are_counted(loaded):
    said = fast.in_words(loaded(pairs([1.0] * 3, [1.0] * 3)))
    assert said[1] == (
        "A loss as large as the margin (the loss that this study tolerates for one category) is "
        "excluded in 3 of 3 comparisons of a category and a metric, but in 1 of them all trainings "
        "are at the ceiling of 100 %."
    )


def test_a_bullet_has_at_most_five_sentences(loaded):
    rows = pairs([0.9] * 3, [0.86, 0.86, 0.861])
    rows += pairs([0.9] * 3, [0.86, 0.9, 0.88], category="wood")
    said = fast.in_words(loaded(rows))
    assert len(said) == 5 and "is open in 1 of 6 comparisons: wood" in said[2]
    assert not any(". " in sentence for sentence in said)


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
    parts = report.about_category(report.of_category(runs, "mvtec", "bottle"), 5)
    caption, table, explained = parts
    assert explained.data == report.EXPLAINED
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
    table = selection_log(file)
    assert set(results_page.NARROW["fast_log"]) <= set(table)
    paper, cosine, linear = table.to_dict("records")
    assert [line["trial"] for line in (paper, cosine, linear)] == ["paper", "cosine", "linear"]
    assert paper["score"] == 0 and cosine["seeds"] == "1, 2, 3" and cosine["runs"] == 4
    assert cosine["embedded"] == pytest.approx(-1 / 6) and cosine["pasted"] == pytest.approx(-1 / 3)
    assert cosine["score"] == pytest.approx(-1 / 4)
    assert cosine["worst data set"] in (f"{grid} (-0.33)", f"{pasted} (-0.33)")
    assert cosine["commit"] == "abc1234"
    assert math.isnan(linear["embedded"]) and math.isnan(linear["score"]), "not all of them ran"
    # Those that lost as much as the margin are not beyond it.
    assert cosine["beyond the margin"] == "0 of 9" and linear["beyond the margin"] == "0 of 3"
    assert paper["worst value"] == "" and linear["worst value"] == ""


def test_single_losses_are_counted_and_named(tmp_path):
    wood, grid = "synthetic wood official", "synthetic grid official"
    file = log_of(tmp_path / "runs")
    reference = [("paper", data, 1, 0.9, 0.9, 0.9) for data in (wood, grid)]
    lines = [("muon", wood, 1, 0.8, 0.95, 0.86), ("muon", wood, 2, 0.88, 0.95, 0.86)]
    write_log(file, [*reference, *lines, ("muon", grid, 1, 0.88, 0.89, 0.95)])
    _, muon = selection_log(file).to_dict("records")
    assert muon["beyond the margin"] == "2 of 6"  # image AUROC -6 in the mean, AUPRO -4
    assert muon["worst value"] == f"image AUROC, {wood} (-6.0 points)"


def test_the_preset_is_the_best_trial_of_the_committed_log():
    assert {name: value for name, value in OWN.items() if name != "epochs"} == TRIALS[CHOSEN]
    assert 10 * OWN["epochs"] <= RunConfig().epochs
    table = selection_log(COMMITTED_LOG).set_index("trial")
    scores = table["score"].drop(REFERENCE).dropna()
    assert len(scores) > 1 and scores.idxmax() == CHOSEN
    losses = table.loc[CHOSEN, ["beyond the margin", "worst value"]].tolist()
    assert losses == ["2 of 51", "image AUROC, synthetic toothbrush official (-9.3 points)"]

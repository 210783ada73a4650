"""The extension's Table 3 from rows: columns, steps, other seeds, habits, and the figure of it."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row, scores_of

from rdrepro.metrics import auroc
from rdrepro.presets import preset_settings
from rdrepro.registry import FOLDS
from rdrepro.runs.configure import configure
from rdrepro.study import medical, medical_tables, rotation
from rdrepro.study.ablation import steps
from rdrepro.study.claims import SHOWN_FROM
from rdrepro.study.compare import other_protocols
from rdrepro.study.formats import interval
from rdrepro.study.medical_rows import STUDY, Change, Folds
from rdrepro.study.report import medical as medical_report

# How far the anomalous scores of each reading lie above the normal ones.
SHIFTS = {"Ours": 1.0, "Ours+ES": 1.0, "Ours+L_MKD": 2.5}
EPOCHS = 60


def made_row(reading, fold, shift):
    """A made-up row of a reading, trained for one epoch of sixty."""
    given = {"fold": fold, "teacher_bn": "frozen", "backbone": "resnet18", "epochs": EPOCHS}
    return row_of_preset(medical_tables.READING_OF[reading]["preset"], given, shift, STUDY)


def row_of_preset(preset, given, shift=1.0, study="medical"):
    """A made-up row of a preset on Head CT, trained for one epoch."""
    given = {"dataset": "head_ct"} | given
    config = configure(preset_settings(preset), given, "float32")
    fold = config.fold or 0
    normal = np.random.default_rng(fold).normal(0, 1, 20).round(4)
    anomalous = np.random.default_rng(99).normal(shift, 1, 30).round(4)
    scores = scores_of(normal.tolist(), anomalous.tolist(), 20 * fold)
    return make_row(
        metrics={"image_auroc": auroc(scores["score"], scores["label"])},
        scores=scores,
        provenance={"preset": preset, "study": study},
        history={"epoch": [1], "loss": [1.0], "seconds": [1.0]},
        **asdict(config),
    )


@pytest.fixture(scope="module")
def medical_runs(tmp_path_factory):
    """Rows of three readings on five folds each, which no test may change."""
    rows = [
        made_row(reading, fold, shift) for reading, shift in SHIFTS.items() for fold in range(FOLDS)
    ]
    return load(rows, tmp_path_factory.mktemp("runs"), STUDY)


def of_preset(runs, preset):
    return runs[runs["provenance.preset"].eq(preset)]


# ------------------------------------------------------------------ columns


@pytest.mark.parametrize(("spread", "overlap"), [(0.0, "does not overlap"), (0.15, "overlaps")])
def test_a_reading_overlaps_the_printed_value_by_either_interval(medical_runs, spread, overlap):
    """With a spread the folds differ far more than resampled images let expect."""
    runs = of_preset(medical_runs, "medical").reset_index(drop=True)
    folds = 0.4 + spread * (runs["fold"] - 2)
    reversed_ = [{**s, "score": [-x for x in s["score"]]} for s in runs["scores"]]
    table = medical_tables.columns_table(runs.assign(image_auroc=folds, scores=reversed_))
    (line,) = table.to_dict("records")
    assert line["high"] < line["printed_low"]
    assert line["overlap"] == overlap
    assert line["collapsed"] == (2 if spread else 0)


def test_each_reading_has_its_mean_within_nested_prediction_intervals(medical_runs):
    table = medical_tables.columns_table(medical_runs)
    assert list(table["reading"]) == list(SHIFTS)
    assert (table["folds"] == FOLDS).all()
    for _, line in table.iterrows():
        rows = of_preset(medical_runs, medical_tables.READING_OF[line["reading"]]["preset"])
        assert line["ours"] == pytest.approx(100 * rows["image_auroc"].mean())
        ends = [line[name] for name in ("one_low", "five_low", "ours", "five_high", "one_high")]
        assert (np.diff(ends) > 0).all()
        # A row's history is of one epoch, its configuration of sixty.
        stopped = FOLDS if line["reading"] == "Ours+ES" else np.nan
        assert line["stopped"] == pytest.approx(stopped, nan_ok=True)
    assert len(medical_tables.readable_columns(table)) == 3


def test_random_weights_and_other_protocols_are_in_no_column(medical_runs):
    table = medical_tables.columns_table(medical_runs)
    assert medical_tables.columns_table(medical_runs.assign(weights="random")).empty
    # One fold at another learning rate, newer than the others: it is no part of their protocol.
    stray = of_preset(medical_runs, "medical").iloc[[0]].assign(lr=0.1, image_auroc=0.0)
    both = pd.concat([medical_runs, stray], ignore_index=True)
    pd.testing.assert_frame_equal(medical_tables.columns_table(both), table)


# ------------------------------------------------------------------ the printed protocol


def as_printed(preset="medical", count=FOLDS, **given):
    """Rows of a preset at its own settings: the printed teacher, and batch norms as coded."""
    return [row_of_preset(preset, {"fold": fold} | given) for fold in range(count)]


@pytest.fixture
def beside_reduced(medical_runs, tmp_path):
    """A function from made-up rows to all rows: theirs and those of smaller teachers."""
    return lambda rows: pd.concat(
        [medical_runs, load(rows, tmp_path, "medical")], ignore_index=True
    )


def test_the_printed_protocol_has_the_first_line_of_its_column(beside_reduced):
    runs = beside_reduced(as_printed() + as_printed("medical_es"))
    assert {"wide_resnet50_2"} == set(runs[runs["study"] == "medical"]["backbone"])
    table = medical_tables.columns_table(runs)
    ours = table[table["column"] == "Ours"]
    assert list(ours["teacher"]) == ["wide_resnet50_2", "resnet18"]
    assert list(ours["batch norms"]) == ["train", "frozen"]
    assert list(ours["tier"]) == ["printed protocol", "reduced"]
    shown = medical_tables.readable_columns(table)
    assert len(shown) == len(table) and shown["tier"].iloc[0] == "printed protocol"
    steps = medical_tables.steps_table(runs)
    assert steps["teacher"][0] == "WideResNet-50-2" and steps["batch norms"][0] == "train"


def test_modes_of_batch_norms_have_lines_and_steps_of_their_own(medical_runs):
    moving = medical_runs.assign(teacher_bn="train")
    runs = pd.concat([medical_runs, moving], ignore_index=True)
    table = medical_tables.columns_table(runs)
    assert list(table["batch norms"]) == ["train", "frozen"] * len(SHIFTS)
    steps = medical_tables.steps_table(runs)
    assert list(steps["batch norms"]) == ["train"] * 2 + ["frozen"] * 2
    frozen = medical_tables.columns_table(medical_runs).drop(columns="batch norms")
    own = table[table["batch norms"] == "frozen"].drop(columns="batch norms")
    pd.testing.assert_frame_equal(own.reset_index(drop=True), frozen)


@pytest.mark.parametrize(
    ("preset", "given", "reading"),
    [
        ("extension_printed", {}, "Ours (oce_width=128 beta2=0.99 map_combine=sum)"),
        (
            "medical_es",
            {"early_stopping": "leaky"},
            "Ours+ES (early_stopping=leaky)",
        ),
    ],
)
def test_rows_of_a_printed_cell_that_are_no_reading_have_a_line(
    preset, given, reading, beside_reduced
):
    table = medical_tables.columns_table(beside_reduced(as_printed(preset, **given)))
    (line,) = table[table["tier"] == "printed protocol"].to_dict("records")
    assert line["reading"] == reading and line["folds"] == FOLDS


# Rows of a printed cell that differ in what the paper leaves open: the line that they belong to,
# their preset, the number of their folds, and what they change.
ES, LEAKY = "Ours+ES", {"early_stopping": "leaky"}
OPEN = {
    "all folds, and one of another patience": [
        (ES, "medical_es", FOLDS, {}),
        (f"{ES} (patience=20)", "medical_es", 1, {"patience": 20}),
    ],
    "fewer folds of the reading's own patience": [
        (f"{ES} (patience=20)", "medical_es", FOLDS, {"patience": 20}),
        (ES, "medical_es", 3, {}),
    ],
    "two kinds of patience on tested images": [
        (f"{ES} (early_stopping=leaky)", "medical_es", 2, LEAKY),
        (
            f"{ES} (early_stopping=leaky patience=20)",
            *("medical_es", FOLDS, LEAKY | {"patience": 20}),
        ),
    ],
    "sizes of MKD": [
        ("MKD", "mkd", FOLDS, {}),
        ("MKD (image_size=256)", "mkd", 1, {"image_size": 256}),
    ],
    "the nearest reading": [
        ("Ours+L_MKD, ES", "medical_mkd", FOLDS, {"early_stopping": "train"}),
        (
            "Ours+L_MKD, ES (patience=20)",
            *("medical_mkd", 1, {"early_stopping": "train", "patience": 20}),
        ),
    ],
    "presets without a reading": [
        ("Ours", "extension", 4, {}),
        ("Ours (oce_width=128 beta2=0.99 map_combine=sum)", "extension_printed", 2, {}),
    ],
}


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("order", [1, -1])
def test_each_protocol_of_a_printed_cell_has_a_line_with_all_its_folds(name, order, tmp_path):
    rows, aurocs = [], {}
    for number, (line, preset, count, changes) in enumerate(OPEN[name]):
        own = [row_of_preset(preset, {"fold": n} | changes, 1 + number) for n in range(count)]
        aurocs[line] = [100 * row["metrics"]["image_auroc"] for row in own]
        rows += own
    runs = load(rows, tmp_path, "medical").iloc[::order]  # whichever is newer
    table = medical_tables.columns_table(runs)
    assert set(table["tier"]) == {"printed protocol"}
    assert sorted(table["reading"]) == sorted(aurocs)
    for _, line in table.iterrows():
        assert line["folds"] == len(aurocs[line["reading"]])
        assert line["ours"] == pytest.approx(np.mean(aurocs[line["reading"]]))


def test_one_printed_fold_is_shown_whatever_ran_for_other_protocols(tmp_path):
    rows = as_printed(lr=0.1) + as_printed(count=1)
    (line,) = medical_tables.columns_table(load(rows, tmp_path, "medical")).to_dict("records")
    assert (line["reading"], line["tier"], line["folds"]) == ("Ours", "printed protocol", 1)


@pytest.mark.parametrize(("epochs", "shown"), [(199, True), (60, False)])
def test_the_earlier_split_has_a_line_only_at_the_printed_protocol(epochs, shown, beside_reduced):
    table = medical_tables.columns_table(beside_reduced(as_printed(split="kfold", epochs=epochs)))
    assert ("kfold" in set(table["split"])) == shown


def test_draws_are_no_folds_and_share_their_images(beside_reduced):
    rows = as_printed(count=2, split="report")
    normal = rows[0]["scores"]["path"][:20]
    for row in rows:  # both draws test the same normal images
        row["scores"] = row["scores"] | {"path": normal + row["scores"]["path"][20:]}
    table = medical_tables.columns_table(beside_reduced(rows))
    (line,) = table[table["split"] == "report"].to_dict("records")
    assert (line["folds"], line["runs"]) == (2, 2) and line["tier"] == "printed protocol"
    assert np.isnan([line["fold_low"], line["one_low"], line["five_high"]]).all()
    assert line["low"] < line["ours"] < line["high"]
    assert medical_tables.readable_columns(table)["split"].iloc[0] == "report, 2 draws"
    assert {key.split for key in medical_tables.by_reading(beside_reduced(rows))} == {"blocks"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([{"split": "report", "fold": 0}], "report, 1 draw"),
        ([{"split": "report", "fold": n} for n in (0, 1, 2)], "report, 3 draws"),
        ([{"split": "report", "fold": 0, "seed": s} for s in (1, 2)], "report, 1 draw, 2 runs"),
        ([{"split": "official"}], "official, 1 run"),
        ([{"split": "official", "seed": s} for s in (1, 2, 3)], "official, 3 runs"),
    ],
)
def test_retinal_oct_is_in_the_table_by_its_splits(given, text, beside_reduced):
    rows = [row_of_preset("medical", {"dataset": "retinal_oct"} | one) for one in given]
    table = medical_tables.columns_table(beside_reduced(rows))
    (line,) = table[table["dataset"] == "retinal_oct"].to_dict("records")
    assert line["printed"] == 94.6 and line["overlap"] == ""  # the extension prints no counts
    assert medical_tables.readable_columns(table)["split"].iloc[-1] == text


def test_a_figure_draws_one_line_of_each_teacher_and_mode(medical_runs):
    longer = medical_runs.assign(epochs=199)
    moving = medical_runs.assign(teacher_bn="train")
    table = medical_tables.columns_table(
        pd.concat([medical_runs, longer, moving], ignore_index=True)
    )
    drawn = medical_tables.one_line_each(table)
    assert len(table) == 3 * len(SHIFTS) and len(drawn) == 2 * len(SHIFTS)
    assert set(drawn["series"]) == {"ResNet-18", "ResNet-18, batch norms: train"}
    assert set(drawn[drawn["series"] == "ResNet-18"]["epochs"]) == {199}


def drawn_line(rows, tmp_path):
    """The only line that a figure draws of these rows: its split, folds or draws, and runs."""
    table = medical_tables.columns_table(load(rows, tmp_path, "medical"))
    (line,) = medical_tables.one_line_each(table).to_dict("records")
    return line["split"], line["folds"], line["runs"]


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [({"backbone": "resnet18"}, ("blocks", FOLDS, FOLDS)), ({}, ("report", 2, 6))],
)
def test_usual_folds_are_drawn_before_draws_but_for_the_printed_protocol(changes, drawn, tmp_path):
    rows = as_printed(**changes)
    for seed in (1, 2, 3):
        rows += as_printed(count=2, split="report", seed=seed, **changes)
    assert drawn_line(rows, tmp_path) == drawn


def test_few_folds_of_the_usual_split_are_drawn_before_all_of_the_earlier_one(tmp_path):
    rows = as_printed(split="kfold") + as_printed(count=2)
    assert drawn_line(rows, tmp_path) == ("blocks", 2, 2)


def test_missing_folds_are_no_overlap(tmp_path):
    (line,) = medical_tables.columns_table(load(as_printed(count=3), tmp_path)).to_dict("records")
    assert line["overlap"] == "incomplete (3/5)" and np.isnan([line["fold_low"]]).all()
    whole = medical_tables.columns_table(load(as_printed(), tmp_path / "whole"))
    assert whole["overlap"].tolist() == ["overlaps"] and whole["fold_low"].notna().all()


# ------------------------------------------------------------------ the earlier split


def test_the_earlier_split_has_a_table_of_its_own(medical_runs):
    nothing = medical_tables.earlier_split_table(medical_runs)
    assert nothing.empty
    earlier = medical_runs.assign(split="kfold", image_auroc=medical_runs["image_auroc"] + 0.05)
    (line, *_) = medical_tables.earlier_split_table(earlier).to_dict("records")
    assert line["reading"] == "Ours" and line["numbered folds"] == 0
    assert np.isnan([line["split by number"], line["change"]]).all() and line["over folds"] == ""
    assert medical_tables.columns_table(earlier).empty
    both = pd.concat([medical_runs, earlier], ignore_index=True)
    table = medical_tables.earlier_split_table(both)
    assert list(table["reading"]) == list(SHIFTS) and (table["numbered folds"] == FOLDS).all()
    np.testing.assert_allclose(table["change"], -5)
    # Equal spreads and counts: eight degrees of freedom.
    spread = 100 * of_preset(medical_runs, "medical")["image_auroc"].std(ddof=1)
    half = 2.3060 * spread * (2 / FOLDS) ** 0.5
    assert table["over folds"][0] == interval(-5 - half, -5 + half)
    pd.testing.assert_frame_equal(
        medical_tables.columns_table(both), medical_tables.columns_table(medical_runs)
    )


def test_habits_and_repetitions_of_the_earlier_split_are_in_its_table(medical_runs):
    names = medical_tables.AGAIN_STUDY, medical_tables.HABITS_STUDY
    ours = of_preset(medical_runs, "medical").assign(split="kfold")
    rows = [ours.assign(study=names[0], seed=2), ours.assign(study=names[1], beta2=0.99)]
    table = medical_tables.earlier_split_table(pd.concat(rows, ignore_index=True))
    assert list(table["study"]) == list(names)
    assert list(table["reading"]) == ["Ours", "Adam's second beta as printed"]
    # Rows of a habit that are those of a reading as well have one line, and readings have theirs.
    both = [rows[1].assign(beta2=0.999, teacher_bn="train"), ours.assign(study=names[1])]
    table = medical_tables.earlier_split_table(pd.concat(both, ignore_index=True))
    assert list(table["reading"]) == ["teacher's batch norms in training mode", "Ours"]


def split_changes(rows_of_study, tmp_path):
    """The lines of the table of the earlier split, for rows by study."""
    for study, rows in rows_of_study.items():
        load(rows, tmp_path, study)
    return medical_tables.earlier_split_table(load([], tmp_path))


def reduced(count=FOLDS, shift=1.0, **given):
    """Rows of a small teacher."""
    given = {"backbone": "resnet18", "teacher_bn": "frozen", "epochs": EPOCHS} | given
    return [row_of_preset("medical", {"fold": fold} | given, shift) for fold in range(count)]


def test_the_earlier_split_is_shown_from_every_study_with_its_counterpart_in_any(tmp_path):
    rows = {"mine": reduced(split="kfold"), "theirs": reduced(shift=2.0), "long-ago": reduced(2)}
    (line,) = split_changes(rows, tmp_path).to_dict("records")
    assert (line["study"], line["reading"], line["random folds"]) == ("mine", "Ours", FOLDS)
    assert line["numbered folds"] == FOLDS and line["change"] > 10


def test_a_counterpart_has_the_same_settings_and_no_repetition_is_one(tmp_path):
    again = medical_tables.AGAIN_STUDY
    rows = {"mine": reduced(split="kfold"), again: reduced(), "other": reduced(lr=0.1)}
    assert list(split_changes(rows, tmp_path)["numbered folds"]) == [0]
    repeated = {again: reduced(split="kfold", seed=2) + reduced(3, seed=2), "mine": reduced()}
    assert list(split_changes(repeated, tmp_path / "repeated")["numbered folds"]) == [3]


# ------------------------------------------------------------------ what other tables leave out


def test_medical_rows_are_not_among_other_protocols(medical_runs):
    assert other_protocols(medical_runs).empty
    assert len(other_protocols(medical_runs.assign(dataset="mvtec", category="bottle")))


@pytest.mark.parametrize(
    ("table", "changes"),
    [("5", {"bottleneck": "oce"}), ("6", {"backbone": "resnet34"}), ("7", {"map_layers": [2, 3]})],
)
def test_medical_rows_are_in_no_ablation(table, changes, medical_runs):
    ours = of_preset(medical_runs, "medical")
    changed = ours.assign(**{name: [value] * len(ours) for name, value in changes.items()})
    both = pd.concat([ours, changed], ignore_index=True)
    assert steps(both, table).empty
    assert len(steps(both.assign(dataset="mvtec", category="bottle"), table))


def test_every_teacher_is_in_the_legend_whichever_panel_lacks_it(medical_runs):
    other = medical_runs.assign(dataset="brain_mri", split="kfold", backbone="efficientnet_lite0")
    figure = medical_report.medical_columns(
        medical_tables.columns_table(pd.concat([medical_runs, other], ignore_index=True))
    )
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.split(",")[0] for text in labels] == [
        "printed value",
        "ResNet-18",
        "EfficientNet-Lite0",
    ]
    first, second = ([c.lines[0].get_color() for c in ax.containers] for ax in figure.axes)
    assert first == second  # a colour per teacher
    limits = {ax.get_xlim() for ax in figure.axes}
    assert len(limits) == 1


def test_the_short_table_has_a_line_per_reading_and_a_column_per_teacher(medical_runs):
    moving = of_preset(medical_runs, "medical").assign(teacher_bn="train")
    other = moving.assign(backbone="efficientnet_lite0")
    columns = medical_tables.columns_table(
        pd.concat([medical_runs, moving, other], ignore_index=True)
    )
    shown = medical_report.short_table(columns).set_index("reading")
    assert list(shown.index) == ["Ours (batch norms: train)", *SHIFTS]
    assert list(shown)[2:] == ["EfficientNet-Lite0", "ResNet-18", "overlaps"]
    line = columns[columns["reading"] == "Ours+ES"].iloc[0]
    ours = f"{line['ours']:.1f} {interval(line['low'], line['high'])}"
    assert shown.loc["Ours+ES", "ResNet-18"] == ours
    assert shown["overlaps"].tolist()[:2] == ["2 of 2", "1 of 1"]
    assert shown["EfficientNet-Lite0"].eq("").tolist() == [False, True, True, True]


def test_the_full_table_is_folded_and_says_once_what_all_lines_share(medical_runs):
    html = medical_report.columns_in_full(medical_tables.columns_table(medical_runs)).data
    assert "Every result in full: 3 lines" in html
    note = "In all lines: tier reduced, batch norms frozen, epochs 60, collapsed 0."
    assert note in html.replace("\xa0", " ")


def test_steps_are_shown_with_their_signs(medical_runs):
    html = medical_report.steps_shown(medical_tables.steps_table(medical_runs)).data
    assert ">+4.1<" in html and ">+0.0<" in html


def test_without_rows_every_medical_table_and_figure_says_so(tmp_path):
    tables = (
        medical_report.columns_in_short,
        medical_report.columns_in_full,
        medical_report.steps_shown,
        medical_report.again_shown,
        medical_report.habits_shown,
        medical_report.long_shown,
        medical_report.earlier_shown,
    )
    nothing = pd.DataFrame()
    assert all("No rows" in show(nothing).data for show in tables)
    for figure in (medical_report.medical_columns, medical_report.medical_stopping):
        assert figure(nothing) == medical_report.NO_MEDICAL
    medical_report.save_tables(*[nothing] * 6, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_claims_refer_to_the_studies_that_the_report_shows():
    assert set(SHOWN_FROM.values()) == {STUDY, rotation.ROTATION_STUDY}


# ------------------------------------------------------------------ steps


@pytest.mark.parametrize(
    ("bounds", "resolved"),
    [
        ((1, 3, 0.5, 4), True),
        ((-3, -1, -4, -0.5), True),
        ((1, 3, -9, 13), False),
        ((-1, 5, 1, 3), False),
        ((1, 3, np.nan, np.nan), False),
    ],
)
def test_a_change_is_resolved_where_neither_interval_holds_zero(bounds, resolved):
    assert Change(2, *bounds).resolved is resolved


def made_folds(scores):
    """Folds of these scores, of a reading without a name."""
    aurocs = [auroc(fold["score"], fold["label"]) for fold in scores]
    return Folds(*[""] * 7, pd.DataFrame({"scores": scores, "image_auroc": aurocs}))


def test_a_change_has_paired_intervals_over_images_and_over_folds():
    rng = np.random.default_rng(2)
    anomalous = rng.normal(1, 1, 20)
    folds = [scores_of(rng.normal(0, 1, 10), anomalous, 10 * k) for k in range(2)]
    higher = [scores_of(f["score"][:10], anomalous + 1, 10 * k) for k, f in enumerate(folds)]
    before, after = made_folds(folds), made_folds(higher)
    change = medical_tables.change(before, after)
    assert 0 < change.low < change.mean < change.high
    gains = 100 * (after.aurocs - before.aurocs)
    half = 12.7062 * np.std(gains, ddof=1) / 2**0.5  # Student's quantile of one degree of freedom
    assert change.fold_low == pytest.approx(np.mean(gains) - half, rel=1e-4)
    assert change.fold_high == pytest.approx(np.mean(gains) + half, rel=1e-4)


def test_steps_are_compared_with_the_noise_of_single_splits(medical_runs):
    table = medical_tables.steps_table(medical_runs).set_index("step")
    es, mkd = table.loc["Ours to Ours+ES"], table.loc["Ours to Ours+L_MKD"]
    assert es["printed step"] == pytest.approx(81.3 - 77.2)
    # The same scores: two columns on one split of them differ by nothing.
    assert es["noise"] == 0 and es["printed step is"] == "larger than noise"
    assert es["our step"] == 0 and es["our step is"] == "not resolved"
    assert 0 < mkd["noise"] < 30
    assert mkd["our step is"] == "resolved" and mkd["our step"] > 10
    assert mkd["printed step"] == pytest.approx(85.2 - 77.2)


@pytest.mark.parametrize(("folds", "epochs"), [(FOLDS, 201), (FOLDS - 1, 60)])
def test_the_baseline_counts_at_the_most_epochs_that_all_its_folds_have(
    medical_runs, folds, epochs
):
    ours = of_preset(medical_runs, "medical")
    mkd = ours.assign(**{"provenance.preset": "mkd", "method": "mkd", "backbone": "vgg16"})
    reversed_ = [{**s, "score": [-x for x in s["score"]]} for s in mkd["scores"]]
    long = mkd.assign(epochs=201, image_auroc=1 - mkd["image_auroc"], scores=reversed_)
    runs = pd.concat([medical_runs, mkd, long[long["fold"] < folds]], ignore_index=True)
    table = medical_tables.steps_table(runs).set_index("step")
    # A quoted column shares no split, so that its noise is of both.
    assert table.loc["MKD to Ours", "noise"] > 0
    # At 60 epochs the made-up baseline is the method itself, at 201 its reverse.
    assert (table.loc["MKD to Ours", "our step"] == 0) == (epochs == 60)


def test_folds_with_other_images_are_not_paired(medical_runs):
    other = medical_runs["provenance.preset"].eq("medical_mkd")
    moved = [
        {**s, "path": ["x" + p if p[0] == "n" else p for p in s["path"]]}
        for s in medical_runs["scores"]
    ]
    runs = medical_runs.assign(scores=np.where(other, moved, medical_runs["scores"]))
    assert list(medical_tables.steps_table(runs)["step"]) == ["Ours to Ours+ES"]


def test_readings_that_lack_a_fold_are_not_compared(medical_runs):
    missing = medical_runs["provenance.preset"].eq("medical_mkd") & medical_runs["fold"].eq(2)
    table = medical_tables.steps_table(medical_runs[~missing])
    assert list(table["step"]) == ["Ours to Ours+ES"]


# ------------------------------------------------------------------ other seeds, habits, epochs


def test_other_seeds_are_compared_with_their_prediction(medical_runs):
    moved = [{**s, "path": [f"other {p}" for p in s["path"]]} for s in medical_runs["scores"]]
    again = medical_runs.assign(study=medical_tables.AGAIN_STUDY, seed=2, data_seed=2, scores=moved)
    away = again["fold"].lt(FOLDS - 1) & again["provenance.preset"].eq("medical")
    again.loc[away, "image_auroc"] = 0.01
    table = medical_tables.again_table(pd.concat([medical_runs, again], ignore_index=True))
    inside = table.set_index("reading")["inside"]
    assert inside["Ours"] == 1 and inside["Ours+ES"] == FOLDS
    assert list(table["mean inside"]) == ["no", "yes", "yes"]
    assert abs(table["new mean"] - table["first mean"])[0] > 40
    few = pd.concat([medical_runs, again[again["fold"] < FOLDS - 1]], ignore_index=True)
    assert set(medical_tables.again_table(few)["mean inside"]) == {""}


def test_without_other_images_there_is_nothing_to_compare_with_a_prediction(medical_runs):
    table = medical_tables.again_table(medical_runs)
    assert table.empty
    same = medical_runs.assign(study=medical_tables.AGAIN_STUDY)  # the same images once more
    both = pd.concat([medical_runs, same], ignore_index=True)
    assert medical_tables.again_table(both).empty


def with_changes(medical_runs, study, **changes):
    """All rows, and those of the column "Ours" in another study with other settings."""
    ours = of_preset(medical_runs, "medical")
    return pd.concat([medical_runs, ours.assign(study=study, **changes)], ignore_index=True)


@pytest.mark.parametrize("name", medical.HABITS)
def test_every_habit_is_compared_with_its_reading(name, medical_runs):
    """Rows that differ in the habit's field alone: no change, whatever the field."""
    reading, entry, how = medical.HABITS[name]
    (field,) = set(how) - {"preset"}
    rows = of_preset(medical_runs, how["preset"])
    changed = rows.assign(study=medical_tables.HABITS_STUDY, **{field: how[field]})
    both = pd.concat([medical_runs, changed], ignore_index=True)
    (line,) = medical_tables.habits_table(both).to_dict("records")
    assert (line["habit"], line["entry"], line["against"]) == (name, entry, reading)
    assert line["switch"] == f"`{field}={how[field]}`"
    assert line["mean"] == line["low"] == line["high"] == 0 and line["folds"] == FOLDS


def test_the_registers_interval_of_a_habit_is_over_folds(medical_runs):
    """Each fold was trained once; an interval over images would leave out what training varies."""
    runs = with_changes(medical_runs, medical_tables.HABITS_STUDY, image_size=256)
    added = runs["study"].eq(medical_tables.HABITS_STUDY)
    runs.loc[added, "image_auroc"] -= 0.01 * runs.loc[added, "fold"]
    (line,) = medical_tables.habit_deviations(runs).to_dict("records")
    differences = -np.arange(FOLDS)
    half = 2.7764 * differences.std(ddof=1) / FOLDS**0.5
    assert line["mean"] == pytest.approx(differences.mean())
    assert [line["low"], line["high"]] == pytest.approx([-2 - half, -2 + half], abs=1e-3)


def test_long_training_is_compared_on_the_same_images(medical_runs):
    runs = with_changes(medical_runs, medical_tables.LONG_STUDY, epochs=199)
    table = medical_tables.long_table(runs)
    assert len(table) == FOLDS and (table["ours"] == table["ours, long"]).all()
    assert set(table["epochs"]) == {EPOCHS} and set(table["epochs, long"]) == {199}
    long = runs["study"].eq(medical_tables.LONG_STUDY)
    other = runs.assign(data_seed=long.map({True: 2, False: 1}))
    assert medical_tables.long_table(other).empty  # other images

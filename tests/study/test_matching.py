"""Which rows a printed cell admits: the whole protocol, clean, the newest, of one choice."""

import pytest
from builders import load, make_row
from study_rows import SEEDS, all_classes, class_row, on

from rdrepro.meaning import meaningless
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study import tables
from rdrepro.study.compare import compare, left_out, other_protocols
from rdrepro.study.matching import Matcher, admits, cell_matches, settings_text
from rdrepro.study.printed import ANY, paper_cells, printed_cells, protocol_defaults

OURS = "ours: Ours, 256 px"


def carpet():
    """Table 1's cell of carpet at 256 pixels."""
    (cell,) = (
        c
        for c in paper_cells("rd4ad", "1")
        if (c.category, c.method, c.image_size) == ("carpet", "Ours", 256)
    )
    return cell


def another(value):
    """A value of the same kind that differs."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple | list):
        return [3]
    return 7 if value is None else f"{value}-other"


ODD = {
    "dataset": "synthetic",
    "normalise": "none",
    "early_stopping": "train",
    "validation_fraction": 0.25,
    "optimiser": "muon",
    "lr_schedule": "cosine",
    "hard_mining": 0.5,
}


MEANINGLESS = set(meaningless({}))  # for the paper's protocol


@pytest.mark.parametrize("name", sorted(set(protocol_defaults()) - MEANINGLESS))
def test_every_field_that_affects_a_result_takes_a_row_out_of_its_table(name, tmp_path):
    changed = {name: ODD.get(name, another(protocol_defaults()[name]))}
    fits, leaves = (
        make_row(category="carpet", seed=1),
        make_row(**{"category": "carpet", "seed": 2} | changed),
    )
    assert cell_matches(fits, carpet()) and not cell_matches(leaves, carpet())
    rows = Matcher(load([fits, leaves], tmp_path)).counted(carpet()).rows
    assert rows["seed"].tolist() == [1]


@pytest.mark.parametrize(
    "changed",
    [{"seed": 9}, {"precision": "bfloat16"}, {"eval_every": 10}, {"padim_channels": 9}],
    ids=str,
)
def test_what_affects_no_result_keeps_a_row(changed, tmp_path):
    runs = load([make_row(category="carpet", **changed)], tmp_path)
    assert len(Matcher(runs).counted(carpet()).rows) == 1


def test_a_row_from_before_a_field_has_the_fields_default():
    row = make_row(category="carpet")
    del row["config"]["rotation"]
    assert cell_matches(row, carpet())


@pytest.mark.parametrize(
    ("wanted", "value", "admitted"),
    [
        (3, 3, True),
        (3, 4, False),
        ((1, 2), [1, 2], True),
        (None, float("nan"), True),  # pandas' null
        (ANY, "whatever", True),
        pytest.param(frozenset({"mkd", "kd"}), "kd", True, id="one of several"),
        pytest.param(frozenset({"mkd", "kd"}), "other", False, id="none of several"),
    ],
    ids=str,
)
def test_an_entry_of_a_protocol_is_a_value_a_choice_or_anything(wanted, value, admitted):
    assert admits(wanted, value) is admitted


def test_settings_as_text_are_whole_and_leave_out_what_is_not_there():
    values = {"epochs": 20.0, "sigma": 2.5, "fold": float("nan"), "patience": None}
    assert settings_text(values) == "epochs=20 sigma=2.5"


def test_of_two_rows_for_a_seed_the_newest_clean_one_counts(tmp_path):
    made = [
        make_row(category="carpet", metrics={"image_auroc": v}, provenance=on(day, dirty=dirty))
        for day, v, dirty in (
            ("2026-01-01", 0.90, False),
            ("2026-01-02", 0.95, False),
            ("2026-01-03", 0.99, True),
        )
    ]
    made.append(make_row(category="grid", provenance={"dirty": None}))
    runs = load(made, tmp_path)
    block = tables.table1(runs)[OURS]
    assert block.loc["carpet", "ours"] == pytest.approx(95.0)
    assert block.loc["carpet", "n_seeds"] == 1 and block.loc["grid", "verdict"] == "not run"
    reasons = left_out(runs)["reason"].value_counts()
    assert reasons.to_dict() == {"not from a clean tree": 2, "superseded by a newer row": 1}


def test_newest_is_newest_whatever_the_time_zone(tmp_path):
    early = {"finished": "2026-01-01T10:00:00+09:00"}
    late = {"finished": "2026-01-01T02:00:00+00:00"}
    made = [
        make_row(category="carpet", metrics={"image_auroc": v}, provenance=when)
        for when, v in ((late, 0.95), (early, 0.9))
    ]
    block = tables.table1(load(made, tmp_path))[OURS]
    assert block.loc["carpet", "ours"] == pytest.approx(95.0)


def test_embedded_rows_enter_no_table(tmp_path):
    made = [
        make_row(category=c, seed=s, dataset="synthetic") for c in ("carpet", "wood") for s in SEEDS
    ]
    runs = load(made, tmp_path)
    assert set(compare(printed_cells(), runs)["verdict"]) == {"not run", "not printed"}
    assert other_protocols(runs).empty


def test_random_weights_have_a_cost_and_no_performance(tmp_path):
    cost = {"checkpoint_mib": 351.697, "image_seconds": [0.2, 0.25, 0.3]}
    made = [make_row(category=c, weights="random", epochs=1, cost=cost) for c in MVTEC_CATEGORIES]
    block = tables.table3(load(made, tmp_path))
    assert block["ours: memory (MiB)"].loc["Ours", "verdict"] == "reproduced"
    assert block["ours: seconds per image"].loc["Ours", "ours"] == pytest.approx(0.25)
    assert block["ours: image AUROC"].loc["Ours", "verdict"] == "not run"


def test_a_row_without_the_cost_hides_none_that_has_it(tmp_path):
    cost = {"checkpoint_mib": 351.7, "image_seconds": [0.2, 0.25, 0.3]}
    made = [make_row(category="bottle", seed=s, cost=cost) for s in SEEDS]
    made += [make_row(category="cable", seed=s, provenance=on("2026-02-01")) for s in SEEDS]
    runs = load(made, tmp_path)
    assert tables.table3(runs)["ours: seconds per image"].loc["Ours", "n_seeds"] == 3
    assert left_out(runs).empty


# Table 4: what the paper leaves open


def test_table_4_averages_ten_classes_and_pools_no_two_protocols(tmp_path):
    long = [
        class_row(k, s, epochs=20, metrics={"image_auroc": 0.993}) for k in range(10) for s in SEEDS
    ]
    short = [
        class_row(k, epochs=2, metrics={"image_auroc": 0.5}, provenance=on("2026-02-01"))
        for k in range(9)
    ]
    block = tables.table4(load(long + short, tmp_path))["ours: MNIST"]
    assert block.loc["Ours", ["ours", "n_seeds", "verdict"]].tolist() == [99.3, 3, "reproduced"]
    notes = compare(paper_cells("rd4ad", "4"), load(long, tmp_path / "long"))["footnotes"]
    assert any("epochs=20" in note and "float32 on cpu" in note for note in notes)
    missing = tables.table4(load(short, tmp_path / "short"))["ours: MNIST"]
    assert missing.loc["Ours", "verdict"] == "incomplete (9/10)"
    tuned = [class_row(k, normalise="imagenet") for k in range(10)]
    block = tables.table4(load(tuned, tmp_path / "tuned"))["ours: MNIST"]
    assert block.loc["Ours", "verdict"] == "not run"


def test_the_smaller_of_two_open_protocols_is_listed(tmp_path):
    made = [class_row(k, epochs=20) for k in range(10)] + [class_row(k, epochs=2) for k in range(9)]
    reasons = left_out(load(made, tmp_path))["reason"].value_counts()
    assert reasons.to_dict() == {"another choice of what the paper leaves open": 9}


def test_an_average_over_draws_of_caltech_needs_all_ten(tmp_path):
    made = [
        class_row(k, s, dataset="caltech256", normalise="imagenet") for k in (3, 7) for s in SEEDS
    ]
    block = tables.table4(load(made, tmp_path))["ours: Caltech-256"]
    assert block.loc["Ours", "verdict"] == "incomplete (2/10)"


def test_settings_that_validation_chose_enter_no_verdict(tmp_path):
    made = all_classes("novelty_tuned", [0.993] * 3)
    made += all_classes("novelty_official", [0.99], epochs=5)
    runs = load(made, tmp_path)
    block = tables.table4(runs)["ours: MNIST"]
    assert block.loc["Ours", ["ours", "n_seeds"]].tolist() == pytest.approx([99.0, 1])
    reasons = left_out(runs)["reason"].value_counts()
    assert reasons["settings chosen by validation"] == 30
    assert other_protocols(runs).empty  # Table 4 has tables of its own


def test_only_whole_and_official_protocols_are_compared_with_the_printed_values(tmp_path):
    def entered(rows, folder):
        block = tables.table4(load(rows, tmp_path / folder))["ours: MNIST"]
        return block.loc["Ours", ["ours", "n_seeds"]].tolist()

    official = all_classes("novelty_official", [0.98], epochs=5, oce_width=64)
    others = all_classes("other", [0.993, 0.993, 0.993], image_size=64, epochs=2)
    assert entered(others, "a")[1] == 3
    assert entered(official + others, "b") == pytest.approx([98, 1])
    random = all_classes("novelty_official", [0.993] * 3, epochs=5, weights="random")
    assert entered(random, "c")[1] == 0
    counts = {"test_anomalous": 10}
    small = all_classes("novelty_official", [0.993], epochs=5, counts=counts)
    assert entered(small, "d")[1] == 0
    for rows, folder, reason in (
        (random, "c", "random weights"),
        (small, "d", "not the whole test set"),
    ):
        assert set(left_out(load([], tmp_path / folder))["reason"]) == {reason}, rows[0]

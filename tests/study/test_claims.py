"""The claims of both papers, and what rows say of each."""

import pandas as pd
import pytest
from builders import load, make_row
from study_rows import SEEDS

from rdrepro.metric_names import ROW_METRIC
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study.claims import (
    CONTRADICTED,
    IN_PART,
    NOT_YET,
    OPEN,
    SUPPORTED,
    UNTESTED,
    claims_table,
    verdict_of,
)
from rdrepro.study.findings import FAILS, HOLDS, NOT_RUN, Finding


def everywhere(image, pixel, pro, folder):
    """All categories with these percents in three seeds, a twentieth of a point apart."""
    percents = {"image_auroc": image, "pixel_auroc": pixel, ROW_METRIC["pro"]: pro}
    rows = [
        make_row(
            category=category,
            seed=seed,
            metrics={name: value / 100 + 5e-4 * (seed - 2) for name, value in percents.items()},
        )
        for category in MVTEC_CATEGORIES
        for seed in SEEDS
    ]
    return claims_table(load(rows, folder))


@pytest.fixture(scope="module")
def better(tmp_path_factory):
    """Every category is better than the printed averages 98.5, 97.8 and 93.9."""
    return everywhere(98.9, 99.4, 97.8, tmp_path_factory.mktemp("better"))


@pytest.fixture(scope="module")
def worse(tmp_path_factory):
    """Every category is worse than the best of the others: 96.1, 97.5 and 92.1."""
    return everywhere(94.0, 95.0, 90.0, tmp_path_factory.mktemp("worse"))


def test_values_above_print_support_and_never_contradict(better):
    supported = ["C1", "C2", "C4", "C5", "C6", "C7", "C29", "M5"]
    assert set(better.loc[supported, "verdict"]) == {SUPPORTED}
    assert not better["verdict"].str.contains("contradicted").any()
    assert better.loc["C3", "verdict"] == OPEN  # 98.9 over textures, PaDiM is printed at 98.8


def test_a_teacher_that_never_ran_contradicts_nothing(better):
    assert better.loc["C25", ["verdict", "our runs"]].to_list() == [NOT_YET, "not run (3)"]
    assert better.loc["C24", "verdict"] == NOT_YET


def test_values_below_the_best_of_the_others_contradict(worse):
    assert set(worse.loc[["C1", "C2", "C3", "C4", "C5", "C6"], "verdict"]) == {CONTRADICTED}
    assert "CutPaste printed 96.1" in worse.loc["C1", "our runs"]
    assert worse.loc["C25", "verdict"] == NOT_YET


def test_values_at_print_support_what_print_holds(reproduced):
    claims = claims_table(reproduced)
    assert set(claims.loc[["C1", "C3", "C4", "C5", "C6", "C7"], "verdict"]) == {SUPPORTED}
    assert claims.loc["C14", "verdict"] == SUPPORTED  # transistor: 92.5 of 97.8, 78.0 of 93.9
    assert claims.loc["C21", "verdict"] == OPEN  # half of it ran
    assert set(claims.loc[["C8", "C16", "C25"], "verdict"]) == {NOT_YET}
    untested = claims[claims["evidence"] == UNTESTED]
    assert set(untested["verdict"]) == {UNTESTED} and len(untested) > 5
    assert "2.5%" in claims.loc["C2", "evidence"]


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([HOLDS, HOLDS], SUPPORTED),
        ([FAILS, FAILS], CONTRADICTED),
        ([FAILS, HOLDS], IN_PART),
        ([FAILS, OPEN], IN_PART),
        ([FAILS, NOT_RUN], IN_PART),
        ([HOLDS, OPEN], OPEN),
        ([HOLDS, NOT_RUN], OPEN),
        ([NOT_RUN, NOT_RUN], NOT_YET),
        ([], NOT_YET),
    ],
)
def test_the_verdict_on_a_claim_is_made_of_its_comparisons(states, verdict):
    assert verdict_of([Finding(state) for state in states]) == verdict


def test_one_category_that_is_worse_contradicts_a_claim_on_all_in_part(tmp_path):
    rows = [make_row(category="transistor", seed=s, metrics={"pixel_auroc": 0.8}) for s in SEEDS]
    claims = claims_table(load(rows, tmp_path))
    assert claims.loc["C7", "verdict"] == IN_PART
    assert claims.loc["C7", "our runs"].startswith("fails (1): transistor, pixel AUROC: Ours 80.00")
    assert "not run (28)" in claims.loc["C7", "our runs"]


def test_committed_costs_support_the_claims_on_time_and_memory(committed_runs):
    """0.183 s, 0.227 s and 2.066 s under one set of conditions; 352, 3625 and 1122 MiB."""
    claims = claims_table(committed_runs[committed_runs["study"] == "complexity"])
    assert set(claims.loc[["C11", "C12"], "verdict"]) == {SUPPORTED}
    assert "Ours 0.183 [0.181, 0.185], PaDiM 0.227" in claims.loc["C11", "our runs"]
    assert "Ours 351.7, SPADE 1122 MiB" in claims.loc["C12", "our runs"]
    assert claims.loc["C13", "verdict"] == OPEN  # its accuracies did not run


def test_a_claim_without_a_run_of_its_cells_is_not_tested_yet(tmp_path):
    nothing = {NOT_YET, UNTESTED}
    assert set(claims_table(pd.DataFrame())["verdict"]) == nothing
    embedded = load([make_row(dataset="synthetic")], tmp_path / "embedded")
    assert set(claims_table(embedded)["verdict"]) == nothing
    one_category = make_row(backbone="resnet18", oce_width=64)  # of Table 6's fifteen
    assert set(claims_table(load([one_category], tmp_path / "one"))["verdict"]) == nothing


def test_print_is_judged_apart_from_our_runs():
    claims = claims_table(pd.DataFrame())
    assert claims.loc["M5", ["in print", "verdict"]].to_list() == ["holds", NOT_YET]
    assert claims.loc["M4", "in print"] == "holds in 0 of 2"
    assert claims.loc["C7", "in print"] == ""


def test_a_claim_without_a_verdict_names_the_tables_that_show_it(tmp_path):
    claims = claims_table(load([make_row(rotation=30.0)], tmp_path, "rotation"))
    shown = claims[claims["verdict"].str.startswith("no verdict")]
    assert set(shown["verdict"]) == {"no verdict; see rotation"}
    assert shown["test"].str.contains("rotation").all()

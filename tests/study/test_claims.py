"""The claims of both papers, and what rows say of each."""

import re

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
    PARTS,
    SHOWN_IN,
    SUPPORTED,
    TRUE_IN_PRINT,
    UNTESTED,
    claims_by_verdict,
    claims_in_words,
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
    assert better.loc["C25", ["verdict", "our runs"]].to_list() == [NOT_YET, "3 not run"]
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
    assert claims.loc["C2", "evidence"].endswith("Ours 98.5; text of Sec. 4.1, results")


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
    assert claims.loc["C7", "our runs"].startswith("1 fails: transistor, pixel AUROC: Ours 80.00")
    assert "28 not run" in claims.loc["C7", "our runs"]


def test_committed_costs_leave_the_time_open_and_support_the_claim_on_memory(committed_runs):
    """0.183 s, 0.227 s and 2.066 s under one set of conditions; 352, 3625 and 1122 MiB."""
    claims = claims_table(committed_runs[committed_runs["study"] == "complexity"])
    assert claims.loc[["C11", "C12"], "verdict"].tolist() == [OPEN, SUPPORTED]
    both = "Ours 0.246 [0.245, 0.251] and 0.183 [0.181, 0.185], PaDiM 0.227"
    assert f"1 open: {both}" in claims.loc["C11", "our runs"]
    assert "Ours 351.7, SPADE 1122 MiB" in claims.loc["C12", "our runs"]
    assert claims.loc["C13", "verdict"] == OPEN  # its accuracies did not run


def test_a_claim_without_a_run_of_its_cells_is_not_tested_yet(tmp_path):
    nothing = {NOT_YET, UNTESTED}
    assert set(claims_table(pd.DataFrame())["verdict"]) == nothing
    embedded = load([make_row(dataset="synthetic")], tmp_path / "embedded")
    assert set(claims_table(embedded)["verdict"]) == nothing
    one_category = make_row(backbone="resnet18", oce_width=64)  # of Table 6's fifteen
    assert set(claims_table(load([one_category], tmp_path / "one"))["verdict"]) == nothing


def test_the_printed_numbers_are_judged_apart_from_our_runs():
    claims = claims_table(pd.DataFrame())
    assert claims.loc["M5", [TRUE_IN_PRINT, "verdict"]].to_list() == ["yes", NOT_YET]
    assert claims.loc["M4", TRUE_IN_PRINT] == "no"
    assert claims.loc["C26", TRUE_IN_PRINT] == "in 5 of 6 comparisons"
    assert claims.loc["C7", TRUE_IN_PRINT] == ""


def test_a_claim_without_a_verdict_names_the_tables_that_show_it(tmp_path):
    claims = claims_table(load([make_row(rotation=30.0)], tmp_path, "rotation"))
    shown = claims[claims["verdict"].str.startswith("no verdict")]
    assert set(shown["verdict"]) == {"no verdict; see rotated test images"}
    assert shown[SHOWN_IN].str.contains("rotated test images").all()


def test_places_and_sections_are_words():
    claims = claims_table(pd.DataFrame())
    assert claims.loc["C13", SHOWN_IN] == "Table 3; Table 1; Table 2"
    assert claims.loc["M2", SHOWN_IN] == "the extension's Table 1; deviations E2, E4, E6"
    assert claims.loc["C34", SHOWN_IN] == "deviation E1; setting `loss`"
    assert claims.loc["C30", SHOWN_IN] == ""
    assert claims.loc["C1", "section"] == "4.1, results"
    assert claims.loc["M3", "section"] == "table 1, caption"
    assert claims.loc["M8", "section"] == "4.2, MVTec AD"
    assert not claims[SHOWN_IN].str.contains("_").any()


def test_every_claim_is_in_one_part_and_misses_come_first(worse):
    parts = claims_by_verdict(worse)
    assert list(parts) == list(PARTS)
    numbers = [number for part in parts.values() for number in part.index]
    assert sorted(numbers) == sorted(worse.index)
    assert {"C1", "C6"} <= set(parts["Contradicted or open"].index)
    assert "our runs" in parts["Contradicted or open"]
    assert "our runs" not in parts["Not tested yet"]


def test_claims_in_words_count_every_claim(worse, better):
    words = claims_in_words(worse)
    contradicted = worse["verdict"].isin([CONTRADICTED, IN_PART]).sum()
    assert words.startswith(f"Of {len(worse)} claims, our runs contradict {contradicted} and")
    assert "contradict 0 and support" in claims_in_words(better)
    counts = [int(number) for number in re.findall(r"\b\d+\b", words)]
    assert counts[0] == sum(counts[1:])

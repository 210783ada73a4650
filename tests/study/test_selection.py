"""Which rows count: from a clean tree, the newest, whole, of one protocol."""

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row
from study_rows import on

from rdrepro.study.selection import alike, by_protocol, clean, complete, newest


@pytest.fixture
def runs():
    """Three rows of two studies, one of them from a changed tree and one of no known tree."""
    return pd.DataFrame(
        {"study": ["a", "a", "b"], "provenance.dirty": [False, True, None], "value": [1, 2, 3]}
    )


def test_clean_rows_are_those_of_a_tree_known_to_be_clean(runs):
    assert clean(runs)["value"].tolist() == [1]
    assert clean(runs, "b").empty and clean(runs.iloc[:0], "a").empty


def test_clean_rows_of_one_study_alone(runs):
    both = runs.assign(**{"provenance.dirty": False})
    assert clean(both)["value"].tolist() == [1, 2, 3]
    assert clean(both, "a")["value"].tolist() == [1, 2]


def test_the_last_of_rows_that_agree_is_the_newest():
    rows = pd.DataFrame(
        {"seed": [1, 1, 2, 1], "fold": [0.0, np.nan, 0.0, np.nan], "value": [10, 11, 12, 13]}
    )
    assert newest(rows, "seed", "fold")["value"].tolist() == [10, 12, 13]
    assert newest(rows, "seed")["value"].tolist() == [12, 13]
    assert newest(rows.iloc[:0], "seed").empty


def test_rows_agree_in_lists_and_in_what_is_missing():
    rows = pd.DataFrame({"layers": [[1], [1], [1, 2], [1]], "fold": [np.nan, np.nan, np.nan, 1]})
    numbers = alike(rows, ["layers", "fold"])
    assert numbers.tolist() == [0, 0, 1, 2]


def test_whole_repetitions_have_every_unit():
    rows = pd.DataFrame({"seed": [1, 1, 2, 2, 3], "category": list("ababa")})
    assert complete(rows, "seed", "category")["seed"].tolist() == [1, 1, 2, 2]
    assert complete(rows, "seed", "category", wanted=3).empty
    assert complete(rows, "seed", "category", wanted=1)["seed"].tolist() == [3]


def test_groups_agree_in_every_field_that_affects_a_result(tmp_path):
    rows = [
        make_row(category=c, seed=s, epochs=e, provenance=on(f"2026-01-0{s}"))
        for c, s, e in (("carpet", 1, 10), ("grid", 2, 10), ("carpet", 3, 20))
    ]
    runs = load(rows, tmp_path)

    def seeds(**options):
        return [group["seed"].tolist() for group in by_protocol(runs, **options)]

    assert seeds() == [[1, 2], [3]]  # a category and a seed are no protocol
    assert seeds(also=["category"]) == [[1], [2], [3]]
    assert seeds(without=["epochs"]) == [[1, 2, 3]]
    assert seeds(also=["category"], without=["epochs"]) == [[1, 3], [2]]
    assert list(by_protocol(runs.iloc[:0])) == []

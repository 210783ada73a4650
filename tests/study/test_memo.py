"""Results are computed once for the same rows, and anew for any others."""

import pandas as pd
import pytest
from builders import load, make_row

from rdrepro.study.compare import compare
from rdrepro.study.memo import remembered
from rdrepro.study.printed import paper_cells


@pytest.fixture
def counted():
    """A remembered function, and the arguments of each call that computed something."""
    calls = []

    @remembered
    def doubled(runs, column="a"):
        calls.append(column)
        return runs[[column]] * 2

    return doubled, calls


def rows():
    return pd.DataFrame({"a": [1, 2], "b": [3.5, float("nan")]})


def test_equal_rows_are_computed_once(counted):
    doubled, calls = counted
    assert doubled(rows()).equals(doubled(rows())) and len(calls) == 1
    doubled(rows(), "b")
    assert calls == ["a", "b"]


def test_rows_changed_in_place_are_computed_anew(counted):
    doubled, calls = counted
    runs = rows()
    doubled(runs)
    runs.loc[0, "a"] = 7
    assert doubled(runs)["a"].tolist() == [14, 4] and len(calls) == 2


def test_rows_with_other_unreadable_files_are_computed_anew(counted):
    doubled, calls = counted
    runs = rows()
    doubled(runs)
    runs.attrs["unreadable"] = {"x.json": "not a row"}
    doubled(runs)
    assert len(calls) == 2


def test_a_callers_change_does_not_reach_the_next_caller(counted):
    doubled, _ = counted
    first = doubled(rows())
    first["a"] = 0
    assert doubled(rows())["a"].tolist() == [2, 4]


def test_a_comparison_follows_rows_changed_in_place(tmp_path):
    runs = load([make_row(category="bottle")], tmp_path)
    cells = paper_cells("rd4ad", "1")
    before = compare(cells, runs)
    assert before.equals(compare(cells, runs))
    runs.loc[0, "provenance.dirty"] = True
    fresh = load([make_row(category="bottle", provenance={"dirty": True})], tmp_path / "b")
    after = compare(cells, runs)
    assert after["ours"].equals(compare(cells, fresh)["ours"])
    assert not after.equals(before)

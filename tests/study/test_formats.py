"""Tables as text: rounding, intervals, Markdown, LaTeX, CSV and HTML."""

import numpy as np
import pandas as pd
import pytest

from rdrepro.study.formats import (
    FOLDED,
    flattened,
    html_table,
    interval,
    markdown,
    rounded,
    save_table,
)


@pytest.fixture
def printed():
    """A table of two column levels, as printed tables have."""
    columns = pd.MultiIndex.from_tuples([("printed", "Ours"), ("ours: Ours", "delta")])
    return pd.DataFrame([["98.5", -0.0004], ["-", np.nan]], ["a", "b"], columns)


def test_numbers_are_rounded_and_what_is_missing_is_empty():
    table = pd.DataFrame({"x": [1.005, -0.0001, np.nan], "n": [3, 4, 5], "t": ["a", None, "c"]})
    text = rounded(table)
    assert text["x"].tolist() == ["1.00", "0.00", ""]  # no minus zero
    assert text["n"].tolist() == ["3", "4", "5"] and text["t"].tolist() == ["a", "", "c"]
    assert rounded(table, 3)["x"].tolist() == ["1.005", "0.000", ""]


def test_an_interval_that_is_not_there_is_empty():
    assert interval(1.25, 2.0) == "[1.2, 2.0]" and interval(1.25, 2.0, 2) == "[1.25, 2.00]"
    assert interval(np.nan, np.nan) == ""


def test_two_levels_of_columns_become_one(printed):
    assert list(flattened(printed)) == ["Ours", "ours: Ours: delta"]
    plain = pd.DataFrame({"a": [1]})
    assert flattened(plain) is plain


def test_a_bar_inside_a_cell_ends_no_cell_of_markdown():
    table = pd.DataFrame({"name": ["a|b"], "value": [1]})
    assert markdown(table).splitlines() == [
        "| name | value |",
        "| --- | --- |",
        "| a\\|b | 1 |",
    ]


def test_a_table_is_saved_in_three_formats(printed, tmp_path):
    csv, md, tex = save_table(printed, "name", tmp_path / "new")
    assert [f.name for f in (csv, md, tex)] == ["name.csv", "name.md", "name.tex"]
    assert sorted(csv.parent.iterdir()) == sorted((csv, md, tex))  # and nothing else is left
    back = pd.read_csv(csv, index_col=0)
    assert list(back.index) == ["a", "b"] and back.loc["a", "ours: Ours: delta"] == 0
    assert md.read_text().splitlines()[2] == "| a | 98.5 | 0.00 |"
    assert "\\toprule" in tex.read_text() and "98.5" in tex.read_text()


def test_a_numbered_index_is_not_saved(tmp_path):
    csv, md, _ = save_table(pd.DataFrame({"a": [1, 2]}), "name", tmp_path)
    assert csv.read_text().split() == ["a", "1", "2"]
    assert md.read_text().splitlines()[0] == "| a |"


def test_tables_are_saved_among_the_results(tmp_path):
    files = save_table(pd.DataFrame({"a": [1]}), "name")
    assert {f.parent for f in files} == {tmp_path / "results" / "tables"}


def test_a_table_as_html_has_its_caption_and_code(printed):
    html = html_table(printed, "What it is", digits=1).data
    assert "<caption>What it is</caption>" in html and "98.5" in html
    coded = html_table(pd.DataFrame({"a": ["see `x=1`"]}), "c", prose=True).data
    assert "see <code>x=1</code>" in coded


def test_an_empty_table_is_a_sentence():
    html = html_table(pd.DataFrame(), "What it is", empty="Nothing ran.").data
    assert html == "<p>What it is: Nothing ran.</p>"


def test_only_a_long_table_opens_on_a_click():
    long, short = (pd.DataFrame({"a": range(n)}) for n in (FOLDED + 1, FOLDED))
    assert f"{FOLDED + 1} lines</summary>" in html_table(long, "c", fold=True).data
    assert "<details>" not in html_table(short, "c", fold=True).data
    assert "<details>" not in html_table(long, "c").data

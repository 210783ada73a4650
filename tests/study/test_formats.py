"""Tables as text: rounding, intervals, Markdown, LaTeX, CSV and HTML."""

import re

import numpy as np
import pandas as pd
import pytest

from rdrepro.study.formats import (
    LONGEST_FLOAT,
    csv_text,
    flattened,
    for_readers,
    interval,
    latex_float,
    markdown,
    markdown_text,
    rounded,
    save_table,
    signed,
)
from rdrepro.study.glossary import TABLES
from rdrepro.study.html_tables import FOLDED, html_table


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


def test_a_column_may_have_decimals_of_its_own():
    table = pd.DataFrame({"seconds": [0.18349], "PRO": [95.746]})
    assert rounded(table, 1, {"seconds": 3, "absent": 2}).values.tolist() == [["0.183", "95.7"]]


def test_a_missing_value_is_a_dash_for_readers_and_empty_in_the_csv(tmp_path):
    csv, md, tex = save_table(pd.DataFrame({"a": [1.0, np.nan], "b": ["x", "y"]}), "n", tmp_path)
    assert csv.read_text().splitlines()[2] == ",y" and "| - | y |" in md.read_text()
    assert re.search(r"^- & y", tex.read_text(), re.MULTILINE)


def test_an_interval_that_is_not_there_is_empty():
    assert interval(1.25, 2.0) == "[1.2, 2.0]" and interval(1.25, 2.0, 2) == "[1.25, 2.00]"
    assert interval(np.nan, np.nan) == ""


def test_two_levels_of_columns_become_one(printed):
    assert list(flattened(printed)) == ["Ours", "ours: Ours: delta"]
    bare = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("", "seeds")]))
    assert list(flattened(bare)) == ["seeds"]
    plain = pd.DataFrame({"a": [1]})
    assert flattened(plain) is plain


def test_a_bar_inside_a_cell_ends_no_cell_of_markdown():
    table = pd.DataFrame({"name": ["a|b"], "value": [1]})
    assert markdown(table).splitlines() == [
        "| name | value |",
        "| --- | --- |",
        "| a\\|b | 1 |",
    ]


def test_an_interval_in_markdown_never_breaks_over_lines():
    cells = ["[1.0, 2.5]", "+0.2 [-1.5, +2.0]", "a, b", "[2, 3]"]
    lines = markdown(pd.DataFrame({"a": cells})).splitlines()[2:]
    assert [line.count("\u00a0") for line in lines] == [1, 1, 0, 1]
    assert lines[1] == "| +0.2 [-1.5,\u00a0+2.0] |"


def test_a_table_is_saved_in_three_formats(printed, tmp_path):
    csv, md, tex = save_table(printed, "name", tmp_path / "new")
    assert [f.name for f in (csv, md, tex)] == ["name.csv", "name.md", "name.tex"]
    assert sorted(csv.parent.iterdir()) == sorted((csv, md, tex))  # and nothing else is left
    back = pd.read_csv(csv, index_col=0)
    assert list(back.index) == ["a", "b"] and back.loc["a", "ours: Ours: delta"] == 0
    assert md.read_text().splitlines()[0::4] == ["name", "| a | 98.5 | 0.0 |"]
    assert "\\toprule" in tex.read_text() and "98.5" in tex.read_text()


def test_a_numbered_index_is_not_saved(tmp_path):
    csv, md, _ = save_table(pd.DataFrame({"a": [1, 2]}), "name", tmp_path)
    assert csv.read_text().split() == ["a", "1", "2"]
    assert md.read_text().splitlines()[2] == "| a |"


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


EVIL = "<script>alert(1)</script>"


@pytest.fixture
def hostile():
    """A table whose cells, index and columns were written to do harm."""
    cells = [EVIL, "=1+1", "\\input{x} $y_{$ %&#~^", "[1cm]", "a|b\\|c", "two\n\nlines"]
    return pd.DataFrame({"<i>_%": cells, "n": range(6)}, pd.Index(cells, name="@_id"))


def test_hostile_text_is_shown_in_html(hostile):
    html = html_table(hostile, "c").data
    assert "<script" not in html and "<i>" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2 and "&lt;i&gt;_%" in html
    assert 'class="rd tex2jax_ignore"' in html  # so that "$...$" is no formula


def test_hostile_text_is_shown_in_markdown(hostile):
    lines = markdown(hostile.reset_index()).splitlines()
    assert len(lines) == 2 + len(hostile)
    assert not any("<" in line for line in lines)
    assert lines[2] == f"| {EVIL.replace('<', '&lt;')} | {EVIL.replace('<', '&lt;')} | 0 |"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),  # the backslash is shown, and the bar ends no cell
        ("`x=1` and *y*", "`x=1` and *y*"),
        ("[x](javascript:y)", "[x]\\(javascript:y)"),
        ("<!-- end of demo -->", "&lt;!-- end of demo -->"),
        ("a\r\nb\x00\u2028c", "a b c"),
        ("[95.1, 97.2]", "[95.1, 97.2]"),
    ],
)
def test_text_in_markdown(text, shown):
    assert markdown_text(text) == shown


def test_hostile_text_is_shown_in_latex(hostile, tmp_path):
    tex = save_table(hostile, "name", tmp_path)[2].read_text().splitlines()
    lines = tex[tex.index(r"\midrule") + 1 :]
    assert r"\textbackslash input\{x\} \$y\_\{\$ \%\&\#\textasciitilde \textasciicircum" in lines[2]
    assert lines[3].startswith("{}[1cm] & [1cm]")  # else "\\ [1cm]" were a distance
    assert lines[5].startswith("two lines & two lines")
    heads = tex[tex.index(r"\toprule") + 1 :]
    assert heads[0].split("&")[1].strip() == r"<i>\_\%" and heads[1].startswith(r"@\_id")
    assert len(lines) == 6 + len([r"\bottomrule", r"\end{tabular}}", r"\end{table}"])


def test_a_caption_is_text_in_latex():
    tex = latex_float(pd.DataFrame({"a": ["1"]}), False, "my_table", "5 % \\of {x}_1 & $y$\n#~^")
    assert r"\caption{5 \% \textbackslash{}of \{x\}\_1 \& \$y\$ \#\textasciitilde{}" in tex
    assert r"\label{tab:my-table}" in tex


def test_only_a_table_that_fits_on_no_page_is_a_longtable():
    long, short = (pd.DataFrame({"a": ["1"] * n}) for n in (LONGEST_FLOAT + 1, LONGEST_FLOAT))
    assert r"\begin{longtable}" in latex_float(long, False, "n", "c")
    assert r"\begin{table}" in latex_float(short, False, "n", "c")


def test_a_caption_is_that_of_the_glossary(tmp_path):
    md = save_table(pd.DataFrame({"a": [1]}), "novelty", tmp_path)[1]
    assert md.read_text().startswith(TABLES["novelty"])
    assert (
        save_table(pd.DataFrame({"a": [1]}), "n", tmp_path, "Mine.")[1].read_text()[:5] == "Mine."
    )


def test_readers_see_no_block_without_runs():
    heads = [("printed", "Ours"), ("ours: Ours, 256 px", "ours"), ("ours: Ours, 256 px", "n_seeds")]
    heads += [("ours: Ours, 256 px", "tier"), ("ours: MKD", "ours"), ("ours: MKD", "verdict")]
    values = [["98.5", 98.4, 3, "reduced", np.nan, "not run"]]
    shown = for_readers(pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(heads)))
    assert list(shown) == [
        ("printed", "Ours"),
        ("our runs, 256 px", "ours"),
        ("our runs, 256 px", "seeds"),
    ]
    plain = pd.DataFrame({"a": [1]})
    assert for_readers(plain) is plain


@pytest.mark.parametrize(
    ("head", "shown"),
    [("ours: MNIST", "our runs: MNIST"), ("ours: Ours+ES", "our runs: Ours+ES"), ("ours", "ours")],
)
def test_headings_of_our_runs(head, shown):
    table = pd.DataFrame([[1.0]], columns=pd.MultiIndex.from_tuples([(head, "ours")]))
    assert list(for_readers(table)) == [(shown, "ours")]


def test_a_difference_has_its_sign():
    assert [signed(x) for x in (-0.04, 0.05001, -3.69, np.nan)] == ["+0.0", "+0.1", "-3.7", "-"]


def test_a_spreadsheet_computes_nothing_of_a_csv(hostile, tmp_path):
    back = pd.read_csv(save_table(hostile, "name", tmp_path)[0], dtype=str)
    assert list(back.columns) == ["'@_id", "<i>_%", "n"]
    assert back["<i>_%"].tolist()[:2] == [EVIL, "'=1+1"] and back["'@_id"][1] == "'=1+1"
    assert back["n"].tolist() == list("012345")


@pytest.mark.parametrize(
    "text", ["=1", "+1+1", "-1+1", "-1*A1", "@SUM(A1)", "\t=1", " =1", "-x", "+"]
)
def test_formulas_are_marked_as_text(text):
    assert csv_text(text).startswith("'")


@pytest.mark.parametrize(
    "text",
    ["-0.5", "+1,000.25", "-", "-/87.9", "-0.52 [-0.61, +0.40]", "+0.1 (one run)", "-3 %", "a=b"],
)
def test_numbers_stay_as_they_are(text):
    assert csv_text(text) == text


def test_rows_of_printed_tables_have_titles_for_readers():
    heads = pd.MultiIndex.from_tuples([("printed", "Ours")])
    table = pd.DataFrame([["1.0"]] * 3, ["pixel_auroc", "head_ct", "metal_nut"], heads)
    assert list(for_readers(table).index) == ["pixel AUROC", "Head CT", "metal nut"]

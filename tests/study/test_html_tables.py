"""Tables as HTML: alignment, keys to sort by, intervals in one piece, and text that stays text."""

import re

import numpy as np
import pandas as pd
import pytest

from rdrepro.study.html_tables import CSS, FOLDED, html_table, is_numeric, sort_key, unbroken


def cells(html, name="td"):
    """The attributes and the content of each cell."""
    return re.findall(rf"<{name}\b([^>]*)>(.*?)</{name}>", html)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("98.5", 98.5),
        ("-0.7", -0.7),
        ("\u22120.7", -0.7),
        ("1,234", 1234),
        ("99.4/93.9", 99.4),
        ("98.5 [97.1, 99.9]", 98.5),
        ("[-1.5, 2.0]", -1.5),
        ("-/93.9", 93.9),
        ("128 px, ResNet-18", None),
        ("1.5e-3", 0.0015),
        ("-", None),
        ("", None),
    ],
)
def test_a_cell_is_sorted_by_its_first_number(text, key):
    assert sort_key(text) == key


@pytest.mark.parametrize(
    ("texts", "numeric"),
    [
        (["98.5", "-", ""], True),
        (["+0.7", "-1.2"], True),
        (["98.5 [97.1, 99.9]", "[97.1, 99.9]"], True),
        (["99.4/93.9", "-/93.9", "12 %"], True),
        (["2024-05-01"], False),
        (["98.5", "not run"], False),
        (["0.7", "under 0.1"], True),
        (["128 px, ResNet-18"], False),
        (["-", ""], True),
        (["", ""], False),
    ],
)
def test_a_column_of_numbers_holds_nothing_else(texts, numeric):
    assert is_numeric(texts) == numeric


@pytest.mark.parametrize("prose", [False, True])
def test_numbers_are_on_the_right_and_have_a_key(prose):
    table = pd.DataFrame({"data": ["a", "b", "c"], "ours": [10.25, 9.0, np.nan]})
    html = html_table(table, "c", prose=prose).data
    assert cells(html) == [
        ("", "a"),
        (' class="num" data-sort="10.2"', "10.2"),
        ("", "b"),
        (' class="num" data-sort="9"', "9.0"),
        ("", "c"),
        (' class="num"', "-"),
    ]
    assert cells(html, "th") == [(' scope="col"', "data"), (' scope="col" class="num"', "ours")]


def test_keys_order_numbers_and_not_their_text():
    values = ["100.0", "9.5 [8.0, 11.0]", "-3.0", "99.4"]
    html = html_table(pd.DataFrame({"n": values}), "c").data
    keys = [float(key) for key in re.findall('data-sort="([^"]*)"', html)]
    assert sorted(values, key=dict(zip(values, keys, strict=True)).get) == [
        "-3.0",
        "9.5 [8.0, 11.0]",
        "99.4",
        "100.0",
    ]
    assert sorted(values) != sorted(values, key=dict(zip(values, keys, strict=True)).get)


def test_a_number_beside_a_word_has_its_key_too():
    table = pd.DataFrame({"change": ["-14.99", "not resolvable", "+0.00"]})
    assert cells(html_table(table, "c").data) == [
        (' data-sort="-14.99"', "-14.99"),
        ("", "not resolvable"),
        (' data-sort="0"', "+0.00"),
    ]


def test_what_a_paper_leaves_out_is_the_same_dash_in_a_column_of_numbers():
    table = pd.DataFrame({"a": ["97.0", "\u2013", "_"], "b": ["96.3/_", "\u2013/\u2013", "1/2"]})
    found = cells(html_table(table, "c").data)
    assert [text for _, text in found] == ["97.0", "96.3/-", "-", "-", "-", "1/2"]
    assert all(' class="num"' in attributes for attributes, _ in found)


def test_an_index_heads_its_lines():
    table = pd.DataFrame({"n": [1.0]}, pd.Index(["wood"], name="category"))
    html = html_table(table, "c").data
    assert '<th scope="col">category</th>' in html and '<th scope="row">wood</th>' in html
    pairs = pd.MultiIndex.from_tuples([("a", "b")], names=["one", "two"])
    html = html_table(table.set_axis(pairs), "c").data
    assert '<th scope="row">a</th><th scope="row">b</th>' in html


def test_equal_neighbours_of_the_upper_head_are_joined():
    columns = pd.MultiIndex.from_tuples([("printed", "Ours"), ("ours", "mean"), ("ours", "seeds")])
    html = html_table(pd.DataFrame([["98.5", 98.0, 3]], [0], columns).rename_axis("x"), "c").data
    assert re.findall(r'colspan="(\d)">(\w+)', html) == [("1", "printed"), ("2", "ours")]
    lines = re.findall("<tr>(.*?)</tr>", html)
    assert [len(re.findall("<t[hd]", line)) for line in lines] == [3, 4, 4]


def test_intervals_and_percents_have_no_place_to_break():
    assert unbroken("in [-1.2, 3.4] at 95 %") == "in [-1.2,\u00a03.4] at 95\u00a0%"
    html = html_table(pd.DataFrame({"a": ["from [1.0, 2.0] on"]}), "95 % [0.1, 0.2]").data
    assert "[1.0,\u00a02.0]" in html and "95\u00a0% [0.1,\u00a00.2]" in html


def test_code_and_emphasis_are_shown_and_stars_of_formulas_stay():
    table = pd.DataFrame({"a": ["see `x=1`", "*Pre* and *Post*", "2*3*4"]})
    html = html_table(table, "c `d`", prose=True).data
    assert "see <code>x=1</code>" in html and "<caption>c <code>d</code></caption>" in html
    assert "<em>Pre</em> and <em>Post</em>" in html and "2*3*4" in html


def test_text_of_rows_is_never_markup():
    evil = '<b onclick="x">`<i>`'
    table = pd.DataFrame({evil: [evil]}, pd.Index([evil], name=evil))
    html = html_table(table, "c", prose=True).data.removeprefix(CSS)
    assert set(re.findall(r"<(\w+)", html)) == {
        *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "code")
    }
    assert html.count("&lt;b onclick=&quot;x&quot;&gt;") == 4


@pytest.mark.parametrize("rows", [0, 1, FOLDED + 1])
@pytest.mark.parametrize("fold", [False, True, "<i>nothing</i> ran"])
def test_text_of_a_caption_is_never_markup(rows, fold):
    evil = "timm/<img src=x onerror=alert(1)>"
    table = pd.DataFrame({"a": range(rows)})
    html = html_table(table, evil, fold=fold, empty=evil, title=evil).data.removeprefix(CSS)
    own = ("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary")
    assert set(re.findall(r"<(\w+)", html)) <= {*own, "b", "p"}
    assert "<b>timm/&lt;img" in html and "timm/&lt;img" in html.split("</b>")[1]


def test_a_title_stands_in_bold_before_the_caption():
    table = pd.DataFrame({"a": [1.0]})
    assert "<caption><b>T &amp; U</b>: c</caption>" in html_table(table, "c", title="T & U").data
    assert "<caption><b>T</b></caption>" in html_table(table, "", title="T").data
    assert html_table(table[:0], "", title="T").data == "<p><b>T</b>: No rows.</p>"


def test_a_table_behind_a_line_has_its_caption_once():
    table = pd.DataFrame({"a": range(FOLDED + 1)})
    folded = html_table(table, "What it is.", fold=True).data
    assert f"<summary>What it is: {FOLDED + 1} lines</summary>" in folded
    assert folded.count("What it is") == 1
    line = html_table(table[:1], "What it is", fold="Table 5: nothing ran").data
    assert "<summary>Table 5: nothing ran</summary>" in line
    assert "<caption>What it is</caption>" in line


def test_an_empty_table_is_a_sentence():
    html = html_table(pd.DataFrame(), "What it is.", empty="Nothing ran, `a=1`.").data
    assert html == "<p>What it is: Nothing ran, <code>a=1</code>.</p>"

"""Text of rows that was written to do harm is shown as text in every format."""

import csv
import io
import re
from html.parser import HTMLParser

import nbformat
import pandas as pd
from fuzzing import PIECES, examples, hostile_text
from hypothesis import given
from hypothesis import strategies as st

from rdrepro.study.blocks import fenced, fill_block
from rdrepro.study.formats import csv_text, markdown, save_table
from rdrepro.study.html_tables import html_table
from rdrepro.study.page.assemble import page_of

TAGS = {"style", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "code", "em"}
TAGS |= {"details", "summary", "b", "p"}
TABLES = st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=3)
TEXT = "a\n<!-- demo: made by `make tables` -->\nold\n<!-- end of demo -->\nz\n"
COMMANDS = re.compile(
    r"\\(begin|end)\{tabular\}(\{l+\})?|\\(top|mid|bottom)rule|\\\\$"
    r"|\\(textbackslash|textasciitilde|textasciicircum|space) |\\[&%$#_{}]|^(\s*)\{\}(?=[\[*])"
)


class Tags(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found, self.attributes = set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        self.attributes |= {name for name, _ in attributes}


def made(cells):
    table = pd.DataFrame(cells, columns=[cells[0][0], "n" + cells[0][1]])
    return table.set_axis(pd.Index([a for a, _ in cells], name="i" + cells[0][0]))


@examples(8)
@given(TABLES, hostile_text, st.sampled_from(PIECES))
def test_html_has_only_the_tables_own_tags(cells, text, piece):
    text = PIECES[0] + text + piece  # at least one piece has a tag
    table, others = made(cells), {"prose": True, "title": text}
    pages = [html_table(table, text, fold=fold, **others) for fold in (False, text)]
    pages.append(html_table(table[:0], text, empty=text, **others))
    page = Tags("".join(part.data for part in pages))
    assert page.found <= TAGS and page.attributes <= {"class", "scope", "data-sort"}


@examples(6)
@given(TABLES)
def test_markdown_keeps_its_lines_and_cells(cells):
    lines = markdown(made(cells)).split("\n")
    assert len(lines) == 2 + len(cells)
    for line in lines:
        unescaped = re.sub(r"\\[\\|]", "", line)  # what GitHub's tables read as characters
        assert unescaped.count("|") == 3 and "<" not in line and "](" not in line


@examples(6)
@given(TABLES)
def test_latex_has_only_the_tables_own_commands(tmp_path_factory, cells):
    tex = save_table(made(cells), "t", tmp_path_factory.mktemp("t"))[2].read_text("utf-8")
    end = "\\end{tabular}"
    inner = tex[tex.index("\\begin{tabular}") : tex.index(end)] + end  # without caption and box
    lines = inner.split("\n")
    assert len(lines) == 7 + len(cells)
    for line in lines:
        rest = COMMANDS.sub("", line)
        assert not set(rest) & set("\\$#%_{}~^"), line
        assert not re.match(r"\s*[\[*]", line), line
        assert rest.count("&") == (2 if line.endswith("\\\\") else 0), line


@examples(6)
@given(TABLES)
def test_a_spreadsheet_finds_no_formula(tmp_path_factory, cells):
    saved = save_table(made(cells), "t", tmp_path_factory.mktemp("t"))[0].read_text("utf-8")
    for cell in (cell for line in csv.reader(io.StringIO(saved)) for cell in line):
        plain = re.fullmatch(r"[-+\d.,/ %\[\]()]*", cell) and not re.search(r"\d[-+]", cell)
        assert plain or not cell.lstrip().startswith(("=", "+", "-", "@")), cell
        assert cell == csv_text(cell) or cell.startswith("'")


@examples(4)
@given(hostile_text, hostile_text)
def test_a_block_ends_where_its_mark_is(first, second):
    filled = fill_block(fill_block(TEXT, "demo", fenced(first)), "demo", fenced(second))
    assert filled == fill_block(TEXT, "demo", fenced(second))
    fence = fenced(first).split("\n")[0]
    assert fence not in fenced(first)[len(fence) : -len(fence)]


def test_the_report_file_shows_what_its_outputs_quote():
    said = {"text/markdown": f"*{PIECES[0]} {PIECES[1]}*"}, {"text/html": "<b>a table</b>"}
    outputs = [nbformat.v4.new_output("display_data", data) for data in said]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("<h2>prose</h2>"),
            nbformat.v4.new_code_cell("show()", outputs=outputs),
        ]
    )
    html = page_of({"10_results": notebook})
    assert PIECES[0] not in html and PIECES[1] not in html and "&lt;script&gt;alert(1)" in html
    assert "<h2" in html and "<b>a table</b>" in html

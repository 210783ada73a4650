"""The report's page: contents, figures, tables, links, and nothing from a network or from a row."""

import json
import re
import runpy
import shutil
import subprocess
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
from builders import ROOT

from rdrepro.study import tables
from rdrepro.study.html_tables import CSS, html_table
from rdrepro.study.page import NOTEBOOKS, assemble, execute, sections

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
EVIL = '<img src="https://x.example/a.png"><script>alert(1)</script>'
# What a browser fetches when it opens the page.
LOADS = re.compile(
    r"""(src|srcset|href|action|data|poster)\s*=\s*["']?\s*((https?|ftp):)?//|url\(\s*["']?(?!#|data:)"""
    r"""|@import|(from |import\()\s*["']|fetch\(|XMLHttpRequest""",
    re.IGNORECASE,
)


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its headings and contents."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.headings, self.listed, self._open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag in ("h2", "h3") or (tag == "a" and ("nav", {}) in self._open):
            self._open.append((tag, attributes | {"text": ""}))
        elif tag == "nav":
            self._open.append((tag, {}))

    def handle_data(self, data):
        if self._open and "text" in self._open[-1][1]:
            self._open[-1][1]["text"] += data

    def handle_endtag(self, tag):
        if self._open and self._open[-1][0] == tag:
            _, attributes = self._open.pop()
            if tag == "a":
                self.listed.append((attributes["href"].removeprefix("#"), attributes["text"]))
            elif tag != "nav":
                self.headings.append((attributes["id"], attributes["text"]))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def output(**data):
    return nbformat.v4.new_output("display_data", data)


def markdown(text):
    return nbformat.v4.new_markdown_cell(text)


def shown(*outputs):
    return nbformat.v4.new_code_cell("hidden = 1", outputs=list(outputs))


def page_of(*cells, name="10_results", **others):
    notebooks = {name: cells, **others}
    return assemble.page_of(
        {n: nbformat.v4.new_notebook(cells=list(part)) for n, part in notebooks.items()}
    )


@pytest.fixture
def page():
    """A page of two notebooks with prose, a table, a figure, a sentence and printed text."""
    table = html_table(pd.DataFrame({"data": ["a", "b"], "n": [10.0, 9.0]}), "A table")
    said = nbformat.v4.new_output("stream", name="stdout", text="said")
    progress = nbformat.v4.new_output("stream", name="stderr", text="40 %|####")
    png = {"image/png": PIXEL, "text/plain": "<Figure>"}
    return page_of(
        markdown("# What was found\n\n$x$ and *more*, see [the paper](https://x.example/p)."),
        shown(output(**{"text/html": table.data}), output(**png), said, progress),
        markdown("## Tables\n\n## Tables"),
        **{
            "11_novelty": [
                markdown("# Novelty\n\n#### Deep\n\nBack to [10](10_results.ipynb)."),
                shown(output(**{"text/html": table.data})),
            ]
        },
    )


def test_code_is_hidden_and_outputs_are_shown(page):
    assert "hidden = 1" not in page and "said" in page and "40 %" not in page
    assert "<em>more</em>" in page and page.count("<h1") == 1
    assert f"<title>{assemble.TITLE}</title>" in page


def test_the_contents_list_every_notebook_and_part(page):
    read = Reader(page)
    assert read.listed == read.headings
    assert [text for _, text in read.headings] == [
        *("What was found", "Tables", "Tables", "Novelty", "Deep")
    ]
    anchors = [anchor for anchor, _ in read.headings]
    assert anchors[0] == "10_results" and anchors[3] == "11_novelty"
    assert len(set(anchors)) == len(anchors)


def test_headings_leave_out_no_level():
    html = page_of(markdown("# a\n\n#### b\n\n##### c\n\n## d"))
    assert re.findall(r'<h(\d) id="(?:10_results|[bcd])">(\w)', html) == [
        *(("2", "a"), ("3", "b"), ("4", "c"), ("3", "d"))
    ]


def test_the_page_needs_no_network(page):
    assert not LOADS.search(page), LOADS.search(page)
    assert "the paper" in page and "x.example" not in page


@pytest.mark.parametrize(
    "load",
    [
        '<img src="https://x.example/a.png">',
        "<script src=//x.example/a.js></script>",
        "p { background: url(https://x.example/a.png) }",
        'import("https://x.example/a.js")',
        '@import "a.css"',
    ],
)
def test_a_load_would_be_noticed(load):
    assert LOADS.search(load)


def test_links_to_other_notebooks_lead_to_their_sections(page):
    assert '<a href="#10_results">10</a>' in page


def test_every_figure_has_a_text_and_every_table_a_caption(page):
    read = Reader(page)
    assert [image["alt"] for image in read.all("img")] == [sections.NO_ALT]
    boxes = [box for box in read.all("div") if box.get("class") == "rd"]
    assert [box["aria-label"] for box in boxes] == ["A table", "A table"]
    assert page.count("<figcaption>A table</figcaption>") == 2


def test_the_style_of_tables_stands_once(page):
    assert CSS not in page and page.count("<style>") == 1
    assert page.count(".rd table {") == 1


def test_keys_to_sort_by_are_those_of_the_numbers(page):
    keys = [float(cell["data-sort"]) for cell in Reader(page).all("td") if "data-sort" in cell]
    assert keys == [10, 9, 10, 9]


def test_a_folded_table_is_named_by_its_line():
    table = pd.DataFrame({"n": range(12)})
    for fold, name in ((True, "What it is: 12 lines"), ("Nothing ran", "What it is")):
        html = html_table(table, "What it is.", fold=fold).data
        page = page_of(markdown("# a"), shown(output(**{"text/html": html})))
        [box] = [box for box in Reader(page).all("div") if box.get("class") == "rd"]
        assert box["aria-label"].rstrip(".") == name
        assert page.count("<summary>") == page.count("</summary>") == 2  # and the contents


# Clicks three times on each column's name, and writes the order of lines after each click.
CLICKS = """<script>
const found = [...document.querySelectorAll("main thead button")].map((button) =>
  [1, 2, 3].map(() => {
    button.click();
    return [...document.querySelectorAll("main tbody tr")].map((row) => row.cells[0].textContent);
  }));
document.body.textContent = "ORDERS" + JSON.stringify(found) + "END";
</script></body>"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((name for name in BROWSERS if shutil.which(name)), None)


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
def test_a_click_sorts_numbers_then_words_and_dashes_last(tmp_path):
    changes = ["not resolvable", "-0.02", "\u2013", "+10.0", "-14.99", "9.5 [8.0, 11.0]"]
    table = pd.DataFrame({"line": list("abcdef"), "change": changes})
    html = html_table(table.assign(printed=["_", "97.0", "-", "100.0", "9.5", ""]), "c").data
    file = tmp_path / "page.html"
    page = page_of(markdown("# a"), shown(output(**{"text/html": html})))
    file.write_text(page.replace("</body>", CLICKS), "utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'u'}")
    command = [BROWSER, *options, "--dump-dom", file.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    orders = json.loads(dumped.split("ORDERS")[1].split("END")[0])
    assert [["".join(lines) for lines in column] for column in orders] == [
        ["abcdef", "fedcba", "abcdef"],
        ["ebfdac", "dfbeac", "abcdef"],
        ["ebdacf", "dbeacf", "abcdef"],
    ]


@pytest.mark.parametrize("kind", ["text/markdown", "text/html", "text/plain", "stream"])
def test_what_a_row_says_stays_text(kind):
    if kind == "text/html":
        said = output(**{kind: html_table(pd.DataFrame({"a": [EVIL]}), "c").data})
    elif kind == "stream":
        said = nbformat.v4.new_output("stream", name="stdout", text=EVIL)
    else:
        said = output(**{kind: EVIL + " ![x](https://x.example/b.png)"})
    html = page_of(markdown("# a"), shown(said))
    assert "alert(1)" in html
    read = Reader(html)
    assert not read.all("img") and len(read.all("script")) == 1


def test_markdown_of_a_row_runs_no_script():
    html = page_of(markdown("# a"), shown(output(**{"text/markdown": "[x](javascript:alert(1))"})))
    assert "javascript:" not in html


def test_intervals_of_sentences_are_unbroken():
    html = page_of(markdown("# a"), shown(output(**{"text/markdown": "from [1.0, 2.5] at 95 %"})))
    assert "[1.0,\u00a02.5] at 95\u00a0%" in html


def test_tables_in_prose_are_boxed():
    html = page_of(markdown("# a\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"))
    assert '<div class="rd"><table>' in html and html.count("</table></div>") == 1


def test_a_page_is_written_whole(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[markdown("# Title")])
    nbformat.write(notebook, tmp_path / "10_results.ipynb")
    assemble.write_page([tmp_path / "10_results.ipynb"], tmp_path / "report" / "report.html")
    assert [f.name for f in (tmp_path / "report").iterdir()] == ["report.html"]
    assert '<h2 id="10_results">Title</h2>' in (tmp_path / "report" / "report.html").read_text()


def test_every_notebook_of_the_report_is_executed():
    assert sorted(execute.LONGEST_FIRST) == list(NOTEBOOKS)
    there = {file.stem for file in (ROOT / "notebooks").glob("1*.ipynb")}
    assert there == set(NOTEBOOKS)


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A function that lets cells, by the name of their notebook, be those of the report."""

    def write(**cells):
        (tmp_path / "notebooks").mkdir()
        for name, source in cells.items():
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
            nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
        monkeypatch.setattr(execute.paths, "ROOT", tmp_path)
        monkeypatch.setattr(execute, "LONGEST_FIRST", tuple(cells))
        monkeypatch.setattr(execute, "NOTEBOOKS", tuple(sorted(cells)))
        monkeypatch.setattr(execute, "KERNELS", 1)

    return write


def test_notebooks_share_a_kernel_and_no_names_until_one_fails(notebooks, tmp_path):
    own = "import os; mine = 1; os.getpid()"
    notebooks(b=own, a=own, c="'mine' in globals()", d="1 / 0", e="2")
    with pytest.raises(RuntimeError, match=r"d\.ipynb failed with ZeroDivisionError: .*d\.ipynb"):
        execute.execute_all(tmp_path / "out")
    done = {f.stem: nbformat.read(f, 4).cells[0].outputs for f in (tmp_path / "out").iterdir()}
    assert sorted(done) == ["a", "b", "c", "d"] and done["d"][0].ename == "ZeroDivisionError"
    first, second, known = (done[name][0].data["text/plain"] for name in "bac")
    assert first == second and known == "False"


def test_the_report_leaves_every_table_and_none_that_is_empty(tmp_path, monkeypatch):
    def executed(folder):
        folder.mkdir(parents=True)
        files = [folder / f"{name}.ipynb" for name in NOTEBOOKS]
        for file in files:
            nbformat.write(nbformat.v4.new_notebook(cells=[markdown("# Title")]), file)
        return files

    made = {"misses": pd.DataFrame({"n": [1.0]}), "tiers": pd.DataFrame()}
    monkeypatch.setattr(execute, "execute_all", executed)
    monkeypatch.setattr(tables, "all_tables", lambda runs, runs_dir: made)
    folder = tmp_path / "results" / "tables"
    folder.mkdir(parents=True)
    (folder / "tiers.csv").write_text("of rows that are gone")
    runpy.run_path(str(ROOT / "benchmarks" / "write_report.py"))["main"]([])
    assert sorted(file.name for file in folder.iterdir()) == [
        *("misses.csv", "misses.md", "misses.tex")
    ]
    assert (tmp_path / "results" / "report" / "report.html").is_file()

"""RESULTS.md: every table has its place, wide and long ones are folded, and terms are explained."""

import pandas as pd
import pytest

from rdrepro.study import results_page
from rdrepro.study.every_table import MAKERS
from rdrepro.study.glossary import GLOSSARY, TABLES, explained
from rdrepro.study.results_page import MOST_COLUMNS, MOST_LINES, anchor, folded, table_parts

ELSEWHERE = {"headlines", "effects"}  # README.md, DEVIATIONS.md


def test_every_table_is_made_captioned_and_shown_once():
    assert MAKERS.keys() == TABLES.keys()
    shown = [name for section in results_page.SECTIONS for name in section.tables]
    assert sorted(shown) == sorted(TABLES.keys() - ELSEWHERE)


@pytest.mark.parametrize(("columns", "lines"), [(MOST_COLUMNS, MOST_LINES), (1, 1)])
def test_only_a_wide_or_long_table_is_folded(columns, lines):
    table = pd.DataFrame([["x"] * columns] * lines, columns=[f"c{i}" for i in range(columns)])
    assert folded(table).startswith("| c0 |")
    longer = pd.concat([table] * (MOST_LINES + 1))
    assert folded(longer).startswith("<details>")
    wider = table.assign(**{f"d{i}": "x" for i in range(MOST_COLUMNS)})
    assert folded(wider).startswith("<details>")
    assert folded(wider, wider.shape[1]).startswith("<details>") == (lines > MOST_LINES)


def test_a_table_without_lines_is_one_line():
    [line] = table_parts("table1", pd.DataFrame())
    assert line.startswith("**Table 1.** Image AUROC") and line.endswith("printed protocol.")
    [line] = table_parts("misses", pd.DataFrame())
    assert line.endswith("** None.")


def test_a_wide_table_shows_some_columns_and_folds_the_rest():
    columns = {"data": "MNIST", "preset": "p", "printed": 99.3, "ours": 98.62, "steps": "1878"}
    caption, short, rest = table_parts("novelty", pd.DataFrame([columns]))
    assert caption.startswith("**Novelty detection")
    assert short.splitlines()[0] == "| data | preset | printed | ours |" and "98.6" in short
    assert rest.startswith("<details>") and "1878" in rest


def test_missing_values_are_dashes_and_unchanged_settings_stay_in_the_short_table():
    columns = {"study": "s", "backbone": "resnet18", "ours": 98.62, "interval": ""}
    lines = [columns | {"differs in": text} for text in ("", "sigma=2")]
    _, short, rest = table_parts("small_backbones", pd.DataFrame(lines))
    assert short.splitlines()[2:] == ["| s | ResNet-18 | 98.6 | - |"]
    assert "| s | ResNet-18 | 98.6 | - | sigma=2 |" in rest


def test_readings_that_differ_in_batch_norms_alone_stay_apart():
    line = {"data": "Head CT", "reading": "Ours", "teacher": "resnet18", "ours": 71.6}
    table = pd.DataFrame([line | {"batch norms": mode} for mode in ("train", "frozen")])
    _, short, _ = table_parts("medical_columns", table)
    assert len(set(short.splitlines())) == 4


def test_percent_and_memory_have_one_decimal_where_seconds_have_three():
    table = pd.DataFrame([{"seconds": 0.18349, "bank MiB": 3625.354, "PRO": 95.746}])
    assert results_page.text_table("complexity", table).values.tolist() == [
        ["0.183", "3625.4", "95.7"]
    ]


def test_anchors_are_those_of_github():
    assert anchor("MVTec AD: Tables 1 and 2") == "mvtec-ad-tables-1-and-2"


def test_glossary_entries_are_short_sentences():
    for term, text in (GLOSSARY | TABLES).items():
        assert text.endswith((".", "?")), term
        longest = max(text.replace(": ", ". ").split(". "), key=lambda part: len(part.split()))
        assert len(longest.split()) <= 27, longest
    assert list(explained(["tier", "printed", "unknown"])) == ["printed", "tier"]

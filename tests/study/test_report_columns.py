"""Columns of the report's tables: explained by the glossary, or said once in a caption."""

import pandas as pd
import pytest

from rdrepro.study.glossary import GLOSSARY
from rdrepro.study.report.columns import explain, said_once


def test_terms_are_explained_in_the_given_order_and_unknown_ones_are_errors():
    lines = explain(["seeds", "delta"]).data.splitlines()
    assert lines == [f"- **{term}**: {GLOSSARY[term]}" for term in ("seeds", "delta")]
    with pytest.raises(KeyError, match="house word"):
        explain(["house word"])


def test_a_column_is_said_once_only_where_every_line_agrees():
    table = pd.DataFrame(
        {"epochs": [60, 60], "tier": ["a", "b"], "fold": [1, None], "ours": [2.0, 2.0]}
    )
    shown, note = said_once(table, ["epochs", "tier", "fold", "absent"])
    assert list(shown) == ["tier", "fold", "ours"] and note == "all lines: epochs 60"
    assert said_once(table[:1], ["epochs"])[1] == ""
    assert said_once(pd.DataFrame(), ["epochs"])[1] == ""

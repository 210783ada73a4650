"""Columns of the report's tables: what they mean, and those that say the same in every line."""

from collections.abc import Iterable

import pandas as pd
from IPython.display import Markdown

from rdrepro.study.glossary import GLOSSARY


def explain(terms: Iterable[str]) -> Markdown:
    """A short list of terms with their sentences from the glossary, in the given order.

    Raises KeyError for a term that the glossary lacks.
    """
    return Markdown("\n".join(f"- **{term}**: {GLOSSARY[term]}" for term in terms))


def said_once(table: pd.DataFrame, names: Iterable[str]) -> tuple[pd.DataFrame, str]:
    """A table without those of the named columns in which all lines agree, and a note of these.

    The note is like "all lines: tier reduced, epochs 60"; empty where every column stays. A table
    of one line keeps its columns.
    """
    alike = [n for n in names if n in table and len(table) > 1 and table[n].nunique() == 1]
    alike = [n for n in alike if table[n].notna().all()]
    note = ", ".join(f"{name} {table[name].iloc[0]}" for name in alike)
    return table.drop(columns=alike), f"all lines: {note}" if note else ""

"""Tables as text: rounding, intervals, Markdown, LaTeX and CSV."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro import paths

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
FORMULA_SIGNS = ("=", "+", "-", "@")  # a spreadsheet computes a cell that begins so
# A number or two, and what tables write behind them: an interval, a remark. "-": not printed.
NUMBER = re.compile(r"(-|[+-]?[\d.,]+)(/(-|[\d.,]+))?( ?%)?( \[[-+\d., ]*\])?( \([\w ]*\))?")


def interval(low: float, high: float, digits: int = 1) -> str:
    """An interval as text, "[low, high]"; empty if its bounds are NaN."""
    return "" if np.isnan(low) else f"[{low:.{digits}f}, {high:.{digits}f}]"


def save_table(table: pd.DataFrame, name: str, folder: Path | None = None) -> list[Path]:
    """Save a table as NAME.csv, NAME.md and NAME.tex (booktabs); return the files.

    folder: by default results/tables.
    """
    folder = folder or paths.results_dir() / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    shown = rounded(table)
    index = not isinstance(table.index, pd.RangeIndex)
    flat = flattened(shown)
    texts = {
        "csv": _changed(flat, csv_text).to_csv(index=index),
        "md": markdown(flat.reset_index() if index else flat) + "\n",
        "tex": latex(shown, index),
    }
    files = []
    for ending, text in texts.items():
        file = folder / f"{name}.{ending}"
        aside = file.with_name(f".{file.name}.tmp")
        aside.write_text(text, encoding="utf-8")
        files.append(aside.replace(file))
    return files


def rounded(table: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """A table with floats as text with `digits` decimals, and missing values as empty text."""

    def text(value: object) -> str:
        if pd.isna(value):
            return ""
        # Adding 0 turns -0 into 0.
        return f"{round(value, digits) + 0:.{digits}f}" if isinstance(value, float) else str(value)

    return table.map(text)


def flattened(table: pd.DataFrame) -> pd.DataFrame:
    """A table with its two levels of column names joined into one."""
    if table.columns.nlevels == 1:
        return table
    names = [tail if head == "printed" else f"{head}: {tail}" for head, tail in table.columns]
    return table.set_axis(names, axis="columns")


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    cells = [[markdown_text(str(value)) for value in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def markdown_text(text: str) -> str:
    """Text in one line in which nothing is HTML, a link or the end of a cell.

    Code between backticks and emphasis keep their meaning, since tables use them.
    """
    text = _one_line(text).replace("<", "&lt;").replace("](", "]\\(")
    return re.sub(r"(\\*)\|", r"\1\1\\|", text)


def latex(table: pd.DataFrame, index: bool) -> str:
    """A table of text as LaTeX (booktabs), with all special characters escaped."""
    tex = _changed(table, _one_line).to_latex(index=index, escape=True, multicolumn_format="c")
    # After a line break, LaTeX reads "[" as the start of a length and "*" as a variant.
    return re.sub(r"^(\s*)(?=[\[*])", r"\1{}", tex, flags=re.MULTILINE)


def csv_text(text: str) -> str:
    """Text that a spreadsheet does not take for a formula; numbers and intervals stay."""
    text = _one_line(text)
    if text.lstrip().startswith(FORMULA_SIGNS) and not NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _one_line(text: str) -> str:
    """Text without line breaks and other control characters."""
    return CONTROL.sub(" ", text)


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """A table whose texts, also those of its index and columns, are changed by a function."""

    def changed(value: object) -> object:
        return change(value) if isinstance(value, str) else value

    def renamed(names: pd.Index) -> pd.Index:
        if isinstance(names, pd.MultiIndex):
            keys = [tuple(map(changed, key)) for key in names]
            return pd.MultiIndex.from_tuples(keys, names=map(changed, names.names))
        return names.map(changed).rename(changed(names.name))

    return (
        table.map(changed).set_axis(renamed(table.columns), axis=1).set_axis(renamed(table.index))
    )

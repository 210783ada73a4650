"""Tables as text: rounding, intervals, Markdown, LaTeX, CSV and HTML."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

from rdrepro import paths

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
FORMULA_SIGNS = ("=", "+", "-", "@")  # a spreadsheet computes a cell that begins so
# A number or two, and what tables write behind them: an interval, a remark. "-": not printed.
NUMBER = re.compile(r"(-|[+-]?[\d.,]+)(/(-|[\d.,]+))?( ?%)?( \[[-+\d., ]*\])?( \([\w ]*\))?")
FOLDED = 10  # lines; where asked for, a longer table is hidden until a click
CSS = (
    "<style>.rd{overflow-x:auto;margin:1em 0}.rd table{font-size:11px;border-collapse:collapse}"
    ".rd td,.rd th{padding:2px 6px;text-align:right;border-bottom:1px solid #ddd}"
    ".rd thead tr:first-child th[colspan]{text-align:center;border-left:1px solid #999}"
    ".rd .text td,.rd .text th{text-align:left;vertical-align:top}"
    ".rd .numbers td{white-space:nowrap}"
    ".rd caption{text-align:left;font-size:13px;padding:4px 0;caption-side:top}</style>"
)


def html_table(
    table: pd.DataFrame,
    caption: str,
    prose: bool = False,
    digits: int = 1,
    empty: str = "No rows.",
    fold: bool = False,
) -> HTML:
    """A table with a caption as HTML; for an empty table, the caption and the sentence `empty`.

    prose: align the cells to the left, as text. digits: decimals of numbers. fold: hide a table of
    more than FOLDED lines until a click.
    """
    if table.empty:
        return HTML(f"<p>{caption}: {empty}</p>")
    index = not isinstance(table.index, pd.RangeIndex)
    head, long = "text" if prose else "numbers", fold and len(table) > FOLDED
    html = rounded(table, digits).to_html(index=index, classes=head, border=0, sparsify=True)
    html = re.sub("`([^`]+)`", r"<code>\1</code>", html)
    html = html.replace("<thead>", f"<caption>{caption}</caption><thead>", 1)
    # The class keeps JupyterLab from reading "$...$" in a cell as a formula.
    html = f'<div class="rd tex2jax_ignore">{html}</div>'
    if long:
        html = f"<details><summary>{caption}: {len(table)} lines</summary>{html}</details>"
    return HTML(CSS + html)


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

"""The numbers and verdicts of tables, without their wording, one line of text per table row.

A snapshot of them guards changes of code that must not move a result: tests/golden/tables.json has
those of every table and generated block made from the committed rows.
"""

import re
from collections.abc import Iterable

import pandas as pd

VERDICTS = {
    *("reproduced", "close", "differs", "no verdict", "not printed", "not run", "as printed"),
    *("tied", "overlaps", "does not overlap", "resolved", "not resolved", "larger than noise"),
    *(
        "not shown",
        "not resolvable",
        "supported",
        "open",
        "contradicted",
        "contradicted in part",
        "yes",
        "no",
    ),
    *("not tested yet", "untested by the paper", "printed protocol", "reduced", "embedded"),
}
NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
# A number, several of them, an interval, a number with its interval, or a count of something.
INTERVAL = rf"\[{NUMBER}, {NUMBER}\]"
NUMERIC = re.compile(
    rf"-|{NUMBER}(?:[/ ]{NUMBER})*|(?:{NUMBER} )?{INTERVAL}|\d+ (?:of \d+|seeds|categories)"
)
DECIMAL = re.compile(r"[+-]?\d+\.\d+")
WITH_REASON = re.compile(r"(?:incomplete|reduced) \(.*\)")


def tokens(cell: object, digits: int = 6) -> list[str]:
    """The numbers of a cell, or its verdict; of any other text only its decimal numbers."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell):
        return []
    if isinstance(cell, bool):
        return [str(cell)]
    if isinstance(cell, float):
        return [f"{round(cell, digits) + 0:g}"]
    text = str(cell).strip().replace("\u00a0", " ")
    if text in VERDICTS or WITH_REASON.fullmatch(text):
        return [text]
    if NUMERIC.fullmatch(text):
        return re.findall(rf"{NUMBER}|-", text)
    return DECIMAL.findall(text)


def of_table(table: pd.DataFrame) -> list[str]:
    """One line per row of a table, its index left out: an index is wording or a count."""
    return [of_cells(row) for row in table.astype(object).to_numpy()]


def of_text(text: str) -> list[str]:
    """One line per line of a generated block in Markdown."""
    lines = [of_cells(line.strip("|").split("|")) for line in text.splitlines()]
    return [line for line in lines if line]


def of_cells(cells: Iterable[object]) -> str:
    """One line of text from the cells of a row."""
    return " | ".join(" ".join(found) for cell in cells if (found := tokens(cell)))

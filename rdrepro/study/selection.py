"""Which rows count: from a clean tree, the newest of each repetition, whole protocols."""

from collections.abc import Iterator, Sequence

import pandas as pd

from rdrepro.study.printed import protocol_defaults


def is_clean(rows: pd.DataFrame) -> pd.Series:
    """Which rows come from a tree that is known to have been clean."""
    return rows["provenance.dirty"].eq(False)


def clean(runs: pd.DataFrame, study: str | None = None) -> pd.DataFrame:
    """The clean rows, of one study where it is named; an empty table as it is."""
    if runs.empty:
        return runs
    of_study = runs["study"].eq(study) if study else True
    return runs[is_clean(runs) & of_study]


def alike(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """A number for each row, the same for rows that agree in these columns as text."""
    numbers: dict[tuple[str, ...], int] = {}
    texts = zip(*(map(str, rows[name]) for name in names), strict=True)
    return pd.Series([numbers.setdefault(text, len(numbers)) for text in texts], index=rows.index)


def newest(rows: pd.DataFrame, *identity: str) -> pd.DataFrame:
    """The newest of the rows that agree in these columns; rows stand in order of time."""
    if rows.empty:
        return rows
    return rows[~alike(rows, identity).duplicated(keep="last")]


def complete(rows: pd.DataFrame, per: str, unit: str, wanted: int | None = None) -> pd.DataFrame:
    """The rows of those repetitions, values of `per`, that have every `unit`.

    wanted: how many units there are, by default as many as all rows have together.
    """
    wanted = rows[unit].nunique() if wanted is None else wanted
    return rows[rows.groupby(per)[unit].transform("nunique") == wanted]


def by_protocol(
    rows: pd.DataFrame, also: Sequence[str] = (), without: Sequence[str] = ()
) -> Iterator[pd.DataFrame]:
    """The rows in groups of one protocol: they agree in every field that affects a result.

    also: further columns in which a group agrees; without: fields in which it may differ.
    """
    if rows.empty:
        return
    names = [*also, *(n for n in protocol_defaults() if n not in (*also, *without))]
    for _, group in rows.groupby(alike(rows, names), sort=False):
        yield group

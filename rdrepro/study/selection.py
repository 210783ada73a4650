"""Functions that select rows: clean rows, the newest rows, and complete repetitions."""

from collections.abc import Iterator, Sequence

import pandas as pd

from rdrepro.study.printed import protocol_defaults


def is_clean(rows: pd.DataFrame) -> pd.Series:
    """Whether each row comes from a working tree that was certainly clean."""
    return rows["provenance.dirty"].eq(False)


def clean(runs: pd.DataFrame, study: str | None = None) -> pd.DataFrame:
    """The clean rows of a study, or of all studies.

    A row is clean if it comes from a working tree without uncommitted changes. An empty table is
    returned unchanged.
    """
    if runs.empty:
        return runs
    of_study = runs["study"].eq(study) if study else True
    return runs[is_clean(runs) & of_study]


def alike(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """A number for each row, equal for rows that agree in these columns as text."""
    numbers: dict[tuple[str, ...], int] = {}
    columns = rows[list(names)].to_numpy(object).T  # faster than column by column
    texts = zip(*(map(str, column) for column in columns), strict=True)
    return pd.Series([numbers.setdefault(text, len(numbers)) for text in texts], index=rows.index)


def newest(rows: pd.DataFrame, *identity: str) -> pd.DataFrame:
    """The newest row of each group of rows that agree in these columns.

    The rows must be in order of time.
    """
    if rows.empty:
        return rows
    return rows[~alike(rows, identity).duplicated(keep="last")]


def complete(rows: pd.DataFrame, per: str, unit: str, wanted: int | None = None) -> pd.DataFrame:
    """The rows of those repetitions that have every unit.

    per: the column that names a row's repetition, such as a seed. unit: the column of the parts
    that a complete repetition has, such as the class. wanted: the number of units; by default, the
    number that occurs in all rows together.
    """
    wanted = rows[unit].nunique() if wanted is None else wanted
    return rows[rows.groupby(per)[unit].transform("nunique") == wanted]


def by_protocol(
    rows: pd.DataFrame, also: Sequence[str] = (), without: Sequence[str] = ()
) -> Iterator[pd.DataFrame]:
    """Yield the rows of each protocol. They agree in every setting that affects a result.

    also: further columns in which the rows of a group must agree. without: settings in which they
    may differ.
    """
    if rows.empty:
        return
    names = [*also, *(n for n in protocol_defaults() if n not in (*also, *without))]
    for _, group in rows.groupby(alike(rows, names), sort=False):
        yield group

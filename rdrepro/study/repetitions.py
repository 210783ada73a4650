"""The independent repetitions among rows of one protocol, and a printed cell's value in each."""

from typing import NamedTuple

import pandas as pd

from rdrepro import registry
from rdrepro.registry import FOLDED, FOLDS
from rdrepro.study.printed import COSTS, Cell
from rdrepro.study.stats import collapsed


class Repetitions(NamedTuple):
    """The value of a cell in each complete repetition, and the rows that give it.

    values: percent or, for costs, seconds or MiB. They are indexed by seed; costs, by the row's
    file. missing: why there is no value; "" if there is one. every: the rows, with those of
    incomplete repetitions.
    """

    values: pd.Series
    rows: pd.DataFrame
    missing: str
    every: pd.DataFrame


def repetitions_of(cell: Cell, rows: pd.DataFrame) -> Repetitions:
    """The repetitions of a cell among rows of one protocol.

    A cell averages over units: categories, classes or folds. A draw is one random division of the
    images. A draw is complete if it has every unit; its value is the mean over the units. A
    repetition is a seed, since only seeds are independent. Its value is the mean over its complete
    draws. For costs, each run is a repetition.
    """
    if rows.empty:
        return Repetitions(pd.Series(dtype=float), rows, "not run", rows)
    valued = rows.assign(value=values_of(cell, rows))
    if cell.metric in COSTS:
        return Repetitions(valued.set_index("file")["value"], rows, "", rows)
    field, units = _units(cell, rows)
    names = ["seed", "data_seed"] if field else ["seed", "data_seed", "fold"]
    draws = valued.groupby(names, dropna=False)
    whole = draws[field].transform("nunique") == len(units) if field else rows["seed"].notna()
    values = valued[whole].groupby(names, dropna=False)["value"].mean().groupby("seed").mean()
    if not field or len(values):
        return Repetitions(values, rows[whole], "", rows)
    present = rows[field].nunique()
    lacking = f"{present}/{len(units)}" if present < len(units) else f"no seed has all {len(units)}"
    return Repetitions(values, rows[whole], f"incomplete ({lacking})", rows)


def values_of(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """Each row's value of the cell: percent or, for costs, seconds or MiB."""
    values = rows[cell.row_metric]
    if cell.metric == "seconds_per_image":
        values = values.map(lambda quartiles: quartiles[1])  # the median
    return (1 if cell.metric in COSTS else 100) * values.astype(float)


def _units(cell: Cell, rows: pd.DataFrame) -> tuple[str | None, tuple]:
    """The column of the cell's units (None if there is none), and the units that the cell needs."""
    if cell.unit_field:
        return cell.unit_field, cell.units
    return ("fold", tuple(range(FOLDS))) if rows["split"].iloc[0] in FOLDED else (None, ())


def count_collapsed(cell: Cell, rows: pd.DataFrame) -> int:
    """How many rows collapsed: their status says so, or they lie far below others of their unit."""
    if rows.empty or cell.metric in COSTS:
        return 0
    medical = registry.DATASETS[cell.dataset].family == registry.MEDICAL
    unit = ["data_seed", "fold"] if medical else cell.unit_field
    values = values_of(cell, rows)
    grouped = rows.assign(value=values).groupby(unit, dropna=False)["value"]
    fallen = grouped.transform(lambda group: collapsed(group)).astype(bool)
    return int((fallen | (rows["status"] == "collapsed")).sum())

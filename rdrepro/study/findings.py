"""What our runs say of the comparisons that claims stand for, with an interval each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from rdrepro.study.compare import cost_rows, repetitions
from rdrepro.study.formats import interval
from rdrepro.study.matching import COST_CONDITIONS
from rdrepro.study.printed import COSTS, Cell, protocol_defaults
from rdrepro.study.relations import Comparison, Printed
from rdrepro.study.selection import alike, clean
from rdrepro.study.stats import FEWEST_SEEDS, ROUNDING, Summary, summary
from rdrepro.study.tables import title_of

HOLDS, FAILS, OPEN, NOT_RUN = "holds", "fails", "open", "not run"
CONDITIONS = [*COST_CONDITIONS, "image_size"]  # under which two costs are compared


class Finding(NamedTuple):
    """Whether a comparison holds, and the values that say so."""

    state: str  # HOLDS, FAILS, OPEN or NOT_RUN
    text: str = ""


def findings(comparisons: Iterable[Comparison], runs: pd.DataFrame) -> dict[Comparison, Finding]:
    """What our runs say of each comparison.

    runs: lines of `load_runs`.

    An accuracy needs three seeds, and two accuracies are paired by seed. Their 95 % t-interval must
    lie on one side of the other value. A cost needs one run. Two costs must be of equal conditions,
    and their quartiles over images (for memory, the sizes) must not overlap. Each range spans all
    clean measurements of the same settings and conditions, also those with a newer repeat.
    """
    comparisons = list(dict.fromkeys(comparisons))
    cells = {c for x in comparisons for c in (x.ours, x.other) if isinstance(c, Cell)}
    values = repetitions(cells, runs)
    costs = _measurements([c for c in cells if c.metric in COSTS], runs)
    return {comparison: _finding(comparison, values, costs) for comparison in comparisons}


def _measurements(cells: Iterable[Cell], runs: pd.DataFrame) -> dict[Cell, list[pd.DataFrame]]:
    """The rows of `cost_rows`, with the older measurements that they supersede, oldest first."""
    found = cost_rows(cells, runs)
    if not any(found.values()):
        return found
    rows = clean(runs)
    settings = alike(rows, [*protocol_defaults(), *COST_CONDITIONS])
    return {
        cell: [
            rows[settings.isin(settings[group.index]) & rows[cell.row_metric].notna()]
            for group in groups
        ]
        for cell, groups in found.items()
    }


def _finding(
    c: Comparison,
    values: Mapping[Cell, pd.Series],
    costs: Mapping[Cell, Sequence[pd.DataFrame]],
) -> Finding:
    if any(x not in values for x in (c.ours, c.other) if isinstance(x, Cell)):
        return Finding(NOT_RUN)
    if isinstance(c.other, Printed):
        return _of_printed(c, c.other, summary(values[c.ours]))
    if c.ours.metric in COSTS:
        return _of_costs(c, costs[c.ours], costs[c.other])
    return _of_seeds(c, values[c.ours], values[c.other])


def state_of(sign: str, low: float, high: float) -> str:
    """Whether a sign holds, from the interval of the difference that it says is not negative.

    low, high: the interval of right minus left for "<", of left minus right for ">=" and
    "overlaps"; NaN where there is none. Values above a printed interval that they should overlap
    leave the question open, since a better result contradicts no claim.
    """
    if np.isnan(low):
        return OPEN
    if high < -ROUNDING:
        return FAILS
    if sign == "overlaps":
        return HOLDS if low <= ROUNDING else OPEN
    return HOLDS if low > ROUNDING or (sign == ">=" and low >= -ROUNDING) else OPEN


def _of_printed(c: Comparison, printed: Printed, s: Summary) -> Finding:
    low, high = s.low - printed.high - printed.shift, s.high - printed.low - printed.shift
    low, high = (-high, -low) if c.sign == "<" else (low, high)
    state = state_of(c.sign, low, high) if s.n >= FEWEST_SEEDS else OPEN
    return Finding(state, f"{_place(c.ours)}: {_shown(c.ours.method, s)}, {printed}")


def _of_seeds(c: Comparison, left: pd.Series, right: pd.Series) -> Finding:
    s = summary((right - left).dropna())
    state = state_of(c.sign, s.low, s.high) if s.n >= FEWEST_SEEDS else OPEN
    a, b = (f"{name} {v.mean():.2f}" for name, v in zip(_names(c), (left, right), strict=True))
    return Finding(state, f"{_place(c.ours)}: {a}, {b}, {_shown('difference', s)}")


def _of_costs(c: Comparison, ours: Sequence[pd.DataFrame], other: Sequence) -> Finding:
    """The finding on two costs, from rows by conditions, of which the counted ones come first.

    They are compared under the first conditions of either that both have.
    """
    pairs = [(a, b) for a in ours for b in other if _conditions(a) == _conditions(b)]
    equal = bool(pairs)
    rows = pairs[0] if equal else (ours[0], other[0])
    measured = [
        list(x[cell.row_metric].map(np.atleast_1d))
        for cell, x in zip((c.ours, c.other), rows, strict=True)
    ]
    ranges = [np.concatenate(values) for values in measured]
    low, high = ranges[1].min() - ranges[0].max(), ranges[1].max() - ranges[0].min()
    state = state_of(c.sign, low, high) if equal else OPEN
    unit = "s" if c.ours.metric == "seconds_per_image" else "MiB"
    a, b = (_cost(name, x) for name, x in zip(_names(c), measured, strict=True))
    return Finding(state, f"{a}, {b} {unit}{'' if equal else ' under unequal conditions'}")


def _conditions(rows: pd.DataFrame) -> tuple:
    return tuple(map(str, rows[CONDITIONS].iloc[0]))


def _cost(name: str, measured: Sequence[np.ndarray]) -> str:
    """A cost as text: the median of each measurement, with its quartiles if it has any."""
    return f"{name} {' and '.join(dict.fromkeys(map(_measurement, measured)))}"


def _measurement(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    spread = f" [{low:.3g}, {high:.3g}]" if low < high else ""
    return f"{np.median(values):.{3 if high < 100 else 4}g}{spread}"


def _shown(name: str, s: Summary) -> str:
    """A mean with its interval, or with the number of its seeds if they are too few for one."""
    if not s.n:
        return f"{name} of no seed"
    if s.n < FEWEST_SEEDS:
        return f"{name} {s.mean:.2f} ({s.n} of {FEWEST_SEEDS} seeds)"
    return f"{name} {s.mean:.2f} {interval(s.low, s.high, 2)}"


def _names(c: Comparison) -> list[str]:
    """The methods of two cells, or what else they differ in: the category or the resolution."""
    cells = c.ours, c.other
    if c.ours.method != c.other.method:
        return [cell.method for cell in cells]
    if c.ours.category != c.other.category:
        return [_title(cell) for cell in cells]
    return [f"{cell.method} at {cell.image_size} px" for cell in cells]


def _place(cell: Cell) -> str:
    return f"{_title(cell)}, {title_of(cell.metric)}"


def _title(cell: Cell) -> str:
    """A cell's category or average in words, or its data set where that is not MVTec AD."""
    if cell.dataset != "mvtec":
        return title_of(cell.dataset)
    return cell.category.replace("average_", "average over ").replace("_", " ")

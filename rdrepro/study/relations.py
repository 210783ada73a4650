"""The relations that claims state between results: a small language, read from `claims.csv`.

The column `relation` of `claims.csv` holds one or several relations, joined by "; ":

    CELLS < CELLS < ...                 our values rise from left to right
    CELLS >= best CELLS [OFFSET]        ours is at least the best printed value of other methods
    CELLS >= printed [CELLS] [OFFSET]   ours is at least a printed value; by default, its own
    CELLS < printed CELLS [OFFSET]      ours is below a printed value
    CELLS overlaps printed CELLS        the intervals of ours and of a printed value overlap
    CELLS >= NUMBER                     ours is at least a number of the text

CELLS is a pattern of the column `evidence`. OFFSET is "- margin", the margin declared for our cell,
or "+ 2.45%", a share of the printed value. results/paper/README.md describes the language.
"""

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rdrepro.study.compare import KEYS
from rdrepro.study.printed import AVERAGES, SPLITS, Cell, load_printed, printed_cells
from rdrepro.study.stats import ROUNDING, auroc_interval

FIGURE, UNTESTED = "figure", "untested"  # a claim without a relation between numbers
OWN = "Ours"  # the method of the paper itself, whose printed values are no rivals

_CELLS = r"[^\s/]*(?:/[^\s/]*){6}"
_ORDER = re.compile(rf"{_CELLS}(?: < {_CELLS})+")
_PRINTED = re.compile(
    rf"(?P<ours>{_CELLS}) (?P<sign>>=|<|overlaps) (?P<which>best|printed)"
    rf"(?: (?P<other>{_CELLS}))?(?: (?P<offset>- margin|\+ [\d.]+%))?"
)
_NUMBER = re.compile(rf"(?P<ours>{_CELLS}) >= (?P<number>[\d.]+)")


class Printed(NamedTuple):
    """A printed number that ours is compared with, in percent.

    low, high: the 95 % interval of a printed AUROC; the number itself where the images behind it
    were not counted. shift: the points that an offset adds. method: whose number it is; "" for the
    one printed for our own cell.
    """

    value: float
    low: float
    high: float
    shift: float = 0.0
    method: str = ""

    def __str__(self) -> str:
        spread = f" [{self.low:.1f}, {self.high:.1f}]" if self.low < self.high else ""
        text = f"{self.method} printed {round(self.value, 2)}{spread}".strip()
        if not self.shift:
            return text
        shift = abs(round(self.shift, 1))
        return f"{text} minus the margin {shift}" if self.shift < 0 else f"{text} plus {shift}"


@dataclass(frozen=True)
class Comparison:
    """Our value of one cell, compared with our value of another cell or with a printed number."""

    ours: Cell
    sign: str  # "<", ">=" or "overlaps"
    other: Cell | Printed

    @property
    def in_print(self) -> bool | None:
        """Whether the printed values themselves have the relation.

        None where a printed value is compared with itself, or where intervals are compared.
        """
        if self.sign == "overlaps" or (isinstance(self.other, Printed) and not self.other.method):
            return None
        shift = self.other.shift if isinstance(self.other, Printed) else 0.0
        difference = self.ours.value - self.other.value - shift
        return difference < -ROUNDING if self.sign == "<" else difference >= -ROUNDING


def name_of(cell: Cell) -> str:
    """A cell's name in patterns: paper/table/dataset/category/method/image_size/metric."""
    return "/".join(str(getattr(cell, key) or "") for key in KEYS)


@cache
def known_cells() -> tuple[Cell, ...]:
    """The cells of all tables, and those of Table 7 on transistor, which the text gives.

    Sec. 4.1 of the first paper prints transistor's pixel AUROC for single maps.
    """
    text = load_printed("text").set_index(["category", "method", "metric"])
    more = []
    for cell in printed_cells():
        key = "transistor", cell.method, cell.metric
        if (cell.paper, cell.table) == ("rd4ad", "7") and key in text.index:
            line = text.loc[[key]].iloc[0]
            value, printed = line["value"], line["printed"]
            more.append(replace(cell, category=key[0], value=value, printed=printed))
    return (*printed_cells(), *more)


def comparisons(relations: str) -> list[Comparison]:
    """The comparisons that a claim's relations stand for, one for each pair of cells.

    Cells that the papers leave blank are left out, and so is a cell without a partner.
    ValueError if a relation has another form or nothing is left of it.
    """
    if relations in (FIGURE, UNTESTED):
        return []
    return [found for relation in relations.split("; ") for found in _comparisons(relation)]


def _comparisons(relation: str) -> list[Comparison]:
    if _ORDER.fullmatch(relation):
        found = [c for pair in pairwise(relation.split(" < ")) for c in _ordered(*pair)]
    elif form := _NUMBER.fullmatch(relation):
        number = float(form["number"])
        bound = Printed(number, number, number, method="the text's")
        found = [Comparison(cell, ">=", bound) for cell in _cells(form["ours"])]
    elif form := _PRINTED.fullmatch(relation):
        found = _with_printed(**form.groupdict())
    else:
        raise ValueError(f"relation {relation!r} has no known form; see rdrepro.study.relations")
    if not found:
        raise ValueError(f"relation {relation!r} compares no printed cells; mend its patterns")
    return found


@cache
def _cells(pattern: str) -> tuple[Cell, ...]:
    """The cells with a printed value that a pattern names.

    `*` as a category stands for the categories without their averages.
    """
    skipped = AVERAGES if _part(pattern, "category") == "*" else ()
    cells = (c for c in known_cells() if fnmatchcase(name_of(c), pattern))
    return tuple(c for c in cells if not np.isnan(c.value) and c.category not in skipped)


def _part(pattern: str, key: str) -> str:
    return pattern.split("/")[KEYS.index(key)]


def _partners(cell: Cell, pattern: str) -> list[Cell]:
    """The cells of a pattern with the metric and data set of a cell.

    Where the pattern leaves the category open, it is the same too.
    """
    same = ["dataset", "metric", *(["category"] if _part(pattern, "category") == "*" else [])]
    found = [c for c in _cells(pattern) if c != cell]
    return [c for c in found if all(getattr(c, key) == getattr(cell, key) for key in same)]


def _ordered(left: str, right: str) -> list[Comparison]:
    pairs = ((cell, other) for cell in _cells(left) for other in _partners(cell, right))
    return [Comparison(cell, "<", other) for cell, other in pairs]


def _with_printed(
    ours: str, sign: str, which: str, other: str | None, offset: str | None
) -> list[Comparison]:
    """The comparisons of cells with a printed value each: the best of other methods, or one."""
    found = []
    for cell in _cells(ours):
        rivals = _partners(cell, other) if other else [cell]
        if which == "best":
            rivals = [c for c in rivals if c.method != OWN]
        if rivals:
            rival = max(rivals, key=lambda c: c.value)
            shift, method = _shift(cell, rival, offset), "" if rival == cell else rival.method
            printed = Printed(rival.value, *_interval(rival), shift, method)
            found.append(Comparison(cell, sign, printed))
    return found


def _shift(cell: Cell, rival: Cell, offset: str | None) -> float:
    """The points that an offset adds to a printed value. ValueError without a declared margin."""
    if offset is None:
        return 0.0
    if offset != "- margin":
        return rival.value * float(offset.strip("+ %")) / 100
    if cell.margin is None:
        raise ValueError(f"{name_of(cell)} has no declared margin; compare without '- margin'")
    return -cell.margin


def _interval(cell: Cell) -> tuple[float, float]:
    """The 95 % interval of a printed medical AUROC in percent; the value itself for other cells."""
    if cell.dataset not in SPLITS:
        return cell.value, cell.value
    low, high = auroc_interval(cell.value / 100, *SPLITS[cell.dataset])
    return 100 * low, 100 * high

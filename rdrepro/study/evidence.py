"""Which runs bear on each printed table, and their values next to the printed ones."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rdrepro.backbones import RANDOM
from rdrepro.config import OURS, RunConfig
from rdrepro.registry import MVTEC, MVTEC_CATEGORIES
from rdrepro.study.ablation import VARIED
from rdrepro.study.compare import ORDERED_TABLES
from rdrepro.study.matching import Matcher, admits
from rdrepro.study.medical_rows import Folds, main_results
from rdrepro.study.printed import ANY, COSTS, Cell, paper_cells, printed_cells, protocol_defaults
from rdrepro.study.selection import by_protocol, clean, newest
from rdrepro.study.stats import Summary, summary
from rdrepro.study.tables import title_of
from rdrepro.study.tiers import (
    PRINTED_PROTOCOL,
    REDUCED,
    SUBJECTS,
    departures_from,
)
from rdrepro.study.wording import departures_in_words, network

TABLES = (*(("rd4ad", n) for n in "1234567"), *(("rkd_medical", n) for n in "1234"))
MEDICAL_COLUMNS = ("rkd_medical", "3")
# What a smaller machine changes. A run that differs in anything else tests another method.
SCALE = frozenset({"backbone", "weights", "oce_width", "epochs", "image_size"})


class Evidence(NamedTuple):
    """A result of ours next to the printed value that it comes nearest to.

    Values are in percent, points, seconds or MiB, as the table prints them.
    """

    place: str  # a category or a data set; "" for averages
    metric: str  # as printed
    column: str  # a step between printed columns, or a reading of one; mostly ""
    printed: float
    ours: float
    low: float
    high: float
    seeds: int
    tier: str
    share: float  # of the printed epochs that a training had, at most 1
    differs: str  # from the printed protocol, in words
    files: tuple[str, ...]  # of the rows behind it
    ran: str  # the teacher and the epochs
    signed: bool = False  # whether the values are differences

    @property
    def what(self) -> str:
        """The name of the result, such as "bottle, PRO"."""
        return ", ".join(t for t in (self.place, metric_title(self.metric), self.column) if t)


def metric_title(metric: str) -> str:
    """A printed metric in words. What the paper calls memory is the size of the checkpoint."""
    return "checkpoint size (MiB)" if metric == "memory_mb" else title_of(metric)


class Group(NamedTuple):
    """The rows of one protocol and category, one of each seed, and their settings."""

    settings: dict[str, Any]
    rows: pd.DataFrame


class Source(NamedTuple):
    """What the evidence of every table is taken from."""

    runs: pd.DataFrame
    lines: dict[Cell, pd.Series]  # the comparison with printed values, for cells with a value
    matcher: Matcher
    groups: list[Group]  # of MVTec AD
    columns: pd.DataFrame  # the result of `columns_table`


def source_of(runs: pd.DataFrame, compared: pd.DataFrame, columns: pd.DataFrame) -> Source:
    """What evidence needs of rows.

    runs: lines of `load_runs`. compared: the result of `compare` for all printed cells. columns:
    that of `columns_table`.
    """
    cells = [cell for cell in printed_cells() if cell.protocols]
    ran = compared["n_seeds"] > 0
    lines = {cells[n]: line for n, (_, line) in enumerate(compared.iterrows()) if ran.iloc[n]}
    rows = clean(runs)
    if len(rows):
        rows = rows[rows["dataset"].eq(MVTEC) & rows["weights"].ne(RANDOM)]
    own = (newest(group, "seed") for group in by_protocol(rows, ["category"]))
    groups = [Group(group.iloc[-1].to_dict(), group) for group in own]
    return Source(runs, lines, Matcher(runs), groups, columns)


def evidence(source: Source, paper: str, table: str) -> list[Evidence]:
    """Our results on real data for one printed table, by the paper's own method."""
    if (paper, table) == MEDICAL_COLUMNS:
        return list(_of_columns(source))
    found = list(_of_cells(source, paper, table))
    if paper == "rd4ad" and table in ORDERED_TABLES:
        return found + list(_of_gains(source.groups, table))
    return found + list(_of_categories(source.groups, paper, table))


def own_cells(paper: str, table: str) -> list[Cell]:
    """The cells of a table that print a number for the paper's own method."""
    cells = [c for c in paper_cells(paper, table) if c.protocols and not np.isnan(c.value)]
    return [c for c in cells if c.protocol["method"] == OURS]


def _of_cells(source: Source, paper: str, table: str) -> Iterator[Evidence]:
    """Results at the printed protocol: one for each printed cell that has a value."""
    for cell in own_cells(paper, table):
        if cell in source.lines:
            line, rows = source.lines[cell], source.matcher.counted(cell).rows
            yield Evidence(
                *(_place(cell), cell.metric, ""),
                cell.value,
                *line[["ours", "low", "high"]],
                int(line["n_seeds"]),
                PRINTED_PROTOCOL,
                1.0,
                _left_open(cell, rows.iloc[-1], line["ours"]),
                tuple(rows["file"]),
                _ran(rows.iloc[-1]),
            )


def _of_categories(groups: list[Group], paper: str, table: str) -> Iterator[Evidence]:
    """Results of single categories at a reduced protocol."""
    cells = [c for c in own_cells(paper, table) if len(c.units) == 1 and c.metric not in COSTS]
    for cell in cells:
        for group in groups:
            changed = _changed(group, cell)
            if changed:
                values = 100 * group.rows[cell.row_metric].dropna().astype(float)
                yield _reduced(cell, summary(values), group.rows, changed)


def _of_gains(groups: list[Group], table: str) -> Iterator[Evidence]:
    """What the last printed column adds to the first, among those that ran side by side."""
    cells = own_cells("rd4ad", table)
    for metric in dict.fromkeys(cell.metric for cell in cells):
        panels: dict[tuple, list] = {}
        for cell in (cell for cell in cells if cell.metric == metric):
            for group in groups:
                changed = _changed(group, cell)
                if changed is not None:
                    panels.setdefault(_shared(group, table), []).append((cell, group.rows, changed))
        for ran in panels.values():
            if len(ran) > 1:
                yield from _gain(ran[0], ran[-1])


def _shared(group: Group, table: str) -> tuple[str, ...]:
    """What columns of a table that ran side by side have in common."""
    free = [name for name in VARIED[table] if name != "train_layers"]
    names = ["category", *(name for name in protocol_defaults() if name not in free)]
    return tuple(str(group.settings[name]) for name in names)


def _gain(first: tuple, last: tuple) -> Iterator[Evidence]:
    """The difference between two columns, paired by seed."""
    (a, rows_a, changed_a), (b, rows_b, changed_b) = first, last
    values = [
        100 * rows.set_index("seed")[cell.row_metric].astype(float)
        for cell, rows in ((a, rows_a), (b, rows_b))
    ]
    s = summary((values[1] - values[0]).dropna())
    if s.n:
        rows = pd.concat([rows_a, rows_b])
        one = _reduced(b, s, rows, changed_a | changed_b)
        some = f"1 of {len(MVTEC_CATEGORIES)} categories"
        differs = "; ".join(t for t in (some, one.differs) if t)
        place, step = rows_b["category"].iloc[-1], f"{a.method} to {b.method}"
        gain = {"printed": b.value - a.value, "signed": True, "differs": differs}
        yield one._replace(place=place.replace("_", " "), column=step, **gain)


def _changed(group: Group, cell: Cell) -> dict[str, Any] | None:
    """The settings in which rows differ from a cell's protocol; None if they test something else.

    They test something else if they lack its metric or its category, or if they differ in more than
    the scale.
    """
    settings = group.settings
    subjects = ("method", *SUBJECTS.get((cell.paper, cell.table), ()))
    fits = settings["category"] in cell.units and cell.dataset == settings["dataset"]
    fits = fits and all(admits(cell.protocol[name], settings[name]) for name in subjects)
    if not fits or group.rows[cell.row_metric].isna().all():
        return None
    changed = departures_from(settings, cell)
    return changed if set(changed) <= SCALE else None


def _reduced(cell: Cell, s: Summary, rows: pd.DataFrame, changed: Mapping[str, Any]) -> Evidence:
    """A result at a protocol that differs from a cell's in the settings `changed`."""
    row = rows.iloc[-1]
    share = min(row["epochs"] / cell.protocol["epochs"], 1.0)
    words = departures_in_words(changed, cell.protocol, row["backbone"])
    named = (_place(cell), cell.metric, "")
    ours = (s.mean, s.low, s.high, s.n)
    files = tuple(rows["file"])
    return Evidence(*named, cell.value, *ours, REDUCED, share, words, files, _ran(row))


def _ran(row: pd.Series) -> str:
    return f"{network(row['backbone'])}, {row['epochs']} epochs"


def _of_columns(source: Source) -> Iterator[Evidence]:
    """The readings of the extension's Table 3, as means over folds or draws."""
    results = {_medical_key(f): f for f in main_results(source.runs).values()}
    for _, line in source.columns.iterrows():
        folds = results[tuple(line[list(MEDICAL_KEY)])]
        if folds.rows["method"].iloc[0] == OURS:
            yield Evidence(
                *(title_of(folds.dataset), "image_auroc", folds.reading),
                *line[["printed", "ours", "low", "high"]],
                int(line["runs"]),
                line["tier"],
                min(folds.epochs / _medical_cell(folds).protocol["epochs"], 1.0),
                _medical_words(folds),
                tuple(folds.rows["file"]),
                _ran(folds.rows.iloc[-1]),
            )


MEDICAL_KEY = ("dataset", "teacher", "epochs", "batch norms", "split", "reading")


def _medical_key(folds: Folds) -> tuple:
    own = (folds.dataset, folds.teacher, folds.epochs, folds.batch_norms)
    return (*own, folds.split, folds.reading)


def _medical_cell(folds: Folds) -> Cell:
    return next(c for c in own_cells(*MEDICAL_COLUMNS) if c.dataset == folds.dataset)


def _medical_words(folds: Folds) -> str:
    """What differs from the extension's code, in words."""
    cell, row = _medical_cell(folds), folds.rows.iloc[-1]
    ran = {"backbone": folds.teacher, "epochs": folds.epochs, "teacher_bn": folds.teacher_bn}
    changed = {n: v for n, v in ran.items() if not admits(cell.protocol[n], v)}
    words = departures_in_words(changed, cell.protocol, row["backbone"])
    means = f"mean of {len(folds.rows)} {'folds' if folds.folded else 'draws'}"
    return "; ".join(t for t in (words, means) if t)


def _place(cell: Cell) -> str:
    """What a cell is about: a category of MVTec AD or another data set; "" for an average."""
    if cell.dataset != MVTEC:
        return title_of(cell.dataset)
    place = "" if cell.category == "average" else cell.category.replace("_", " ")
    usual = cell.image_size in (None, RunConfig.image_size)
    return place if usual else f"{place}, {cell.image_size} px".removeprefix(", ")


def _left_open(cell: Cell, row: pd.Series, ours: float) -> str:
    """What ran where the paper states nothing, for a run of the printed protocol."""
    if cell.metric == "memory_mb":
        return f"the paper says MB; {ours:.0f} MiB are {ours * 2**20 / 1e6:.0f} MB"
    names = ("backbone", "image_size", "epochs")
    ran = {"backbone": network(row["backbone"]), "image_size": f"{row['image_size']} px"}
    ran |= {"epochs": f"{row['epochs']} epochs"}
    chosen = [ran[n] for n in names if cell.protocol.get(n) == ANY]
    if cell.metric in COSTS:
        return "the paper names no conditions"
    return f"our choice, not stated by the paper: {', '.join(chosen)}" if chosen else "nothing"

"""Which rows of the extension's Table 3 form one result, and the difference between two results.

A reading is one way to understand a printed column (`medical.READINGS`). A habit is something that
the extension does differently (`medical.HABITS`).
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rdrepro.backbones import RANDOM
from rdrepro.config import OURS, RunConfig, foreign_fields
from rdrepro.presets import PRESETS, preset_settings
from rdrepro.registry import DATASETS, FOLDED, MEDICAL, of_family
from rdrepro.runs.configure import configure
from rdrepro.study.folds import fold_resamples, percentiles
from rdrepro.study.matching import admits, cell_matches, settings_text
from rdrepro.study.medical import READINGS
from rdrepro.study.memo import remembered
from rdrepro.study.printed import ANY, QUOTED_METHODS, Cell, paper_cells, protocol_defaults
from rdrepro.study.selection import alike, clean, newest
from rdrepro.study.stats import summary

MEDICAL_DATASETS = of_family(MEDICAL)
PRINTED_DATASETS = tuple(name for name in MEDICAL_DATASETS if DATASETS[name].tables)
# They differ from the presets' names: a run that names no study is filed under its preset.
STUDY, HABITS_STUDY, LONG_STUDY = "medical-table3", "medical-habits", "medical-long"
AGAIN_STUDY = "medical-again"
APART = (LONG_STUDY, AGAIN_STUDY)  # their rows repeat those of the main table and have their own
FIELDS = ("loss", "early_stopping", "score", "map_combine", "loss_reduction", "image_size", "beta2")
READING_OF = {name: how for column in READINGS.values() for name, how in column.items()}
COLUMN_OF = {name: column for column, readings in READINGS.items() for name in readings}
PRINTED_BN = PRESETS["medical"]["teacher_bn"]
PANEL = ["dataset", "backbone", "epochs", "teacher_bn", "split"]
REPETITION = ["data_seed", "seed"]


class Key(NamedTuple):
    """What identifies a result."""

    dataset: str
    teacher: str
    epochs: int
    teacher_bn: str
    split: str
    reading: str


class Folds(NamedTuple):
    """The rows of one result: of a reading on one data set with one teacher.

    There is a row per fold, in order. Where the split has no folds, there is a row per draw and
    seed.
    """

    dataset: str
    teacher: str
    epochs: int
    teacher_bn: str
    split: str
    reading: str
    column: str  # of the printed table
    rows: pd.DataFrame

    @property
    def key(self) -> Key:
        """What identifies the result."""
        return Key(*self[: len(Key._fields)])

    @property
    def aurocs(self) -> np.ndarray:
        """The image AUROC of each row, as fractions."""
        return self.rows["image_auroc"].to_numpy(float)

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        """The image scores of each row, as stored in it."""
        return list(self.rows["scores"])

    @property
    def folded(self) -> bool:
        """Whether the rows are folds, in which every normal image is tested once."""
        return self.split in FOLDED

    @property
    def divisions(self) -> int:
        """How many folds or draws the rows are of; 0 for the data set's own split."""
        return len(self.rows[["data_seed", "fold"]].dropna().drop_duplicates())

    @property
    def batch_norms(self) -> str:
        """The mode of the teacher's batch norms; empty for a method that does not have the switch.

        "train" is that of the extension's code, "frozen" that of its text (E4).
        """
        foreign = "teacher_bn" in foreign_fields(self.rows["method"].iloc[0])
        return "" if foreign else self.teacher_bn

    @property
    def printed_protocol(self) -> bool:
        """Whether the rows enter a cell of the printed table."""
        row = self.rows.iloc[0].to_dict()
        return any(cell_matches(row, cell) for cell in _cells(self.dataset, self.column))

    def images(self) -> list[list[str]]:
        """The paths of the tested images, sorted, for each row."""
        return [sorted(scores["path"]) for scores in self.scores]


def _cells(dataset: str, column: str) -> list[Cell]:
    cells = paper_cells("rkd_medical", "3")
    return [c for c in cells if (c.dataset, c.method) == (dataset, column)]


def usual_split(dataset: str, split: str) -> bool:
    """Whether a split is the data set's usual one, and has folds."""
    return split in FOLDED and split == DATASETS[dataset].splits[0]


def earlier_split(dataset: str, split: str) -> bool:
    """Whether a split has folds and is not the data set's usual one.

    This is split="kfold" of Head CT. Its files are numbered, and neighbouring files often show one
    head, two or three in a row. "kfold" separates them, so that neighbours are trained on and
    tested; "blocks" keeps them together. No file of Head CT or Brain MRI names a patient, so that
    one patient on both sides of a split cannot be excluded.
    """
    return split in FOLDED and split != DATASETS[dataset].splits[0]


def any_split(dataset: str, split: str) -> bool:
    """True: every split of a data set will do."""
    return True


def _wanted(how: Mapping[str, Any]) -> dict[str, Any]:
    """The values that rows of a variant must have in the settings in which variants differ.

    The teacher's batch norms may have any mode (E4) unless a variant is about that.
    """
    settings = PRESETS[how["preset"]] | how
    if settings.get("method", OURS) == OURS:
        settings = {name: getattr(RunConfig, name) for name in FIELDS} | settings
    # Another method's usual settings depend on the data set: only those that are named are asked.
    wanted = {name: settings[name] for name in FIELDS if name in settings}
    if "teacher_bn" in how:
        wanted["teacher_bn"] = how["teacher_bn"]
    return wanted | {"provenance.preset": how["preset"]}


def _rows_of(runs: pd.DataFrame, study: str | None) -> pd.DataFrame:
    """Clean rows of a study, or of all, on data sets with printed columns; no random weights."""
    rows = clean(runs, study)
    if rows.empty:
        return rows
    return rows[rows["dataset"].isin(PRINTED_DATASETS) & (rows["weights"] != RANDOM)]


def all_folds(
    runs: pd.DataFrame,
    variants: Mapping[str, Mapping],
    study: str | None = None,
    which: Callable[[str, str], bool] = usual_split,
) -> list[Folds]:
    """A study's clean rows by data set, teacher, epochs, batch norms, split and variant.

    variants: a preset and its changes, by the name of the variant.
    study: None for every study but those that repeat the main table (APART).
    which: whether the rows of (data set, split) count; by default, those of a data set's usual one.

    The newest row of each fold counts, and no row with random weights. The rows of one result share
    the protocol and, in a split with folds, the seed and the draw of folds (`data_seed`). If there
    are several protocols, the one with the most folds is taken and, among equals, the newest. If
    there are several seeds and draws of folds, the one with the most folds is taken and, among
    equals, the lowest. In other splits all draws and seeds form one result.
    """
    rows = _rows_of(runs, study)
    if rows.empty:
        return []
    counts = np.fromiter(map(which, rows["dataset"], rows["split"]), bool, len(rows))
    rows = rows[counts & ((study is not None) | ~rows["study"].isin(APART))]
    found = []
    for name, how in variants.items():
        fits = [rows[field] == value for field, value in _wanted(how).items()]
        few = rows.loc[np.logical_and.reduce(fits)]
        found += [_result(group, name, COLUMN_OF.get(name, "")) for group in _panels(few)]
    return found


def _panels(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each panel (PANEL)."""
    return [rows.loc[index] for index in rows.groupby(PANEL, sort=False).groups.values()]


def _protocols(rows: pd.DataFrame, *without: str) -> pd.Series:
    """A number for each row, equal for rows of one protocol, whatever the fold.

    without: further settings in which they may differ.
    """
    return alike(rows, [name for name in protocol_defaults() if name not in ("fold", *without)])


def _result(rows: pd.DataFrame, reading: str, column: str) -> Folds:
    """The rows of a panel that form its result."""
    panel = rows.iloc[0][PANEL]
    runs = [*REPETITION, "fold"]
    unit = ["fold"] if panel["split"] in FOLDED else runs
    few = rows[runs]  # selected faster than whole rows
    protocol = _protocols(rows)
    sizes = alike(few, unit).groupby(protocol).transform("nunique")
    few = few[protocol == protocol[sizes == sizes.max()].iloc[-1]]
    if panel["split"] in FOLDED:
        repeated = few.groupby(REPETITION)["fold"].nunique()  # sorted: the lowest first
        few = few[(few[REPETITION] == list(repeated.idxmax())).all(axis=1)]
    chosen = newest(few, *unit).sort_values(["fold", *REPETITION])
    teacher, epochs = panel["backbone"], int(panel["epochs"])
    key = Key(panel["dataset"], teacher, epochs, panel["teacher_bn"], panel["split"], reading)
    return Folds(*key, column, rows.loc[chosen.index])


@remembered
def by_reading(runs: pd.DataFrame, study: str | None = None) -> dict[Key, Folds]:
    """The folds of each reading of Table 3 by the usual splits; see `all_folds`."""
    return in_order(all_folds(runs, READING_OF, study))


def in_order(found: list[Folds]) -> dict[Key, Folds]:
    """Results by their keys, in order: by data set, printed batch norms first, then by teacher."""

    def place(folds: Folds) -> tuple:
        mode = folds.teacher_bn != PRINTED_BN
        return MEDICAL_DATASETS.index(folds.dataset), mode, folds.teacher, folds.epochs, folds.split

    return {folds.key: folds for folds in sorted(found, key=place)}


@remembered
def main_results(runs: pd.DataFrame) -> dict[Key, Folds]:
    """Every result that the full table shows, by its key.

    These are the readings by each data set's usual folds, by draws and by official splits, and each
    protocol whose rows enter a cell of the printed table, by any split. A reading's rows of another
    protocol never take the place of the latter.
    """
    rows = _rows_of(runs, None)
    if rows.empty:
        return {}
    entries = _printed_entries(rows)
    printed = [
        _result(own, _line_name(cell, own.iloc[0].to_dict()), cell.method) for cell, own in entries
    ]
    entered = [number for _, own in entries for number in own.index]
    reduced = all_folds(rows.drop(index=entered), READING_OF, None, any_split)
    reduced = [folds for folds in reduced if not earlier_split(folds.dataset, folds.split)]
    return in_order(reduced) | in_order(printed)


def _printed_entries(rows: pd.DataFrame) -> list[tuple[Cell, pd.DataFrame]]:
    """Each printed cell with the rows of each protocol that enters it."""
    protocols = _protocols(rows)
    firsts = rows[~protocols.duplicated()].to_dict("index")
    return [
        (cell, rows[protocols == protocols[place]])
        for cell in paper_cells("rkd_medical", "3")
        for place, row in firsts.items()
        if cell_matches(row, cell)
    ]


def _line_name(cell: Cell, row: Mapping[str, Any]) -> str:
    """The nearest reading of a cell's column, with the settings in which a row departs from it."""
    found = {}
    for name, how in READINGS[cell.method].items():
        changed = _departures(cell, tuple(how.items()), row)
        found[f"{name} ({settings_text(changed)})" if changed else name] = changed
    return min(found, key=lambda name: len(found[name]))


def _departures(cell: Cell, reading: tuple, row: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in which a row departs from a reading, of those that the paper leaves open.

    Of two rows of a cell, at least one such setting or a part of the key differs. Settings that
    follow from the row's kind of early stopping are no departures.
    """
    usual = _usual(cell.dataset, reading)
    stopping = {} if cell.method in QUOTED_METHODS else {"early_stopping": row["early_stopping"]}
    implied = _usual(cell.dataset, tuple((dict(reading) | stopping).items()))
    wanted = implied | {"early_stopping": usual["early_stopping"]}
    return {
        name: row[name]
        for name in _open_settings(cell)
        if name not in PANEL and not admits(wanted[name], row[name])
    }


def _open_settings(cell: Cell) -> list[str]:
    """The settings for which a printed cell admits several values."""
    names = []
    for name, first in cell.protocol.items():
        several = first == ANY or isinstance(first, frozenset)
        if several or any(protocol[name] != first for protocol in cell.protocols):
            names.append(name)
    return [name for name in names if name != "fold"]


@cache
def _usual(dataset: str, reading: tuple) -> dict[str, Any]:
    """The settings of a reading on a data set."""
    given = dict(reading) | {"dataset": dataset}
    return vars(configure(preset_settings(given.pop("preset")), given, "float32"))


def counterpart(runs: pd.DataFrame, earlier: Folds, study: str) -> Folds | None:
    """The result by the data set's usual split that belongs to one of the earlier split.

    Their rows agree in every setting but split and fold. None if there are no such rows. study: the
    one of the earlier rows. Where it repeats the main table (APART), only its own rows count;
    otherwise, those of every study that does not.
    """
    rows = _rows_of(runs, None)
    of_study = rows["study"].eq(study) if study in APART else ~rows["study"].isin(APART)
    usual = rows[of_study & rows["split"].eq(DATASETS[earlier.dataset].splits[0])]
    both = pd.concat([earlier.rows.iloc[[0]], usual])
    same = _protocols(both, "split").to_numpy()[1:] == 0  # the number of the first row
    return _result(usual[same], earlier.reading, earlier.column) if same.any() else None


class Change(NamedTuple):
    """The difference between two readings on the same images, in points."""

    mean: float
    low: float  # paired 95 % interval over images, for these trainings
    high: float
    fold_low: float  # paired 95 % t-interval over folds, which share their anomalous images
    fold_high: float

    @property
    def resolved(self) -> bool:
        """True if both intervals exclude 0.

        The first covers the sampling of images, the second retraining.
        """
        bounds = ((self.low, self.high), (self.fold_low, self.fold_high))
        return all(low > 0 or high < 0 for low, high in bounds)


def change(before: Folds | None, after: Folds | None) -> Change | None:
    """The difference between two readings in points, with its paired 95 % intervals.

    None if a reading is missing, or if some fold of the two was tested on different images.
    """
    if before is None or after is None or before.images() != after.images():
        return None
    a, b = fold_resamples(before.scores), fold_resamples(after.scores)
    over_folds = summary(after.aurocs - before.aurocs)
    points = (over_folds.mean, *percentiles(b - a), over_folds.low, over_folds.high)
    return Change(*(100 * x for x in points))

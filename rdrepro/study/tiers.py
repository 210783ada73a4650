"""How near to the printed protocol the nearest runs for a printed cell come."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from rdrepro import registry
from rdrepro.backbones import RANDOM, base_width, usual_weights
from rdrepro.config import foreign_fields
from rdrepro.registry import FOLDED, FOLDS
from rdrepro.study.matching import admits, settings_text
from rdrepro.study.printed import COSTS, Cell, printed_cells, protocol_defaults
from rdrepro.study.selection import by_protocol, clean

PRINTED_PROTOCOL, REDUCED, EMBEDDED, NOT_RUN = "printed protocol", "reduced", "embedded", "not run"
TIERS = [PRINTED_PROTOCOL, REDUCED, EMBEDDED, NOT_RUN]
# The settings that a column of each table is about. A run with another value belongs elsewhere.
SUBJECTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("rd4ad", "1"): ("image_size",),
    ("rd4ad", "2"): ("image_size",),
    ("rd4ad", "5"): ("bottleneck",),
    ("rd4ad", "6"): ("backbone",),
    ("rd4ad", "7"): ("map_layers",),
    ("rkd_medical", "3"): ("loss", "score", "early_stopping"),
    ("rkd_medical", "4"): ("loss", "early_stopping"),
}
METRICS = frozenset(cell.row_metric for cell in printed_cells() if cell.protocols)
UNITS = {"category": "categories", "normal_class": "classes", "fold": "folds"}
# They follow from another setting, and only its difference is named.
OF_TEACHER = {"oce_width": base_width, "weights": usual_weights}


class _Protocol(NamedTuple):
    """The rows of one protocol: its settings, and the metrics and units that they have."""

    settings: dict[str, Any]
    metrics: frozenset[str]
    seeds: list[dict[str, frozenset]]  # the units of each seed, by column
    rows: int


class Tiers:
    """The tier of each printed cell that no run of its own protocol has filled.

    The tiers are, from high to low: "printed protocol"; "reduced", with the settings in which the
    nearest real-data protocol differs; "embedded", on data that come with the package; "not run".
    Only clean rows with pre-trained teachers count. An average is also reduced where real-data runs
    of one seed have some of its units but not all; the text then counts them.
    """

    def __init__(self, runs: pd.DataFrame):
        rows = clean(runs)
        if len(rows) and "provenance.selection" in rows:
            rows = rows[rows["provenance.selection"].isna()]
        names = {*protocol_defaults(), *UNITS, *METRICS, "seed"}
        rows = rows[[name for name in rows if name in names]]
        self.protocols: dict[str, list[_Protocol]] = {}
        for group in by_protocol(rows, without=["normal_class", "fold"]):
            one = _summarise(group)
            self.protocols.setdefault(one.settings["dataset"], []).append(one)

    def of(self, cell: Cell) -> str:
        """The tier of a cell as text, such as "reduced (backbone=resnet18 epochs=40)"."""
        found = []
        for protocol in self.protocols.get(cell.dataset, ()):
            have, of, unit = _units_of(protocol, cell)
            if have or not of:
                some = f"{have} of {of} {unit}" if have < of else ""
                changed = departures_from(protocol.settings, cell)
                found.append((of - have, len(changed), -protocol.rows, changed, some))
        if found:
            *_, changed, some = min(found, key=lambda one: one[:3])
            return _reduced(changed, some)
        twin = embedded_twin(cell.dataset)
        embedded = [_units_of(protocol, cell) for protocol in self.protocols.get(twin, ())]
        if any(have == of for have, of, _ in embedded):
            return EMBEDDED
        return NOT_RUN


def kind_of(tier: str) -> str:
    """A tier without its remark: "reduced" for "reduced (epochs=40)"."""
    return tier.partition(" (")[0]


def highest(tiers: Iterable[str]) -> str:
    """The highest of some tiers, without its remark; "not run" where there are none."""
    return min(map(kind_of, tiers), key=TIERS.index, default=NOT_RUN)


def _summarise(group: pd.DataFrame) -> _Protocol:
    metrics = frozenset(n for n in METRICS if n in group and group[n].notna().any())
    seeds = [
        {name: frozenset(own[name].dropna()) for name in UNITS} for _, own in group.groupby("seed")
    ]
    return _Protocol(group.iloc[-1].to_dict(), metrics, seeds, len(group))


def embedded_twin(dataset: str) -> str:
    """The embedded data set of the same family."""
    family = registry.DATASETS[dataset].family
    return next(name for name in registry.of_family(family) if registry.DATASETS[name].embedded)


def _units_of(protocol: _Protocol, cell: Cell) -> tuple[int, int, str]:
    """How many units of a cell one seed of a protocol has, of how many, and what they are.

    A cell without units has (0, 0, ""). A protocol that tests something else has none of one unit.
    """
    settings, wanted = protocol.settings, cell.protocol
    subjects = ("method", *SUBJECTS.get((cell.paper, cell.table), ()))
    fits = cell.row_metric in protocol.metrics
    fits = fits and (settings["weights"] != RANDOM or cell.metric in COSTS)
    if not fits or not all(admits(wanted[name], settings[name]) for name in subjects):
        return 0, 1, ""
    if cell.unit_field:
        have = max(len({*cell.units} & seed[cell.unit_field]) for seed in protocol.seeds)
        return have, len(cell.units), UNITS[cell.unit_field]
    if settings["split"] in FOLDED:
        return max(len(seed["fold"]) for seed in protocol.seeds), FOLDS, UNITS["fold"]
    return 0, 0, ""


def tier_of(
    settings: Mapping[str, Any],
    cell: Cell,
    ignored: Collection[str] = (),
    categories: Collection[str] | None = None,
) -> str:
    """The tier that one run has for a printed cell.

    settings: the run's configuration, such as a line of `load_runs`. ignored: settings that are not
    compared, such as those along which an ablation varies. categories: those that ran, where the
    cell is an average over categories; all of them by default.
    """
    if registry.DATASETS[settings["dataset"]].embedded:
        return EMBEDDED
    changed = departures_from(settings, cell)
    changed = {name: value for name, value in changed.items() if name not in ignored}
    have = len(cell.units if categories is None else {*categories} & {*cell.units})
    some = f"{have} of {len(cell.units)} categories" if have < len(cell.units) else ""
    return _reduced(changed, some) if changed or some else PRINTED_PROTOCOL


def _reduced(changed: Mapping[str, Any], some: str = "") -> str:
    said = "; ".join(text for text in (some, settings_text(changed)) if text)
    # Where no setting differs, the rows are listed among those that do not count.
    return f"{REDUCED} ({said or 'see the rows left out'})"


def departures_from(settings: Mapping[str, Any], cell: Cell) -> dict[str, Any]:
    """The settings in which a run differs from the cell's protocol, where it differs least."""
    skipped = {"dataset", "fold", "normal_class", *foreign_fields(settings["method"])}
    found = []
    for wanted in cell.protocols:
        changed = {
            name: settings[name]
            for name, value in wanted.items()
            if name not in skipped and not admits(value, settings[name])
        }
        for name, usual in OF_TEACHER.items():
            if "backbone" in changed and settings[name] == usual(settings["backbone"]):
                changed.pop(name, None)
        found.append(changed)
    return min(found, key=len)

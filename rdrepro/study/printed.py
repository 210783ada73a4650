"""The papers' printed tables as cells, each with the whole protocol that a row must have run."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from rdrepro import paths, registry
from rdrepro.backbones import base_width
from rdrepro.config import DEFAULTS, FREE_FIELDS, LATER_FIELDS
from rdrepro.metric_names import ROW_METRIC
from rdrepro.presets import PRESETS

ANY = "any"  # where the papers are silent; the row's value is then a footnote
# What counts as "reproduced", in points, declared before any run was compared with a printed value.
MARGINS: dict[str, dict[str, float]] = {
    "average": {"image_auroc": 0.5, "pixel_auroc": 0.6, "pro": 1.0},  # over 15 categories
    "category": {"image_auroc": 2.7, "pixel_auroc": 1.7, "pro": 3.0},
    "table 4": {"image_auroc": 1.0},
    "table 5": {"image_auroc": 1.5, "pixel_auroc": 1.5, "pro": 1.5},
    "table 6": {"image_auroc": 1.0, "pixel_auroc": 1.0, "pro": 1.0},
    "table 7": {"image_auroc": 1.5, "pixel_auroc": 1.5, "pro": 1.5},
    "retinal_oct": {"image_auroc": 1.5},
}
PAPERS = ("rd4ad", "rkd_medical")
AVERAGES = {
    "average_textures": registry.TEXTURES,
    "average_objects": registry.OBJECTS,
    "average": registry.MVTEC_CATEGORIES,
}
# A printed metric, and the row's field that is compared with it (D16, E5).
ROW_METRICS = ROW_METRIC | {
    "seconds_per_image": "cost.image_seconds",
    "memory_mb": "cost.checkpoint_mib",
}
COSTS = ("seconds_per_image", "memory_mb")
# The extension as its code ran: what its numbers come from (DEVIATIONS.md, E1-E8).
EXTENSION = PRESETS["extension"]
# Its L_MKD: as printed or as coded; whether early stopping was on, it does not always say.
MKD = {"loss": frozenset({"mkd", "mkd_coded"})}
STOPPED = {
    "early_stopping": frozenset({"train", "leaky"}),
    "patience": ANY,
    "validation_fraction": ANY,
}
EITHER = dict.fromkeys(STOPPED, ANY)
MEDICAL_COLUMNS = {
    "Ours": {},
    "Ours+ES": STOPPED,
    "Ours+L_KD AS": {"score": "kd_loss"},
    "Ours+L_MKD": {**MKD, **EITHER},
    "Ours+L_MKD AS": {**MKD, **EITHER, "score": frozenset({"kd_loss", "mkd_loss"})},
}
# Its Table 4 averages four textures: grid is printed as a dash (results/paper/README.md).
NOT_AVERAGED = ("grid",)
# Test images of the extension's splits (its Sec. 4.1): normal, anomalous.
SPLITS = {e.name: e.printed_split for e in registry.ENTRIES if e.printed_split}
BOTTLENECKS = {"Pre": "pretrained", "Pre+OCE": "oce", "Pre+OCE+MFM": "oce+mff"}
BACKBONES = {"ResNet18": "resnet18", "ResNet50": "resnet50", "WResNet50": "wide_resnet50_2"}
BASELINES = {"PaDiM": "padim", "SPADE": "spade"}
METHOD_NAMES = {value: name for name, value in BASELINES.items()} | {
    "reverse_distillation": "Ours",
    "mkd": "MKD",
}
NOVELTY = {
    # Sec. 4.2 prints none of these; the loaders' normalisation is the official code's (D9).
    **dict.fromkeys(("backbone", "weights", "oce_width", "epochs", "image_size"), ANY),
    "score": "sum",
}


@cache
def protocol_defaults() -> dict[str, Any]:
    """every field that affects a result, as the paper's protocol has it."""
    return {name: value for name, value in DEFAULTS.items() if name not in FREE_FIELDS}


@dataclass(frozen=True)
class Cell:
    """A printed number, and what a row must have run to be held against it."""

    paper: str
    table: str
    dataset: str
    category: str
    method: str
    image_size: int | None
    metric: str  # as printed: a key of ROW_METRICS
    value: float  # percent, seconds or MB; NaN where the print has a dash
    printed: str
    protocol: dict[str, Any] | None = field(default=None, hash=False)  # None: not our method

    @property
    def row_metric(self) -> str:
        """the row's field that is held against this cell."""
        if self.paper == "rkd_medical" and self.metric == "pro":
            return "recall_at_youden"
        if self.metric == "memory_mb" and self.method != "Ours":
            return "cost.bank_mib"
        return ROW_METRICS[self.metric]

    @property
    def defaults(self) -> dict[str, Any]:
        """What a row has in fields that were not there when it was made."""
        return LATER_FIELDS

    @property
    def unit_field(self) -> str | None:
        """what an average is taken over; None where each run is a repetition."""
        if self.metric in COSTS:
            return None
        if self.dataset == "mvtec":
            return "category"
        return "normal_class" if self.table == "4" and self.dataset != "caltech256" else None

    @property
    def units(self) -> tuple:
        """the values of `unit_field` that the cell needs: categories, or ten classes."""
        if self.unit_field == "normal_class":
            return tuple(range(10))
        categories = AVERAGES.get(self.category, (self.category,)) if self.unit_field else ()
        blank = NOT_AVERAGED if self.category in AVERAGES and self.method == "Ours+L_MKD" else ()
        return tuple(c for c in categories if c not in blank)

    @property
    def margin(self) -> float | None:
        """the declared margin in points; None where there is none."""
        if self.paper == "rkd_medical":
            if self.category in AVERAGES or self.metric == "pro":
                return None
            return MARGINS.get(self.dataset if self.table == "3" else "category", {}).get(
                self.metric
            )
        if self.table in "4567":
            return MARGINS[f"table {self.table}"][self.metric]
        kind = self.category if self.category in AVERAGES else "category"
        return MARGINS.get(kind, {}).get(self.metric)


def protocol_of(paper: str, table: str, dataset: str, method: str, size: int | None) -> dict | None:
    """the protocol of a printed cell: every field that affects it; None if not ours."""
    changed = _changed(paper, table, dataset, method)
    if changed is None:
        return None
    changed = {"dataset": dataset} | ({"image_size": size} if size else {}) | changed
    return protocol_defaults() | changed


def _changed(paper: str, table: str, dataset: str, method: str) -> dict[str, Any] | None:
    """where a cell leaves the paper's protocol; None for other people's methods."""
    if paper == "rkd_medical":
        if table == "3" and method in MEDICAL_COLUMNS:
            return EXTENSION | {"split": ANY, "fold": ANY} | MEDICAL_COLUMNS[method]
        columns = {"Ours": {}, "Ours+L_MKD": {**MKD, **STOPPED}}
        return EXTENSION | columns[method] if method in columns else None
    if table == "3" and method in BASELINES:
        return {"method": BASELINES[method]}
    if table == "4":
        norm = "imagenet" if registry.DATASETS[dataset].normalised else "none"
        draws = {"inlier_categories": ANY} if dataset == "caltech256" else {}
        return NOVELTY | {"normalise": norm} | draws if method == "Ours" else None
    if table == "5":
        return {"bottleneck": BOTTLENECKS[method]}
    if table == "6":
        backbone = BACKBONES[method]
        return {"backbone": backbone, "oce_width": base_width(backbone)}
    if table == "7":
        return {"map_layers": tuple(int(k) for k in method.removeprefix("M").split(","))}
    return {} if method == "Ours" else None


def load_print(name: str) -> pd.DataFrame:
    """A file of printed numbers, results/paper/NAME.csv, as it stands."""
    columns = {"table": str, "printed": str, "image_size": "Int64"}
    table = pd.read_csv(paths.PAPER / f"{name}.csv", dtype=columns)
    return table.fillna({c: "" for c in ("category", "section", "method") if c in table})


@cache
def printed_cells() -> tuple[Cell, ...]:
    """every cell of the papers' tables, in the order of print."""
    lines = pd.concat([load_print(paper) for paper in PAPERS]).itertuples(index=False)
    return tuple(_cell(line._asdict()) for line in lines)


def _cell(line: dict[str, Any]) -> Cell:
    size = None if pd.isna(line["image_size"]) else int(line["image_size"])
    line |= {"image_size": size}
    keys = (line[k] for k in ("paper", "table", "dataset", "method"))
    protocol = protocol_of(*keys, size)
    if protocol and line["table"] == "4" and line["paper"] == "rd4ad":
        protocol.pop("normal_class")  # what the average is taken over
    if protocol and line["metric"] in COSTS:
        # Table 3 prints no resolution for them, and what weights hold changes no cost.
        protocol |= dict.fromkeys(("image_size", "weights", "epochs"), ANY)
    return Cell(**line, protocol=protocol)


def paper_cells(paper: str, table: str) -> list[Cell]:
    """the cells of one printed table."""
    return [c for c in printed_cells() if (c.paper, c.table) == (paper, table)]


def printed_values(paper: str, table: str, *keys: str, **wanted: Any) -> dict[Any, float]:
    """The printed values of a table by the keys named, of the cells whose fields are as wanted.

    One key gives {key: value}, several {(key, ...): value}: printed_values("rd4ad", "5", "method",
    metric="pro") is PRO by bottleneck. NaN where a dash is printed.
    """
    found = {}
    for cell in paper_cells(paper, table):
        if all(getattr(cell, name) == value for name, value in wanted.items()):
            named = tuple(getattr(cell, key) for key in keys)
            found[named if len(keys) > 1 else named[0]] = cell.value
    return found

"""The papers' printed numbers as cells, each with the protocol that a run must have followed."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from rdrepro import paths, registry
from rdrepro.backbones import base_width
from rdrepro.config import DEFAULTS, FREE_FIELDS, LATER_FIELDS, OURS
from rdrepro.metric_names import ROW_METRIC
from rdrepro.presets import MKD_IMAGE_SIZE, PRESETS, mkd_settings
from rdrepro.registry import FOLDED
from rdrepro.text import nearest, one_of

ANY = "any"  # the papers do not give the setting; a footnote shows the row's value
# What counts as "reproduced", in points, declared before any run was compared with a printed value.
MARGINS: dict[str, dict[str, float]] = {
    "average": {"image_auroc": 0.5, "pixel_auroc": 0.6, "pro": 1.0},  # over 15 categories
    "average_textures": {"image_auroc": 0.8, "pixel_auroc": 0.8, "pro": 1.5},
    "average_objects": {"image_auroc": 0.8, "pixel_auroc": 0.8, "pro": 1.5},
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
# The row's field that is compared with each printed metric (D16, E5).
ROW_METRICS = ROW_METRIC | {
    "seconds_per_image": "cost.image_seconds",
    "memory_mb": "cost.checkpoint_mib",
}
COSTS = ("seconds_per_image", "memory_mb")
# The settings of the extension's code, which produced its numbers (DEVIATIONS.md, E1-E8).
EXTENSION = PRESETS["extension"]
# The extension's text taken literally, where it differs from that code.
EXTENSION_TEXT = PRESETS["extension_printed"]
# Its L_MKD may be the printed loss or the coded one.
L_MKD = {"loss": frozenset({"mkd", "mkd_coded"})}
# Early stopping validates on 25 % of the training images (its Sec. 4.3) or, in its code, on tested
# ones. Its patience is 15 in the text, and 15 or 20 in the code (E9).
STOPPED = {
    "early_stopping": frozenset({"train", "leaky"}),
    "patience": frozenset({15, 20}),
    "validation_fraction": frozenset({0.25, 0.0}),
}
# It does not say whether early stopping was on in the columns of L_MKD.
PERHAPS_STOPPED = {
    "early_stopping": STOPPED["early_stopping"] | {"none"},
    "patience": STOPPED["patience"] | {None},
    "validation_fraction": STOPPED["validation_fraction"],
}
MEDICAL_COLUMNS = {
    "Ours": {},
    "Ours+ES": STOPPED,
    "Ours+L_KD AS": {"score": "kd_loss"},
    "Ours+L_MKD": {**L_MKD, **PERHAPS_STOPPED},
    "Ours+L_MKD AS": {**L_MKD, **PERHAPS_STOPPED, "score": frozenset({"kd_loss", "mkd_loss"})},
}
MVTEC_COLUMNS = {"Ours": {}, "Ours+L_MKD": {**L_MKD, **STOPPED}}
# The extension's Table 4 averages four textures, with a dash for grid (results/paper/README.md).
NOT_AVERAGED = ("grid",)
# Numbers of normal and anomalous test images in the extension's splits (its Sec. 4.1).
SPLITS = {e.name: e.printed_split for e in registry.ENTRIES if e.printed_split}
BOTTLENECKS = {"Pre": "pretrained", "Pre+OCE": "oce", "Pre+OCE+MFM": "oce+mff"}
BACKBONES = {"ResNet18": "resnet18", "ResNet50": "resnet50", "WResNet50": "wide_resnet50_2"}
# Methods of other papers that we run at the protocols of these papers. PaDiM: Defard et al. 2021,
# Sec. 4: WideResNet-50-2, 550 random channels. SPADE: Cohen & Hoshen 2020, Sec. 4: WideResNet-50-2,
# 50 neighbours. Both crop 224 pixels out of 256; ours run at the printed 256 (O21). MKD: Salehi et
# al. 2021 and its code; see `presets.mkd_settings`.
BASELINES = {"PaDiM": "padim", "SPADE": "spade"}
QUOTED_METHODS = BASELINES | {"MKD": "mkd"}
METHOD_NAMES = {value: name for name, value in QUOTED_METHODS.items()} | {OURS: "Ours"}
NOVELTY = {
    # Sec. 4.2 gives none of these. The normalisation is that of the official loaders (D9).
    **dict.fromkeys(("backbone", "weights", "oce_width", "epochs", "image_size"), ANY),
    "score": "sum",
}


@cache
def protocol_defaults() -> dict[str, Any]:
    """The paper's protocol: the default of every setting that affects a result."""
    return {name: value for name, value in DEFAULTS.items() if name not in FREE_FIELDS}


@dataclass(frozen=True)
class Cell:
    """A printed number, and the protocol that a run must have followed to be compared with it."""

    paper: str
    table: str
    dataset: str
    category: str
    method: str
    image_size: int | None
    metric: str  # as printed: a key of ROW_METRICS
    value: float  # percent, seconds or MB; NaN where a dash is printed
    printed: str
    # Each names every setting that affects the result. The first that ran counts. () where the
    # package does not run the method.
    protocols: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @property
    def protocol(self) -> dict[str, Any] | None:
        """The first of the protocols; None for a method that the package does not run."""
        return self.protocols[0] if self.protocols else None

    @property
    def row_metric(self) -> str:
        """The row's field that is compared with this cell.

        The extension's "PRO" is compared with `recall_at_youden` (E5). The PRO of other papers'
        methods is the exact one, as in these papers (Defard et al. 2021, Sec. 4.2).
        """
        if self.metric == "pro" and self.method in QUOTED_METHODS:
            return "pixel_aupro"
        if self.paper == "rkd_medical" and self.metric == "pro":
            return "recall_at_youden"
        if self.metric == "memory_mb" and self.method != "Ours":
            return "cost.bank_mib"
        return ROW_METRICS[self.metric]

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of settings that did not exist yet when an older row was made."""
        return LATER_FIELDS

    @property
    def unit_field(self) -> str | None:
        """The column of the cell's units; None if it depends on the rows or does not exist."""
        if self.metric in COSTS:
            return None
        family = registry.DATASETS[self.dataset].family
        return {registry.MVTEC: "category", registry.ONE_CLASS: "normal_class"}.get(family)

    @property
    def units(self) -> tuple:
        """The values of `unit_field` that the cell needs: categories, or classes by number.

        Empty where `unit_field` is None.
        """
        known = registry.DATASETS[self.dataset].categories
        if self.unit_field == "normal_class":
            return tuple(range(len(known)))
        averages = AVERAGES | {"average": known}
        categories = averages.get(self.category, (self.category,)) if self.unit_field else ()
        blank = NOT_AVERAGED if self.category in AVERAGES and self.method == "Ours+L_MKD" else ()
        return tuple(c for c in categories if c not in blank)

    @property
    def margin(self) -> float | None:
        """The declared margin for "reproduced", in points; None where none was declared."""
        if self.paper == "rkd_medical" and self.metric == "pro":
            return None
        if self.paper == "rkd_medical" and self.table == "3":
            return MARGINS.get(self.dataset, {}).get(self.metric)
        if self.paper == "rd4ad" and self.table in ("4", "5", "6", "7"):
            return MARGINS[f"table {self.table}"][self.metric]
        kind = self.category if self.category in AVERAGES else "category"
        return MARGINS.get(kind, {}).get(self.metric)


def protocols_of(
    paper: str, table: str, dataset: str, method: str, size: int | None
) -> tuple[dict[str, Any], ...]:
    """The protocols of a printed cell: the value of every setting that affects its result.

    The extension's cells have two: its code's and its text's. () for a method that the package does
    not run.
    """
    sized = {"dataset": dataset} | ({"image_size": size} if size else {})
    found = _changes(paper, table, dataset, method)
    return tuple(protocol_defaults() | sized | changed for changed in found)


def _changes(paper: str, table: str, dataset: str, method: str) -> list[dict[str, Any]]:
    """The settings in which each protocol of a cell departs from the paper's protocol."""
    medical = registry.DATASETS[dataset].family == registry.MEDICAL
    folds = {"split": _admitted_splits(dataset), "fold": ANY} if medical else {}
    if method in QUOTED_METHODS:
        return [folds | _of_another_paper(method, dataset)]
    if paper == "rkd_medical":
        columns = MEDICAL_COLUMNS if medical else MVTEC_COLUMNS
        if method not in columns:
            return []
        return [base | folds | columns[method] for base in (EXTENSION, EXTENSION_TEXT)]
    if table == "4":
        norm = "imagenet" if registry.DATASETS[dataset].normalised else "none"
        draws = {"inlier_categories": ANY} if dataset == "caltech256" else {}
        return [NOVELTY | {"normalise": norm} | draws] if method == "Ours" else []
    if table == "5":
        return [{"bottleneck": BOTTLENECKS[method]}]
    if table == "6":
        backbone = BACKBONES[method]
        return [{"backbone": backbone, "oce_width": base_width(backbone)}]
    if table == "7":
        return [{"map_layers": tuple(int(k) for k in method.removeprefix("M").split(","))}]
    return [{}] if method == "Ours" else []


def _admitted_splits(dataset: str) -> frozenset[str]:
    """The splits of a medical data set that a printed cell admits.

    The extension tested ten normal images or, for Retinal OCT, trained on half of them (`report`).
    Folds test every normal image of the small sets once.
    """
    return frozenset({"report", *FOLDED} & {*registry.DATASETS[dataset].splits})


def _of_another_paper(method: str, dataset: str) -> dict[str, Any]:
    """What a method of another paper must have run: its own paper's protocol."""
    if method != "MKD":
        return {"method": QUOTED_METHODS[method]}
    own = {"method": "mkd"} | mkd_settings({"method": "mkd"}, dataset)
    if dataset == "retinal_oct":
        return own | {"split": "official"}  # its code trains on all normal images (E15)
    if dataset not in MKD_IMAGE_SIZE:
        # MKD's code lacks these data sets. Its authors name 256 pixels (their issue 10); the
        # extension, which quotes the value, has 224.
        own["image_size"] = frozenset({224, 256})
    return own


def load_printed(name: str) -> pd.DataFrame:
    """The printed numbers or claims of results/paper/NAME.csv, one per line.

    Missing values in the columns category, section and method become empty texts. Raises
    FileNotFoundError for another name, and where there is no checkout of the repository.
    """
    known = sorted(file.stem for file in paths.PAPER.glob("*.csv"))
    if not known:
        raise FileNotFoundError(
            "the printed numbers do not install with the package; use a checkout of the "
            "repository, which has them in results/paper"
        )
    if name not in known:
        raise FileNotFoundError(f"{name!r} is not one of {one_of(known)}.{nearest(name, known)}")
    columns = {"table": str, "printed": str, "image_size": "Int64"}
    table = pd.read_csv(paths.PAPER / f"{name}.csv", dtype=columns)
    return table.fillna({c: "" for c in ("category", "section", "method") if c in table})


@cache
def printed_cells() -> tuple[Cell, ...]:
    """Every cell of the papers' tables, in the order in which they are printed."""
    lines = pd.concat([load_printed(paper) for paper in PAPERS]).itertuples(index=False)
    return tuple(_cell(line._asdict()) for line in lines)


def _cell(line: dict[str, Any]) -> Cell:
    size = None if pd.isna(line["image_size"]) else int(line["image_size"])
    line |= {"image_size": size}
    keys = (line[k] for k in ("paper", "table", "dataset", "method"))
    protocols = protocols_of(*keys, size)
    for protocol in protocols:
        if registry.DATASETS[line["dataset"]].family == registry.ONE_CLASS:
            protocol.pop("normal_class")  # the cell averages over it
        if line["metric"] in COSTS:
            # Table 3 gives no resolution for costs, and the values of weights do not affect them.
            protocol |= dict.fromkeys(("image_size", "weights", "epochs"), ANY)
    return Cell(**line, protocols=protocols)


def paper_cells(paper: str, table: str) -> list[Cell]:
    """The cells of one printed table."""
    return [c for c in printed_cells() if (c.paper, c.table) == (paper, table)]


def printed_values(paper: str, table: str, *keys: str, **wanted: Any) -> dict[Any, float]:
    """The printed values of a table, for the cells that have the wanted fields.

    keys: the fields of a cell that become the keys of the result. One field gives {key: value},
    several give {(key, ...): value}. wanted: the values that fields of a cell must have.

    For example, printed_values("rd4ad", "5", "method", metric="pro") gives the PRO of each
    bottleneck. Values are in percent, seconds or MB, and NaN where a dash is printed.
    """
    found = {}
    for cell in paper_cells(paper, table):
        if all(getattr(cell, name) == value for name, value in wanted.items()):
            named = tuple(getattr(cell, key) for key in keys)
            found[named if len(keys) > 1 else named[0]] = cell.value
    return found

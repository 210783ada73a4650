"""What rows say of every printed table, found once and shared by tables and sentences."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from rdrepro.config import ALL_LAYERS, RunConfig
from rdrepro.registry import DATASETS, MVTEC
from rdrepro.study.ablation import AGAINST, AS_PRINTED, UNRESOLVED, orders
from rdrepro.study.compare import compare
from rdrepro.study.evidence import TABLES, Evidence, evidence, metric_title, source_of
from rdrepro.study.medical_tables import columns_table
from rdrepro.study.memo import remembered
from rdrepro.study.printed import printed_cells
from rdrepro.study.tables import FAILED, title_of
from rdrepro.study.tiers import TIERS, embedded_twin

EXTENSION = "rkd_medical"
VERDICTS = ("reproduced", "close", *FAILED, "overlaps")


class Found(NamedTuple):
    """What rows say: the comparison with every printed value, and the evidence by table."""

    runs: pd.DataFrame
    cells: pd.DataFrame  # the result of `compare`, without printed dashes
    columns: pd.DataFrame  # the result of `columns_table`
    evidence: dict[tuple[str, str], list[Evidence]]

    def best(self, key: tuple[str, str]) -> Evidence:
        """The result that stands for a table; see `headline_rows`."""
        return min(self.evidence[key], key=rank)

    def with_verdict(self, *keys: tuple[str, str]) -> pd.DataFrame:
        """The cells of some tables, or of all, that have a verdict."""
        judged = self.cells[self.cells["verdict"].isin(VERDICTS)]
        if not keys:
            return judged
        places = pd.Series(zip(judged["paper"], judged["table"], strict=True), judged.index, object)
        return judged[places.isin(keys)]


@remembered
def find(runs: pd.DataFrame) -> Found:
    """What rows say."""
    cells, columns = compare(printed_cells(), runs), columns_table(runs)
    source = source_of(runs, cells, columns)
    results = {key: evidence(source, *key) for key in TABLES}
    return Found(runs, cells.dropna(subset="printed"), columns, results)


def rank(one: Evidence) -> tuple:
    """The place of a result among those of its table; the smallest is shown."""
    small = " px" in one.what  # it is named where it is not the paper's main image size
    place = TIERS.index(one.tier), -one.share, small, -one.seeds
    return *place, one.what, len(one.differs), one.differs


def shown(found: Found, key: tuple[str, str]) -> list[Evidence]:
    """The results that stand for a table, chosen as in `headline_rows`: one for each name."""
    best: dict[str, Evidence] = {}
    for one in sorted(found.evidence[key], key=rank):
        best.setdefault(one.what, one)
    return list(best.values())


def table_title(paper: str, number: str) -> str:
    """A printed table in words, such as "Table 3 of the extension"."""
    return f"Table {number}" + (" of the extension" if paper == EXTENSION else "")


def cell_title(cell: pd.Series, size: str = "") -> str:
    """A printed cell in words, such as "bottle, PaDiM, PRO".

    size: the resolution, if it is part of the name. Any but the paper's main one always is.
    """
    if not size and pd.notna(cell["image_size"]) and cell["image_size"] != RunConfig.image_size:
        size = f"{cell['image_size']:.0f} px"
    place = "" if cell["category"] in ("average", "normal") else cell["category"].replace("_", " ")
    data = "" if cell["dataset"] == MVTEC else title_of(cell["dataset"])
    method = "" if cell["method"] == "Ours" else cell["method"]
    return ", ".join(t for t in (data, place, method, size, metric_title(cell["metric"])) if t)


def digits_of(one: Evidence) -> int:
    """The decimals that a result is shown with, as printed."""
    return {"seconds_per_image": 2, "memory_mb": 0}.get(one.metric, 1)


def difference(one: Evidence) -> str:
    """How far a result is from the printed value, such as "0.8 points below"."""
    unit = {"seconds_per_image": " s", "memory_mb": " MiB"}.get(one.metric, " points")
    digits = digits_of(one)
    gap = round(one.ours - one.printed, digits)
    if gap == 0:
        return "as printed"
    return f"{abs(gap):.{digits}f}{unit} {'above' if gap > 0 else 'below'}"


def and_(words: Iterable[str]) -> str:
    """Words in a row: "a", "a and b", or "a, b and c"."""
    *most, last = [word.replace("_", " ") for word in words]
    return f"{', '.join(most)} and {last}" if most else last


def met_by_readings(found: Found) -> tuple[int, int]:
    """How many readings of the extension's Table 3 meet the printed interval, and of how many."""
    if found.columns.empty:
        return 0, 0
    said = found.columns["overlap"]
    met = int(said.eq("overlaps").sum())
    return met, met + int(said.eq("does not overlap").sum())


def steps_in_short(found: Found, table: str) -> str:
    """How many steps between the columns of Table 5, 6 or 7 are resolved, and which way, by data.

    Empty where fewer than two printed columns ran. For Table 7, one trained model is tested with
    several maps; models trained on fewer layers are left out.
    """
    parts = []
    for dataset in (MVTEC, embedded_twin(MVTEC)):
        order, categories = _order(found.runs, table, dataset)
        if len(order):
            embedded = DATASETS[dataset].embedded
            data = "the embedded images" if embedded else and_(categories)
            printed, against, open_ = (
                int(order[name].sum()) for name in (AS_PRINTED, AGAINST, UNRESOLVED)
            )
            parts.append(
                f"on {data}, {printed} of {printed + against + open_} steps go in the printed "
                f"direction, {against or 'none'} in the other, and {open_} are within noise"
            )
    return "; ".join(parts)


def _order(runs: pd.DataFrame, table: str, dataset: str) -> tuple[pd.DataFrame, list[str]]:
    """The result of `orders` for one data set, and the categories that have steps."""
    if runs.empty:
        return pd.DataFrame(), []
    whole = runs["train_layers"].map(tuple) == ALL_LAYERS
    own = runs[runs["dataset"].eq(dataset) & whole]
    stepped = [name for name, rows in own.groupby("category") if len(orders(rows, table))]
    return orders(own, table), stepped

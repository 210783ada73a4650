"""Tables 5-7 in shape: one protocol's variants beside each other, with intervals on each step."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from rdrepro.cells import BACKBONES, BOTTLENECKS, paper_cells, protocol_defaults
from rdrepro.config import ALL_LAYERS, RunConfig
from rdrepro.data.medical import MEDICAL_DATASETS
from rdrepro.stats import Summary, summary
from rdrepro.weights import LITE0, default_weights, find_weights

METRICS = {
    "image AUROC": ("image_auroc", "image_auroc"),
    "pixel AUROC": ("pixel_auroc", "pixel_auroc"),
    "PRO": ("pixel_aupro_official", "pro"),
}
# The fields in which the columns of a table differ.
VARIED = {
    "5": ("bottleneck",),
    "6": ("backbone", "weights", "oce_width"),
    "7": ("map_layers", "train_layers"),
}
READINGS = ("maps chosen at test time", "trained on these layers")
PAIR = ["category", "seed"]


def steps(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """Return Tables 5, 6 or 7 in shape: one line per protocol, column and metric, in percent.

    runs: lines of `load_runs`. Only clean rows count, paired by category and seed, wherever one
    protocol has two columns of the table or more. Columns: data, reading, column, metric, printed
    (an average over fifteen categories with its own teacher), n, over (seeds or categories), ours,
    low, high, and the change from the column before: change, change_low, change_high.
    """
    if runs.empty:
        return pd.DataFrame()
    rows = runs[runs["provenance.dirty"].eq(False) & runs["method"].eq("reverse_distillation")]
    # Other data sets' folds and columns stand in tables of their own.
    rows = rows[~rows["dataset"].isin(MEDICAL_DATASETS)]
    rows = rows.assign(
        map_layers=rows["map_layers"].map(tuple), train_layers=rows["train_layers"].map(tuple)
    )
    lines = []
    for reading, chosen in _readings(rows, table):
        same = [
            n for n in (*protocol_defaults(), "data_seed", "precision") if n not in VARIED[table]
        ]
        chosen = chosen.assign(column=chosen.apply(_column, axis="columns", table=table))
        for _, group in chosen.groupby([chosen[n].map(str) for n in same], sort=False):
            lines += _lines(group.drop_duplicates([*PAIR, "column"], keep="last"), table, reading)
    return pd.DataFrame(lines)


def _readings(rows: pd.DataFrame, table: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each reading of a table; only Table 7 has two (D25)."""
    if rows.empty:
        return
    if table != "7":
        yield "", rows
        return
    yield READINGS[0], rows[rows["train_layers"] == ALL_LAYERS]
    yield READINGS[1], rows[rows["train_layers"] == rows["map_layers"]]


def _column(row: pd.Series, table: str) -> str:
    """Return the printed column that a row stands for, or what it is where print has none."""
    if table == "7":
        return "M" + ",".join(map(str, row["map_layers"]))
    if table == "5":
        return {value: name for name, value in BOTTLENECKS.items()}[row["bottleneck"]]
    backbone, weights = row["backbone"], row["weights"]
    usual = find_weights(LITE0, default_weights(LITE0)).name if backbone == LITE0 else None
    named = backbone if weights == usual else f"{backbone}, {weights}"
    return printed_backbone(backbone, weights) or named


def printed_backbone(backbone: str, weights: str) -> str:
    """Return Table 6's column of a teacher with the paper's weights, else nothing."""
    names = {value: name for name, value in BACKBONES.items()}
    return names.get(backbone, "") if weights == RunConfig.weights else ""


def _balanced(values: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the repetitions that count, and what they are: "seeds" or "categories".

    Seeds that have every category; where fewer than two have, the categories of the fullest seed.
    """
    sizes = values.groupby("seed").size()
    full = sizes.index[sizes == values.index.get_level_values("category").nunique()]
    if len(full) > 1:
        return values[values.index.get_level_values("seed").isin(full)], "seeds"
    return values[values.index.get_level_values("seed") == sizes.idxmax()], "categories"


def _lines(group: pd.DataFrame, table: str, reading: str) -> Iterator[dict]:
    """Yield a protocol's lines, in the order of print and then of name."""
    cells = {(c.method, c.metric): c.value for c in paper_cells("rd4ad", table)}
    printed_order = list(dict.fromkeys(method for method, _ in cells))
    present = set(group["column"])
    order = [c for c in printed_order if c in present] + sorted(present - set(printed_order))
    if len(order) < 2:
        return
    for title, (key, printed) in METRICS.items():
        values = 100 * group.pivot(index=PAIR, columns="column", values=key).astype(float)
        values = values.dropna()  # only what every column has
        if values.empty:
            continue
        values, over = _balanced(values)
        level = {"seeds": "seed", "categories": "category"}[over]
        told = {"data": _data(group, values), "reading": reading, "metric": title, "over": over}
        for before, column in zip([None, *order], order, strict=False):
            ours = summary(values[column].groupby(level).mean())
            change = (values[column] - values[before]).groupby(level).mean() if before else []
            yield {
                **told,
                "column": column,
                "printed": cells.get((column, printed)),
                "n": ours.n,
                **dict(zip(("ours", "low", "high"), _three(ours), strict=True)),
                **dict(
                    zip(
                        ("change", "change_low", "change_high"),
                        _three(summary(change)),
                        strict=True,
                    )
                ),
            }


def _three(s: Summary) -> tuple[float, float, float]:
    return s.mean, s.low, s.high


def _data(group: pd.DataFrame, values: pd.DataFrame) -> str:
    """Return what a group of rows ran on."""
    first, categories = group.iloc[-1], values.index.get_level_values("category").unique()
    named = categories[0] if len(categories) == 1 else f"{len(categories)} categories"
    backbone = first["backbone"] if group["backbone"].nunique() == 1 else "teachers as named"
    return f"{first['dataset']} {named}, {backbone}, {first['epochs']} epochs"


def ablation_table(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """Return `steps` for reading: a line per protocol and column, each metric with its change."""
    lines = steps(runs, table)
    if lines.empty:
        return lines
    keys = ["data", "reading", "column"]
    shown = {}
    for title in METRICS:
        part = lines[lines["metric"] == title].set_index(keys)
        shown[title] = part.apply(lambda x: _with_interval(x["ours"], x["low"], x["high"]), axis=1)
        shown[f"{title}: change"] = part.apply(
            lambda x: _with_interval(x["change"], x["change_low"], x["change_high"], "+"), axis=1
        )
        shown[f"{title}: printed"] = part["printed"].astype(float).round(1)
    counts = lines.drop_duplicates(keys).set_index(keys)
    result = pd.DataFrame(shown)
    over = counts["n"].astype(str) + " " + counts["over"]
    result.insert(0, "over", over.where(counts["n"] > 1, "one run"))
    result = result.reindex(counts.index).reset_index()
    return result.loc[:, (result != "").any()]


def _with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    if pd.isna(value):
        return ""
    interval = "" if pd.isna(low) else f" [{low:{sign}.2f}, {high:{sign}.2f}]"
    return f"{value:{sign}.2f}{interval}"


def orders(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """Return, per protocol and metric, whether our columns order as printed, and how surely.

    "tied": no pair is turned and some of ours are equal; printed ties bind nothing. A step, from
    one printed column to the next, is sure where its 95 % interval leaves out 0.
    """
    lines = steps(runs, table)
    found = []
    keys = ["data", "reading", "metric"]
    for named, group in lines.groupby(keys, sort=False) if len(lines) else ():
        known = group[group["printed"].notna()]
        if len(known) < 2:
            continue
        direction = np.sign(known["printed"].diff())[1:]
        low, high = (known[c][1:] for c in ("change_low", "change_high"))
        up, down = (low > 0), (high < 0)
        sure = {
            "steps as printed": int(((direction > 0) & up | (direction < 0) & down).sum()),
            "steps against print": int(((direction > 0) & down | (direction < 0) & up).sum()),
        }
        sure["steps not resolved"] = len(direction) - sum(sure.values())
        ours = " < ".join(known.sort_values("ours", kind="stable")["column"])
        found.append(
            dict(zip(keys, named, strict=True)) | {"our order": ours, "order": _order(known)} | sure
        )
    result = pd.DataFrame(found)
    return result.loc[:, (result != "").any()] if len(result) else result


def _order(known: pd.DataFrame) -> str:
    pairs = combinations(zip(known["printed"], known["ours"], strict=True), 2)
    products = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in pairs if a[0] != b[0]]
    if min(products) < 0:
        return "differs"
    return "tied" if min(products) == 0 else "as printed"

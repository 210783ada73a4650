"""Tables 5-7: the variants that notebooks run, and how results change from column to column."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdrepro import registry
from rdrepro.backbones import LITE0, RANDOM, usual_weights
from rdrepro.config import ALL_LAYERS, OURS, RunConfig
from rdrepro.metric_names import BY_NAME, PRINTED_TITLES, ROW_METRIC
from rdrepro.runs.notebook import resolve_variants
from rdrepro.runs.resolve import resolve
from rdrepro.study.memo import remembered
from rdrepro.study.printed import (
    BACKBONES,
    BOTTLENECKS,
    load_printed,
    paper_cells,
    printed_values,
)
from rdrepro.study.selection import by_protocol, clean, newest
from rdrepro.study.stats import ROUNDING, Summary, summary
from rdrepro.study.tiers import kind_of, tier_of
from rdrepro.study.titles import data_title
from rdrepro.study.wording import network
from rdrepro.text import one_of

if TYPE_CHECKING:
    from rdrepro.runs.execute import Outcome
    from rdrepro.runs.run import Run

# The columns of Tables 5 and 7, as printed, and what each changes.
BOTTLENECK_VARIANTS = {name: {"bottleneck": value} for name, value in BOTTLENECKS.items()}
TABLE_7 = {"M1": "1", "M2": "2", "M3": "3", "M2,3": "2,3", "M1,2,3": "1,2,3"}
READINGS = ("test", "train", "both")  # of Table 7
TRAINED = " (trained)"  # follows the printed name where these layers were trained
LIMITATIONS_SIZE = 128  # pixels; Sec. 4.1, "Limitations"
SMALLER = f"M1,2,3, {LIMITATIONS_SIZE} px"  # the run at that size
# The fields in which the columns of a table differ.
VARIED = {
    "5": ("bottleneck",),
    "6": ("backbone", "weights", "oce_width"),
    "7": ("map_layers", "train_layers"),
}
READING_TITLES = ("maps chosen at test time", "trained on these layers")
PAIR = ["category", "seed"]
PROTOCOL = ["data", "reading"]  # of the lines of `steps`
AS_PRINTED, AGAINST = "steps as printed", "steps against the printed order"
UNRESOLVED = "steps not resolved"


def layer_variants(reading: str = "test") -> dict[str, dict[str, Any]]:
    """The columns of Table 7 as variants: the settings that each column changes.

    reading: how the table is understood (D25). With "test", one trained model is tested with the
    maps of the column's layers. With "train", a model is trained on the column's layers. "both"
    gives both kinds of variants. Raises ValueError for another reading.
    """
    if reading not in READINGS:
        raise ValueError(f"reading={reading!r} is not {one_of(READINGS)}")
    chosen = {name: {"map_layers": layers} for name, layers in TABLE_7.items()}
    whole = {"M1,2,3": chosen.pop("M1,2,3")}
    trained = {
        name + TRAINED: {"train_layers": layers, "map_layers": layers}
        for name, layers in TABLE_7.items()
        if name not in whole
    }
    parts = {"test": chosen, "train": trained, "both": chosen | trained}
    return parts[reading] | whole


def backbone_variants(backbones: str | None, synthetic: bool) -> dict[str, dict[str, Any]]:
    """A variant per backbone, from names separated by commas, each NAME or NAME=WEIGHTS.

    The default is Table 6's three backbones. On embedded data, which need no download, it is the
    shipped backbone with its own and with random weights. ValueError for an empty name or one given
    twice.
    """
    usual = f"{LITE0},{LITE0}={RANDOM}" if synthetic else ",".join(BACKBONES.values())
    variants = {}
    for word in str(usual if backbones is None else backbones).split(","):
        name, _, weights = (part.strip() for part in word.partition("="))
        label = f"{name}, {Path(weights).name}" if weights else name
        if not name or label in variants:
            raise ValueError(
                f"backbones={backbones!r}: the name {label!r} is empty or repeated; "
                "give each backbone once, with commas between"
            )
        variants[label] = {"backbone": name} | ({"weights": weights} if weights else {})
    return variants


def resolve_backbones(namespace: dict[str, Any]) -> dict[str, "Run"]:
    """The runs of 05_backbones' parameters, one per teacher; see `backbone_variants`."""
    places = {name: namespace.get(name) for name in ("preset", "category", "data_root")}
    dataset = resolve(**places, weights=RANDOM).config.dataset
    synthetic = registry.DATASETS[dataset].drawn
    variants = backbone_variants(namespace.get("backbones"), synthetic)
    return resolve_variants(namespace, variants, own=["backbones"])


def limitations_runs(runs: Mapping[str, "Run"]) -> dict[str, "Run"]:
    """The run that the check of Sec. 4.1, "Limitations", adds to those of Table 7.

    runs: those of Table 7. The added run has 128 pixels. It exists only for transistor, and only if
    the others have another resolution.
    """
    whole = runs["M1,2,3"]
    if whole.config.category != "transistor" or whole.config.image_size == LIMITATIONS_SIZE:
        return {}
    smaller = replace(whole, config=replace(whole.config, image_size=LIMITATIONS_SIZE))
    if registry.DATASETS[whole.config.dataset].drawn:
        from rdrepro.synthetic.drawing_up import drawing_name  # loads the drawing code

        root = whole.data_root.with_name(drawing_name(whole.config.data_seed, LIMITATIONS_SIZE))
        smaller = replace(smaller, data_root=root)
    return {SMALLER: smaller}


def variants_table(outcomes: Mapping[str, "Outcome"], table: str) -> pd.DataFrame:
    """The metrics of each variant in percent, with its printed values if the data set has any.

    Printed values are averages over fifteen categories with the paper's teacher. They show a
    direction and are not comparable as numbers.
    """
    cells = printed_values("rd4ad", table, "method", "metric")
    shown = {**PRINTED_TITLES, BY_NAME["pixel_aupro"].title: "pixel_aupro"}
    lines = {}
    for name, outcome in outcomes.items():
        metrics, config = outcome.row["metrics"], outcome.run.config
        lines[name] = {title: _percent(metrics[key]) for title, key in shown.items()}
        lines[name]["trained (millions)"] = outcome.row["counts"]["trainable_parameters"] / 1e6
        for metric in ROW_METRIC if registry.DATASETS[config.dataset].tables else ():
            title = BY_NAME[ROW_METRIC[metric]].title
            column = name.removesuffix(TRAINED)
            if table == "6":
                column = printed_backbone(config.backbone, config.weights)
            lines[name][f"{title}, printed average"] = cells.get((column, metric))
    return pd.DataFrame(lines).T.astype(float).round(2)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def limitations_table(outcomes: Mapping[str, "Outcome"]) -> pd.DataFrame:
    """The pixel AUROC in the check of Sec. 4.1, "Limitations", on transistor: ours and printed.

    outcomes: those of Table 7 and of `limitations_runs`. Values are in percent. For other
    categories the table is empty.
    """
    if all(outcome.run.config.category != "transistor" for outcome in outcomes.values()):
        return pd.DataFrame(columns=["pixel AUROC", "printed"])
    text = load_printed("text")
    passage = text[(text["section"] == "4.1-limitations") & (text["metric"] == "pixel_auroc")]
    printed = passage.set_index(["method", "image_size"])["value"].to_dict()
    lines = {}
    for name in (n for n in ("M1,2,3", "M2,3", "M3", SMALLER) if n in outcomes):
        outcome = outcomes[name]
        config = outcome.run.config
        key = (name if name in TABLE_7 else "Ours", config.image_size)
        value = printed.get(key) if registry.DATASETS[config.dataset].tables else None
        ours = 100 * outcome.row["metrics"]["pixel_auroc"]
        layers = ",".join(map(str, config.map_layers))
        lines[f"M{layers}, {config.image_size} px"] = {"pixel AUROC": ours, "printed": value}
    return pd.DataFrame.from_dict(lines, orient="index", dtype=float).round(2)


@remembered
def steps(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """How our metrics change from column to column of Table 5, 6 or 7, in percent.

    runs: lines of `load_runs`. Only clean rows count (see `selection.clean`), and only protocols
    that ran at least two columns of the table. Rows are paired by category and seed.

    There is a line per protocol, column and metric, with these columns: data, tier, reading,
    column, metric; printed (an average over fifteen categories with the paper's teacher); n and
    over (how many seeds or categories); ours, low, high; and the change from the column before:
    change, change_low, change_high.
    """
    if runs.empty:
        return pd.DataFrame()
    rows = clean(runs)
    rows = rows[rows["method"].eq(OURS)]
    # Medical data sets have tables of their own.
    rows = rows[~rows["dataset"].isin(registry.of_family(registry.MEDICAL))]
    rows = rows.assign(
        map_layers=rows["map_layers"].map(tuple), train_layers=rows["train_layers"].map(tuple)
    )
    lines = []
    for reading, chosen in _readings(rows, table):
        varied = chosen[list(VARIED[table])].to_dict("records")
        chosen = chosen.assign(column=[_column(row, table) for row in varied])
        for group in by_protocol(chosen, ["data_seed", "precision"], VARIED[table]):
            if group["column"].nunique() > 1:
                lines += _lines(newest(group, *PAIR, "column"), table, reading)
    return pd.DataFrame(lines)


def _readings(rows: pd.DataFrame, table: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the name and the rows of each way to read a table. Only Table 7 has two (D25)."""
    if rows.empty:
        return
    if table != "7":
        yield "", rows
        return
    yield READING_TITLES[0], rows[rows["train_layers"] == ALL_LAYERS]
    yield READING_TITLES[1], rows[rows["train_layers"] == rows["map_layers"]]


def _column(row: Mapping[str, Any], table: str) -> str:
    """The printed column to which a row belongs, or a name for it if the paper prints none."""
    if table == "7":
        return "M" + ",".join(map(str, row["map_layers"]))
    if table == "5":
        return {value: name for name, value in BOTTLENECKS.items()}[row["bottleneck"]]
    backbone, weights = row["backbone"], row["weights"]
    named = _of_table_6(row) or network(backbone)
    if weights != usual_weights(backbone):
        named += ", random" if weights == RANDOM else f", weights {weights.split(':')[-1][:8]}"
    return named


def _of_table_6(row: Mapping[str, Any]) -> str:
    """Table 6's column for a row's teacher with trained weights of any source; "" for others."""
    names = {value: name for name, value in BACKBONES.items()}
    return "" if row["weights"] == RANDOM else names.get(row["backbone"], "")


def printed_backbone(backbone: str, weights: str) -> str:
    """Table 6's column for a teacher with the paper's weights; empty for any other teacher."""
    names = {value: name for name, value in BACKBONES.items()}
    return names.get(backbone, "") if weights == RunConfig.weights else ""


def _balanced(values: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The values to average, and over what they repeat: "seeds" or "categories".

    These are the values of all seeds that have every category. If there are fewer than two such
    seeds, they are the values of the one seed that has the most categories.
    """
    sizes = values.groupby("seed").size()
    full = sizes.index[sizes == values.index.get_level_values("category").nunique()]
    if len(full) > 1:
        return values[values.index.get_level_values("seed").isin(full)], "seeds"
    return values[values.index.get_level_values("seed") == sizes.idxmax()], "categories"


def _lines(group: pd.DataFrame, table: str, reading: str) -> Iterator[dict]:
    """Yield a protocol's lines of `steps`.

    Printed columns come in their printed order, then the others by name.
    """
    cells = printed_values("rd4ad", table, "method", "metric")
    printed_order = list(dict.fromkeys(method for method, _ in cells))
    first = {column: own.iloc[-1] for column, own in group.groupby("column")}
    column_of = {
        column: _of_table_6(row) if table == "6" else column for column, row in first.items()
    }
    places = {name: place for place, name in enumerate(printed_order)}
    order = sorted(first, key=lambda c: (places.get(column_of[c], len(places)), c))
    for printed, key in ROW_METRIC.items():
        title = BY_NAME[key].title
        values = 100 * group.pivot(index=PAIR, columns="column", values=key).astype(float)
        values = values.dropna()  # only what every column has
        if values.empty:
            continue
        values, over = _balanced(values)
        level = {"seeds": "seed", "categories": "category"}[over]
        shared = {"data": _data(group, values), "reading": reading}
        shared |= {"metric": title, "over": over}
        ran = values.index.get_level_values("category")
        for before, column in zip([None, *order], order, strict=False):
            ours = summary(values[column].groupby(level).mean())
            change = (values[column] - values[before]).groupby(level).mean() if before else []
            yield {
                **shared,
                "tier": _tier(first[column], table, column_of[column], ran),
                "column": column,
                "printed": cells.get((column_of[column], printed)),
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


def _tier(row: pd.Series, table: str, column: str, categories: Collection[str]) -> str:
    """The tier of a column. One that is not printed is compared with the first that is.

    row: one of the column's. column: as printed. categories: those that its values average over.
    """
    cells = paper_cells("rd4ad", table)
    cell = next((cell for cell in cells if cell.method == column), None)
    # Of Table 6 only the teacher itself may differ, and `cell` has it.
    ignored = VARIED[table] if cell and table != "6" else ()
    return tier_of(row, cell or cells[0], ignored, categories)


def _three(s: Summary) -> tuple[float, float, float]:
    return s.mean, s.low, s.high


def _data(group: pd.DataFrame, values: pd.DataFrame) -> str:
    """A text that describes the data, the teacher and the epochs of a group of rows."""
    first, categories = group.iloc[-1], values.index.get_level_values("category").unique()
    several = group["backbone"].nunique() > 1
    teacher = "several teachers" if several else network(first["backbone"])
    return f"{data_title(first['dataset'], categories)}, {teacher}, {first['epochs']} epochs"


def ablation_table(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """The result of `steps` as a table to read.

    It has a line per protocol and column, with each metric and its change.
    """
    lines = steps(runs, table)
    if lines.empty:
        return lines
    keys = ["data", "reading", "column"]
    shown = {}
    for title in PRINTED_TITLES:
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
    result.insert(1, "tier", counts["tier"])
    result = result.reindex(counts.index).reset_index()
    return result.loc[:, (result != "").any()]


def _with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    if pd.isna(value):
        return ""
    interval = "" if pd.isna(low) else f" [{low:{sign}.2f}, {high:{sign}.2f}]"
    return f"{value:{sign}.2f}{interval}"


def shape_tables(lines: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a description of each protocol of `steps` and its table to read.

    A table has a line per column of the printed table and, for each metric, the printed value, ours
    and the change from the column before with its 95 % interval.
    """
    for _, part in lines.groupby(PROTOCOL, sort=False) if len(lines) else ():
        first = part.iloc[0]
        over = f"mean over {first['n']} {first['over']}" if first["n"] > 1 else "one run"
        tiers = list(dict.fromkeys(map(kind_of, part["tier"])))
        parts = [first["data"], first["reading"], over, f"tier: {' and '.join(tiers)}"]
        columns = {}
        for metric, group in part.groupby("metric", sort=False):
            group = group.set_index("column")
            columns[metric, "printed"] = [
                "-" if pd.isna(value) else f"{value:.1f}" for value in group["printed"]
            ]
            columns[metric, "ours"] = group["ours"].map("{:.1f}".format)
            columns[metric, "change [95 % interval]"] = [
                _with_interval(*change, "+")
                for change in group[["change", "change_low", "change_high"]].to_numpy(float)
            ]
        table = pd.DataFrame(columns, index=pd.Index(part["column"].unique(), name="column"))
        yield "; ".join(filter(None, parts)), table


def orders(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """Whether our columns have the printed order; see `orders_of`.

    runs: lines of `load_runs`. table: "5", "6" or "7".
    """
    return orders_of(steps(runs, table))


def orders_of(lines: pd.DataFrame) -> pd.DataFrame:
    """Whether our columns have the printed order, by protocol and metric, and how certain that is.

    lines: from `steps`.

    The order is "tied" if no pair is reversed but some of our values are equal. Columns with equal
    printed values may come in any order. A step leads from one printed column to the next. It is
    resolved if the 95 % interval of our change excludes 0.
    """
    found = []
    keys = [*PROTOCOL, "metric"]
    for named, group in lines.groupby(keys, sort=False) if len(lines) else ():
        known = group[group["printed"].notna()]
        if known["printed"].nunique() < 2:
            continue
        direction = np.sign(known["printed"].diff())[1:]
        low, high = (known[c][1:] for c in ("change_low", "change_high"))
        up, down = (low > 0), (high < 0)
        sure = {
            AS_PRINTED: int(((direction > 0) & up | (direction < 0) & down).sum()),
            AGAINST: int(((direction > 0) & down | (direction < 0) & up).sum()),
        }
        sure[UNRESOLVED] = len(direction) - sum(sure.values())
        own = {"our order": _rising(known), "order": _order(known)}
        found.append(dict(zip(keys, named, strict=True)) | own | sure)
    result = pd.DataFrame(found)
    return result.loc[:, (result != "").any()] if len(result) else result


def _rising(known: pd.DataFrame) -> str:
    """The columns by our values from the lowest, joined by "<", and by "=" where they are equal."""
    rising = known.sort_values("ours", kind="stable")
    signs = ["", *np.where(rising["ours"].diff()[1:] > ROUNDING, " < ", " = ")]
    return "".join(sign + column for sign, column in zip(signs, rising["column"], strict=True))


def steps_in_words(order: pd.DataFrame) -> list[str]:
    """Sentences on what a table's steps show, one for each protocol.

    order: from `orders_of`.
    """
    keys = [key for key in PROTOCOL if key in order]
    return [
        f"{', '.join(filter(None, named))}: {counted(part)}. {_ordered(part)}"
        for named, part in (order.groupby(keys, sort=False) if len(order) else ())
    ]


def counted(order: pd.DataFrame) -> str:
    """How many steps are resolved, in which direction, as text."""
    printed, against, open_ = (int(order[name].sum()) for name in (AS_PRINTED, AGAINST, UNRESOLVED))
    return (
        f"of {printed + against + open_} steps, {printed} go in the printed direction, {against} "
        f"in the other, and {open_} {'is' if open_ == 1 else 'are'} not resolved"
    )


def _ordered(order: pd.DataFrame) -> str:
    """Which metrics have the printed order, as a sentence."""
    kept = list(order.loc[order["order"] == "as printed", "metric"])
    if len(kept) == len(order):
        return "All metrics have the printed order."
    if not kept:
        return "No metric has the printed order."
    return f"Only {' and '.join(kept)} {'has' if len(kept) == 1 else 'have'} the printed order."


def _order(known: pd.DataFrame) -> str:
    pairs = combinations(zip(known["printed"], known["ours"], strict=True), 2)
    products = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in pairs if a[0] != b[0]]
    if min(products) < 0:
        return "differs"
    return "tied" if min(products) == 0 else "as printed"

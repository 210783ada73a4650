"""Tables: metrics in percent, beside the numbers that the paper prints."""

from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import ttest_1samp

from rdrepro import paths
from rdrepro.config import protocol_differences
from rdrepro.data.mvtec import MVTEC_CATEGORIES
from rdrepro.resolve import Run
from rdrepro.results import load_runs, schema

# What the paper prints for a category, and where; its PRO is the official formula's.
PRINTED_METRICS = {
    "image_auroc": ("1", "image_auroc"),
    "pixel_auroc": ("2", "pixel_auroc"),
    "pixel_aupro_official": ("2", "pro"),
}


def printed(table: str, category: str, metric: str, image_size: int) -> float | None:
    """Return the paper's own result in percent (method "Ours"), or None where none is printed."""
    file = paths.PAPER / "rd4ad.csv"
    if not file.is_file():
        return None
    rows = pd.read_csv(file, dtype={"table": str}).query(
        "table == @table and category == @category and metric == @metric "
        "and image_size == @image_size and method == 'Ours'"
    )
    return float(rows["value"].iloc[0]) if len(rows) else None


def beside_print(metrics: dict[str, float], run: Run) -> pd.DataFrame:
    """Return every metric in percent, beside the paper's number where it prints one.

    Embedded data have no number beside them. A difference is no verdict: one seed gives none.
    """
    real = run.config.dataset == "mvtec"
    rows = []
    for name, value in metrics.items():
        table, metric = PRINTED_METRICS.get(name, ("", ""))
        cell = (table, run.config.category, metric, run.config.image_size)
        paper = printed(*cell) if real and table else None
        rows.append({"metric": name, "ours (%)": 100 * value, "paper (%)": paper})
    result = pd.DataFrame(rows).set_index("metric")
    result["paper (%)"] = result["paper (%)"].astype(float)
    result["difference"] = result["ours (%)"] - result["paper (%)"]
    return result.round(1).dropna(axis="columns", how="all")


def protocol_table(run: Run) -> pd.DataFrame:
    """Return each setting in which a run leaves the paper's protocol; empty where none does."""
    rows = [(name, *map(str, values)) for name, values in protocol_differences(run.config).items()]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


# Switches whose effect DEVIATIONS.md states, by entry: a field and its other value.
SWITCHES: dict[str, tuple[str, Any]] = {
    "D1": ("loss_reduction", "pointwise"),
    "D2": ("mff_projection", True),
    "D14": ("align_corners", False),
    "D15": ("map_combine", "product"),
    "D18": ("label_source", "mask"),
    "D19": ("mask_threshold", 0.0),
    "E4": ("teacher_bn", "batch"),
    "O1": ("precision", "float32"),
}
EFFECT_METRICS = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "pixel_aupro": "AUPRO",
}


def effects(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each switch changes, in points: mean over seeds and 95 % t-interval.

    runs: rows of one protocol per (dataset, backbone), paired by seed; categories are averaged
    before seeds are compared. An interval that holds 0 is "not resolvable on the data at hand".
    """
    rows = []
    for (dataset, backbone), group in runs.groupby(["dataset", "backbone"]):
        # A field that does not vary here was not measured here.
        varied = {k: v for k, v in SWITCHES.items() if group[v[0]].nunique() > 1}
        base = _with(group, varied, None)
        for entry, (field, value) in varied.items():
            changed = _with(group, varied, entry)
            difference = 100 * (_by_seed(changed) - _by_seed(base)).dropna()
            cells = {title: _interval(difference[m]) for m, title in EFFECT_METRICS.items()}
            data = f"{dataset} ({changed['category'].nunique()}), {backbone}"
            named = {"entry": entry, "switch": f"`{field}={value}`", "data": data}
            rows.append(named | {"seeds": len(difference)} | cells)
    return pd.DataFrame(rows)


def _with(
    runs: pd.DataFrame, switches: dict[str, tuple[str, Any]], entry: str | None
) -> pd.DataFrame:
    """Return the rows in which this switch, and no other, has its other value."""
    chosen = pd.Series(True, index=runs.index)
    for name, (field, value) in switches.items():
        chosen &= (runs[field] == value) == (name == entry)
    return runs[chosen]


def _by_seed(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.groupby("seed")[list(EFFECT_METRICS)].mean()


def _interval(differences: pd.Series) -> str:
    if differences.nunique() == 1:
        return f"{differences.iloc[0]:+.2f} (all seeds)"
    interval = ttest_1samp(differences, 0).confidence_interval(0.95)
    return f"{differences.mean():+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def embedded_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of the embedded benchmark, in percent, by category and on average."""
    table = runs.drop_duplicates("category", keep="last").set_index("category")
    table = 100 * table.loc[list(MVTEC_CATEGORIES), list(EFFECT_METRICS)]
    table.loc["mean"] = table.mean()
    return table.rename(columns=EFFECT_METRICS).round(1).reset_index()


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def generated_blocks(runs_dir: Path) -> dict[str, str]:
    """Return what README.md and DEVIATIONS.md generate from rows, by the name of its block."""
    demo = load_runs(runs_dir / "readme").iloc[-1]
    return {
        "demo": f"```\n{row_table(demo)}\n```",
        "embedded": markdown(embedded_table(load_runs(runs_dir / "embedded"))),
        "effects": markdown(effects(load_runs(runs_dir / "deviations"))),
    }


def fill_block(text: str, name: str, content: str) -> str:
    """Return a text with what stands between the marks of a block replaced."""
    marks = f"<!-- {name}: made by `make tables` -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return f"{before}{marks[0]}{content}{marks[1]}{after}" if rest else text


def row_table(row: pd.Series) -> pd.DataFrame:
    """Return the metrics of one row of `load_runs`, in percent."""
    names = list(schema()["properties"]["metrics"]["properties"])
    table = (100 * row[names].astype(float)).round(1).to_frame("%")
    table.index.name = f"{row['category']} ({row['dataset']})"
    return table


def latest_row() -> pd.DataFrame:
    """Return the metrics, in percent, of the newest row on embedded data."""
    rows = load_runs(paths.results_dir() / "demo")
    if rows.empty:
        raise FileNotFoundError("there is no row on embedded data yet; run `make demo`")
    return row_table(rows.iloc[-1])

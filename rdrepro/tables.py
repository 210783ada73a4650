"""Tables: metrics in percent, beside the numbers that the paper prints."""

import sys
from dataclasses import asdict, fields

import pandas as pd

from rdrepro import paths
from rdrepro.config import RunConfig
from rdrepro.resolve import BANNER, Run
from rdrepro.results import load_runs, schema

# What the paper prints for a category, and where; its PRO is the official formula's.
PRINTED_METRICS = {
    "image_auroc": ("1", "image_auroc"),
    "pixel_auroc": ("2", "pixel_auroc"),
    "pixel_aupro_official": ("2", "pro"),
}
# Fields that a printed number does not fix: the seed is free, the precision a footnote.
FREE_FIELDS = ("category", "seed", "data_seed", "precision", "eval_every")


def printed(table: str, category: str, metric: str, image_size: int = 256) -> float | None:
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
    """Return every metric in percent beside the paper's number for the category.

    Embedded data have no number beside them. A difference is no verdict: one seed gives none.
    """
    real = run.config.dataset == "mvtec"
    rows = []
    for name, value in metrics.items():
        table, metric = PRINTED_METRICS.get(name, ("", ""))
        paper = printed(table, run.config.category, metric) if real and table else None
        rows.append({"metric": name, "ours (%)": 100 * value, "paper (%)": paper})
    result = pd.DataFrame(rows).set_index("metric")
    result["paper (%)"] = result["paper (%)"].astype(float)
    result["difference"] = result["ours (%)"] - result["paper (%)"]
    return result.round(1)


def protocol_differences(config: RunConfig) -> list[str]:
    """Return, as "epochs=20 (paper 200)", each setting that leaves the paper's protocol."""
    default = {f.name: f.default for f in fields(RunConfig)}
    return [
        f"{name}={value} (paper {default[name]})"
        for name, value in asdict(config).items()
        if name not in FREE_FIELDS and value != default[name]
    ]


def latest_row() -> pd.DataFrame:
    """Return the metrics, in percent, of the newest row on embedded data."""
    rows = load_runs(paths.results_dir() / "demo")
    if rows.empty:
        raise FileNotFoundError("there is no row on embedded data yet; run `make demo`")
    last = rows.iloc[-1]
    names = list(schema()["properties"]["metrics"]["properties"])
    table = (100 * last[names].astype(float)).round(1).to_frame("%")
    table.index.name = f"{last['category']} ({last['dataset']})"
    return table


if __name__ == "__main__":
    sys.stdout.write(f"{BANNER}\n{latest_row()}\n")

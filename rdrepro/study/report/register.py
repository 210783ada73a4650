"""Notebook 14: how often intervals contain the truth, deviations, claims, and what is left over."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from rdrepro import paths
from rdrepro.study import claims, coverage, deviations
from rdrepro.study.html_tables import html_table
from rdrepro.study.tables import beside_table
from rdrepro.study.wording import network

OFF = "off by more than 2 points"
# The columns of `coverage_table` as readers see them.
COVERAGE_TITLES = {
    "interval": "interval",
    "shown": "used for",
    "holds": "should contain the truth for",
    "regime": "simulated data",
    "nominal": "level (%)",
    "coverage": "contains it (%)",
    "width": "mean width",
    OFF: OFF,
}
# Rows whose settings notebook 13 compares with each other.
OF_ABLATIONS = "bottleneck=|_layers="
SMALL = "small-backbones"


def coverage_table() -> pd.DataFrame:
    """How often simulated intervals contain the truth; those far from their level are marked."""
    table = pd.read_csv(paths.ROOT / "results" / "coverage.csv")
    off = (table["coverage"] - table["nominal"]).abs() > 0.02
    return table.assign(**{OFF: np.where(off, "outside", "")})


def readable_coverage(table: pd.DataFrame) -> pd.DataFrame:
    """The result of `coverage_table` in percent, with column names to read."""
    shares = ["nominal", "coverage", "width"]
    percent = (100 * table[shares]).map("{:.1f}".format)
    return table.assign(**percent)[list(COVERAGE_TITLES)].rename(columns=COVERAGE_TITLES)


def coverage_in_words(table: pd.DataFrame) -> Markdown:
    """What the simulations found: a sentence, a list and the reasons."""
    found, *rest = coverage.in_words(table)
    named = [f"- {text}" for text in rest if text.startswith("*")]
    why = [text for text in rest if not text.startswith("*")]
    return Markdown("\n\n".join(filter(None, [found, "\n".join(named), " ".join(why)])))


def in_short(measured: pd.DataFrame, claimed: pd.DataFrame, simulated: pd.DataFrame) -> Markdown:
    """What notebook 14 found: claims, deviations and intervals in a sentence each.

    The arguments are from `measured_effects`, `claims_table` and `coverage_table`.
    """
    counted, *_ = coverage.in_words(simulated)
    parts = [
        claims.claims_in_words(claimed),
        deviations.effects_in_words(measured),
        counted.rstrip(":") + ("." if counted.endswith(":") else ""),
    ]
    return Markdown("\n".join(f"- {part}" for part in parts))


def registers(measured: pd.DataFrame) -> Iterator[HTML]:
    """Yield the parts of the register of deviations."""
    for part, title in deviations.REGISTER_TITLES.items():
        yield html_table(deviations.register(measured, part), f"{title}.", prose=True)


def claim_tables(claimed: pd.DataFrame) -> Iterator[HTML]:
    """Yield the claims by verdict, misses first; long parts without values of ours are folded."""
    for title, part in claims.claims_by_verdict(claimed).items():
        none = "no claim."
        fold = title in claims.FOLDED_PARTS
        yield html_table(part, "", prose=True, fold=fold, empty=none, title=title)


def other_protocols(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs on real data whose protocol no printed cell has, without those shown in notebook 13."""
    table = beside_table(runs)
    if "differs in" not in table:
        return table
    compared = table["study"].eq(SMALL) & table["differs in"].str.contains(OF_ABLATIONS)
    return table[~compared].reset_index(drop=True)


def readable_protocols(others: pd.DataFrame) -> pd.DataFrame:
    """The result of `other_protocols` with a line for each protocol and a block for each metric."""
    if others.empty:
        return others
    keys = ["study", "category", "teacher", "px", "epochs", "also changed", "seeds"]
    named = others.assign(teacher=others["backbone"].map(network))
    changed = others.get("differs in", pd.Series("", others.index))
    named["also changed"] = changed.str.replace(r"sha256:(\w{8})\w*", r"\1", regex=True)
    keys = [key for key in keys if key != "px" or named["px"].nunique() > 1]
    lines = []
    for values, part in named.groupby(keys, sort=False):
        line = {("", key): value for key, value in zip(keys, values, strict=True)}
        for _, one in part.iterrows():
            printed = "-" if pd.isna(one["printed"]) else f"{one['printed']:.1f}"
            line[one["metric"], "printed"] = printed
            line[one["metric"], "ours [95 %]"] = f"{one['ours']:.1f} {one['interval']}".strip()
        lines.append(line)
    table = pd.DataFrame(lines).fillna("-")
    return table.set_axis(pd.MultiIndex.from_tuples(table.columns), axis="columns")

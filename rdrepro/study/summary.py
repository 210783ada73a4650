"""What the study found: two short tables and, from `in_short`, sentences; from rows alone."""

import pandas as pd

from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study.evidence import TABLES, Evidence, metric_title
from rdrepro.study.formats import interval
from rdrepro.study.found import (
    Found,
    and_,
    difference,
    digits_of,
    find,
    met_by_readings,
    rank,
    shown,
    steps_in_short,
    table_title,
)
from rdrepro.study.in_short import in_short, where_it_stands
from rdrepro.study.printed import COSTS
from rdrepro.study.tables import title_of
from rdrepro.study.tiers import EMBEDDED, NOT_RUN, PRINTED_PROTOCOL, REDUCED, highest
from rdrepro.study.wording import device

__all__ = ["at_a_glance", "headline_rows", "in_short", "where_it_stands"]

MOST_ROWS = 8
CLAIMS = {
    ("rd4ad", "1"): "detects defective images better than earlier methods",
    ("rd4ad", "2"): "localises defects better than earlier methods",
    ("rd4ad", "3"): "needs less time and memory than methods with a memory bank",
    ("rd4ad", "4"): "detects images of unknown classes",
    ("rd4ad", "5"): "each part of the bottleneck helps",
    ("rd4ad", "6"): "a larger teacher helps",
    ("rd4ad", "7"): "the maps of several layers are better than one",
    ("rkd_medical", "1"): "localises defects on textures",
    ("rkd_medical", "2"): "localises defects on objects",
    ("rkd_medical", "3"): "detects anomalies in medical images, and more with new losses",
    ("rkd_medical", "4"): "the loss L_MKD helps on textures",
}


# The outcome of a table without any result that is near its protocol, by the highest tier.
WITHOUT_EVIDENCE = {
    PRINTED_PROTOCOL: "no value of the paper's own method",
    REDUCED: "no run near the printed protocol",
    EMBEDDED: "only embedded images ran",
    NOT_RUN: "not tested",
}


def headline_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """One result of ours for each printed table that has any, at most eight.

    runs: lines of `load_runs`.

    The result is chosen by rule and never by its value: the highest tier first, then the largest
    share of the printed epochs, then the paper's main image size, then the most seeds, then the
    first name, then the fewest differences from the printed protocol. Where more than eight tables
    have a result, the same rule chooses among them.

    Columns: table, what, printed, ours, 95 % interval, what differs (from the printed protocol).
    Values are in percent or points; in Table 3 in seconds or MiB.
    """
    found = find(runs)
    chosen = {key: found.best(key) for key in TABLES if found.evidence[key]}
    kept = sorted(chosen, key=lambda key: rank(chosen[key]))[:MOST_ROWS]
    lines = [_headline(key, chosen[key]) for key in chosen if key in kept]
    names = ["table", "what", "printed", "ours", "95 % interval", "what differs"]
    return pd.DataFrame(lines, columns=names)


def _headline(key: tuple[str, str], one: Evidence) -> dict[str, str]:
    sign, digits = "+" if one.signed else "", digits_of(one)
    is_cost = one.metric in COSTS
    return {
        "table": table_title(*key),
        "what": one.what,
        "printed": f"{one.printed:{sign}.{digits}f}",
        "ours": f"{one.ours:{sign}.{digits}f}",
        "95 % interval": interval(one.low, one.high, digits) or "-",
        "what differs": one.differs + ("; one seed" if one.seeds == 1 and not is_cost else ""),
    }


def at_a_glance(runs: pd.DataFrame) -> pd.DataFrame:
    """A line for each printed table: claim, scope, tier, hardware, hours and outcome.

    runs: lines of `load_runs`.

    Scope and tier are those of the runs on real data by the paper's own method. Hours are those of
    training and testing behind them. A run that serves several tables counts in each.
    """
    found = find(runs)
    names = ["claim", "scope", "tier", "hardware", "hours", "outcome"]
    return pd.DataFrame([_glance(found, key) for key in TABLES], columns=names)


def _glance(found: Found, key: tuple[str, str]) -> dict[str, str]:
    line = {"claim": f"{table_title(*key)}: {CLAIMS[key]}"}
    if not found.evidence[key]:
        blank = dict.fromkeys(("scope", "hardware", "hours"), "-")
        tier = _tier(found, key)
        return line | blank | {"tier": tier, "outcome": WITHOUT_EVIDENCE[tier]}
    files = {file for one in found.evidence[key] for file in one.files}
    rows = found.runs[found.runs["file"].isin(files)]
    hardware = sorted({device(name) for name in rows["provenance.device"]})
    return line | {
        "scope": _scope(found.evidence[key], rows),
        "tier": found.best(key).tier,
        "hardware": and_(hardware),
        "hours": hours_in_words(hours(rows)),
        "outcome": _outcome(found, key),
    }


def _tier(found: Found, key: tuple[str, str]) -> str:
    """The highest tier of a table's cells."""
    cells = found.cells
    own = cells[cells["paper"].eq(key[0]) & cells["table"].eq(key[1])] if len(cells) else cells
    return highest(own["tier"]) if len(own) else NOT_RUN


def hours(rows: pd.DataFrame) -> float:
    """The hours of training and testing behind rows. A student that was reused counts once."""
    trained = rows.loc[rows["provenance.student_reused"].eq(False), "cost.train_seconds"]
    return float(trained.sum() + rows["cost.predict_seconds"].sum()) / 3600


def hours_in_words(value: float) -> str:
    """Hours with one decimal, as text."""
    return f"{value:.1f}" if value >= 0.05 else "under 0.1"


def _scope(found: list[Evidence], rows: pd.DataFrame) -> str:
    """The data that ran."""
    if all(one.metric in COSTS for one in found):
        return "one image at a time"
    names = sorted(title_of(name) for name in set(rows["dataset"]))
    categories = [name for name in MVTEC_CATEGORIES if name in set(rows["category"])]
    if not categories:
        return and_(names)
    return f"{len(categories)} of {len(MVTEC_CATEGORIES)} categories ({and_(categories)})"


def _outcome(found: Found, key: tuple[str, str]) -> str:
    """What the runs of a table say, in a few words; its verdicts last."""
    if key == ("rkd_medical", "3"):
        met, readings = met_by_readings(found)
        change = (found.columns["ours"] - found.columns["printed"]).median()
        said = [f"{change:+.1f} points in the median of {readings} results"]
        said.append(f"{met} intervals overlap that of the printed value, which is weak evidence")
    elif found.best(key).signed:
        said = [_gain(found.best(key)), steps_in_short(found, key[1])]
    else:
        results = shown(found, key)
        said = [f"{_name(one, results)}: {difference(one)}" for one in results]
    return "; ".join([*(text for text in said if text), _judged(found, key)])


def _gain(one: Evidence) -> str:
    """What one column adds to another, such as "PRO, Pre to Pre+OCE: +2.9 points (printed +1.2)".

    A metric without its category: the scope names it.
    """
    title = f"{title_of(one.metric)}, {one.column}"
    return f"{title}: {one.ours:+.1f} points (printed {one.printed:+.1f})"


def _name(one: Evidence, among: list[Evidence]) -> str:
    """A result's name, without what all results of its table share."""
    if len({other.place for other in among}) == 1:
        return metric_title(one.metric)
    return one.place if len({other.metric for other in among}) == 1 else one.what


def _judged(found: Found, key: tuple[str, str]) -> str:
    """The verdicts of a table in words."""
    counts = found.with_verdict(key)["verdict"].value_counts()
    return (
        "verdicts: " + ", ".join(f"{n} {v}" for v, n in counts.items())
        if len(counts)
        else ("no verdict")
    )

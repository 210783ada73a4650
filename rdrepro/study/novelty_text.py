"""Sentences on one-class novelty detection: how near our averages come to Table 4."""

from collections.abc import Iterable

import pandas as pd

from rdrepro.presets import PRESETS
from rdrepro.study.compare import compare
from rdrepro.study.found import and_
from rdrepro.study.novelty_choice import chosen_switches, grid_effects
from rdrepro.study.printed import paper_cells
from rdrepro.study.stats import FEWEST_SEEDS
from rdrepro.study.tables import title_of

OFFICIAL, TUNED = "novelty_official", "novelty_tuned"


def novelty_found(runs: pd.DataFrame, averages: pd.DataFrame) -> list[str]:
    """Sentences that say how near our averages come to the printed ones, as Markdown.

    averages: the result of `novelty.averages`.
    """
    cells = compare(paper_cells("rd4ad", "4"), runs)
    own = cells[cells["method"] == "Ours"].assign(data=lambda t: t["dataset"].map(title_of))
    ran = own[own["ours"].notna()]
    if ran.empty:
        return ["No run of novelty detection is here yet."]
    said = [_differences(ran), *_verdicts(ran), _missing(own), _tuned(averages)]
    return [sentence for sentence in said if sentence]


def _differences(ran: pd.DataFrame) -> str:
    parts = [f"{line['delta']:+.1f} points on {line['data']}" for _, line in ran.iterrows()]
    return (
        f"With the published settings (`{OFFICIAL}`), our averages differ from the printed values "
        f"by {and_(parts)}."
    )


def _verdicts(ran: pd.DataFrame) -> Iterable[str]:
    """What the comparison says of the data sets, and of which nothing can be said."""
    few = ran["n_seeds"] < FEWEST_SEEDS
    for verdict, lines in ran[~few].groupby("verdict", sort=False):
        yield f"The verdict on {and_(lines['data'])} is *{verdict}*."
    if few.any():
        verb = "have" if few.sum() > 1 else "has"
        names = and_(ran.loc[few, "data"])
        yield f"{names} {verb} fewer than {FEWEST_SEEDS} seeds, too few for a verdict."


def _missing(own: pd.DataFrame) -> str:
    missing = own.loc[own["ours"].isna(), "data"]
    verb = "have" if len(missing) > 1 else "has"
    return f"{and_(missing)} {verb} not run." if len(missing) else ""


def _tuned(averages: pd.DataFrame) -> str:
    """What the chosen settings change against the published ones, where both ran once."""
    if averages.empty:
        return ""
    kept = averages.dropna(subset="ours").drop_duplicates(["data", "preset"])
    table = kept.pivot(index="data", columns="preset", values="ours")
    if not {OFFICIAL, TUNED} <= set(table):
        return ""
    change = (table[TUNED] - table[OFFICIAL]).dropna().reindex(kept["data"].unique()).dropna()
    parts = [f"{value:+.1f} points on {data}" for data, value in change.items()]
    return (
        f"Settings that were chosen by validation (`{TUNED}`) change the averages by {and_(parts)}."
    )


def choice_verdict(runs: pd.DataFrame) -> str:
    """Sentences that say which switches help in every data set, and what the tuned preset takes.

    Empty without runs of the grid.
    """
    if grid_effects(runs).empty:
        return ""
    switches = chosen_switches(runs)
    if not switches:
        return "No switch helps in every data set."
    tuned, official = (PRESETS[name]["epochs"] for name in (TUNED, OFFICIAL))
    return (
        f"These help in every data set: {and_(switches)}. `{TUNED}` takes them, except for the "
        f"epochs: it has {tuned} instead of {official}, to save time."
    )

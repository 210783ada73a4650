"""Sentences on what was reproduced, what was not and what could not be tested, from rows alone."""

from collections.abc import Iterable

import pandas as pd

from rdrepro.backbones import IMAGENET
from rdrepro.config import RunConfig
from rdrepro.metric_names import ROW_METRIC
from rdrepro.registry import MVTEC, MVTEC_CATEGORIES
from rdrepro.study.evidence import TABLES, Evidence
from rdrepro.study.found import (
    EXTENSION,
    Found,
    and_,
    cell_title,
    difference,
    digits_of,
    find,
    met_by_readings,
    shown,
    steps_in_short,
    table_title,
)
from rdrepro.study.printed import printed_cells
from rdrepro.study.selection import clean
from rdrepro.study.stats import FEWEST_SEEDS
from rdrepro.study.tables import FAILED, title_of
from rdrepro.study.tiers import PRINTED_PROTOCOL, REDUCED
from rdrepro.study.wording import device, network

MAIN = (("rd4ad", "1"), ("rd4ad", "2"))  # the tables that answer the main question
NOVELTY = ("rd4ad", "4")
MOST = 3  # values that a sentence names
NOTHING = "No run is here yet, so nothing can be said. `make demo` makes a first one."


def in_short(runs: pd.DataFrame) -> list[str]:
    """Half a page, a paragraph each: the answer, misses, what was reproduced, what is open.

    Only a value with a verdict is called reproduced or a miss.

    runs: lines of `load_runs`. The paragraphs are Markdown.
    """
    if runs.empty:
        return [NOTHING]
    found = find(runs)
    parts = {
        "Does Reverse Distillation reproduce?": _answer(found),
        "Misses.": [text for text in (_failed(found), _medical(found)) if text],
        "What was reproduced.": [text for text in [_kept(found)] if text],
        "What else was seen.": _seen(found),
        "What could not be tested.": _untested(found),
    }
    return [f"**{head}** {' '.join(said)}" for head, said in parts.items() if said]


def where_it_stands(runs: pd.DataFrame) -> list[str]:
    """Five lines on where the study stands, misses first.

    runs: lines of `load_runs`. A line that the rows give no ground for is left out.
    """
    if runs.empty:
        return [NOTHING]
    found = find(runs)
    lines = {
        "Main result": _main_verdict(found),
        "Medical images": _medical(found),
        "Novelty detection": _novelty(found),
        "Nearest runs": _small(found),
        "Ablations": " ".join(_steps(found)),
    }
    return [f"**{head}.** {line}" for head, line in lines.items() if line]


def _answer(found: Found) -> list[str]:
    ran = found.cells["ours"].notna().sum()
    judged = len(found.with_verdict())
    open_ = found.with_verdict(*MAIN).empty
    return [
        *(["It cannot be said yet."] if open_ else []),
        _main_verdict(found),
        f"This package can run the methods behind {len(found.cells)} printed values. So far {ran} "
        f"of these values were run at the printed protocol, and {judged} {_have(range(judged))} a "
        "verdict.",
    ]


def _main_verdict(found: Found) -> str:
    """The first sentence: the verdicts of Tables 1 and 2, or that there are none."""
    verdicts = found.with_verdict(*MAIN)["verdict"]
    if verdicts.empty:
        ran = any(one.tier == PRINTED_PROTOCOL for key in MAIN for one in found.evidence[key])
        seeds = f" with {FEWEST_SEEDS} seeds" if ran else ""
        return (
            f"No accuracy in Tables 1 and 2 was run at the printed protocol{seeds}, so none has a "
            "verdict."
        )
    failed, close = verdicts.isin(FAILED).sum(), verdicts.eq("close").sum()
    kept = len(verdicts) - failed - close
    return (
        f"Of the accuracies in Tables 1 and 2, {len(verdicts)} {_have(verdicts)} a verdict: "
        f"differs {failed}, close {close}, reproduced {kept}."
    )


def _failed(found: Found) -> str:
    """The values whose verdict is a miss, the largest differences first."""
    verdicts = found.with_verdict()
    failed = verdicts[verdicts["verdict"].isin(FAILED)]
    if failed.empty:
        return "No verdict is a miss so far." if len(verdicts) else ""
    failed = failed.sort_values("delta", key=abs, ascending=False)
    named = [
        f"{table_title(x['paper'], x['table'])}, {cell_title(x)} ({x['delta']:+.1f} points)"
        for _, x in failed.head(MOST).iterrows()
    ]
    return f"{len(failed)} of {len(verdicts)} verdicts are misses: {_some(named, len(failed))}."


def _some(named: list[str], whole: int) -> str:
    """The first few of `whole` names, and how many more there are."""
    return "; ".join(named) + (f"; and {whole - len(named)} more" if whole > len(named) else "")


def _novelty(found: Found) -> str:
    """How far Table 4's averages are from the printed ones, at the printed protocol."""
    results = [one for one in found.evidence[NOVELTY] if one.tier == PRINTED_PROTOCOL]
    if not results:
        return ""
    gaps = [f"{difference(one)} on {one.place}" for one in results]
    return (
        "Table 4 ran with every setting that the paper states. Teacher, image size and epochs are "
        f"our choice, since it states none. Our average is {and_(gaps)}. "
        f"{_seeds_of_novelty(found, results)}"
    ).strip()


def _seeds_of_novelty(found: Found, results: list[Evidence]) -> str:
    """Which of Table 4's averages have a verdict, and which lack seeds."""
    verdicts = found.with_verdict(NOVELTY)
    given = [f"*{x['verdict']}* on {title_of(x['dataset'])}" for _, x in verdicts.iterrows()]
    lacking = [one.place for one in results if one.seeds < FEWEST_SEEDS]
    said = [f"The verdict is {and_(given)}."] if given else []
    if lacking:
        said.append(f"{and_(lacking)} {_have(lacking)} too few seeds for a verdict.")
    return " ".join(said)


def _seen(found: Found) -> list[str]:
    """What runs gave that have no verdict."""
    said = [_novelty(found), _small(found), *_steps(found)]
    return [text for text in said if text]


def _steps(found: Found) -> list[str]:
    """The steps between the columns of Tables 5 and 7: how many are resolved, and which way."""
    said = []
    for table, what in (("5", "bottlenecks"), ("7", "layers")):
        steps = steps_in_short(found, table)
        if steps:
            said.append(f"Between the {what} of Table {table}: {steps}.")
    return said


def _kept(found: Found) -> str:
    """The values whose verdict is "reproduced"."""
    verdicts = found.with_verdict()
    kept = verdicts[verdicts["verdict"] == "reproduced"]
    if kept.empty:
        return ""
    named = [
        f"{table_title(x['paper'], x['table'])}, {cell_title(x)}"
        for _, x in kept.head(MOST).iterrows()
    ]
    return f"The verdict is *reproduced* for {_some(named, len(kept))}."


def _small(found: Found) -> str:
    """What the nearest runs of Tables 1 and 2 give where they are of a reduced protocol."""
    results = [one for key in MAIN for one in shown(found, key)]
    if not results or any(one.tier == PRINTED_PROTOCOL for one in results):
        return ""
    first = results[0]
    same = [one for one in results if (one.place, one.differs) == (first.place, first.differs)]
    same.sort(key=lambda one: list(ROW_METRIC).index(one.metric))
    seeds = f"{first.seeds} seed{'s' * (first.seeds > 1)}"
    return (
        f"The runs nearest to Tables 1 and 2 are of the category {first.place}, at a "
        f"*{first.tier}* protocol: {first.differs}, {seeds}. "
        f"They reach {and_(_beside(one) for one in same)}."
    )


def _beside(one: Evidence) -> str:
    digits = digits_of(one)
    return f"{title_of(one.metric)} {one.ours:.{digits}f} (printed {one.printed:.{digits}f})"


def _medical(found: Found) -> str:
    """How the readings of the extension's Table 3 compare with the printed values."""
    met, readings = met_by_readings(found)
    if not readings:
        return ""
    columns = found.columns
    change = (columns["ours"] - columns["printed"]).dropna()
    width = (columns["printed_high"] - columns["printed_low"]).median()
    reduced = columns["tier"].str.startswith(REDUCED).sum()
    return (
        f"{(change < 0).sum()} of our {len(change)} results for the extension's Table 3 lie below "
        f"the printed value. The median difference is {change.median():+.1f} points. "
        f"{reduced} of them ran at a reduced protocol. {met} of {readings} intervals overlap the "
        f"one that we compute for the printed value. That one is about {width:.0f} points wide, "
        "so overlap says little."
    )


def _untested(found: Found) -> list[str]:
    said = [_no_teacher(found), _no_categories(found), _no_data(found), _no_tables(found)]
    said = [text for text in said if text]
    return [*said, _hardware(found)] if said else []


def _no_teacher(found: Found) -> str:
    teacher = RunConfig.backbone
    rows = clean(found.runs)
    if (rows["backbone"].eq(teacher) & rows["weights"].eq(IMAGENET)).any():
        return ""
    return f"No run has the paper's teacher, {network(teacher)} with its ImageNet weights."


def _no_categories(found: Found) -> str:
    rows = clean(found.runs)
    ran = [c for c in MVTEC_CATEGORIES if c in set(rows.loc[rows["dataset"] == MVTEC, "category"])]
    missing = len(MVTEC_CATEGORIES) - len(ran)
    if not missing:
        return ""
    but = f": only {and_(ran)} ran" if ran else ""
    return f"{missing} of {len(MVTEC_CATEGORIES)} categories of MVTec AD have no run{but}."


def _no_data(found: Found) -> str:
    """The other data sets of the papers that no row is of."""
    wanted = dict.fromkeys(cell.dataset for cell in printed_cells())
    missing = [name for name in wanted if name not in {MVTEC, *found.runs["dataset"]}]
    if not missing:
        return ""
    return f"{and_(title_of(name) for name in missing)} {_have(missing)} no run."


def _no_tables(found: Found) -> str:
    missing = [key for key in TABLES if not found.evidence[key]]
    said = []
    for paper in dict.fromkeys(paper for paper, _ in missing):
        numbers = [number for one, number in missing if one == paper]
        whose = " of the extension" if paper == EXTENSION else ""
        tables = f"Table{'s' * (len(numbers) > 1)} {and_(numbers)}{whose}"
        said.append(f"{tables} {_have(numbers)} no run on real data that comes near the protocol.")
    return " ".join(said)


def _have(names: Iterable) -> str:
    return "have" if len(list(names)) > 1 else "has"


def _hardware(found: Found) -> str:
    """On what the runs were made."""
    rows = clean(found.runs)
    fast = rows[rows["provenance.device"].ne("cpu")]
    cards = and_(sorted({device(name) for name in fast["provenance.device"]})) if len(fast) else ""
    used = f"{len(fast)} of {len(rows)} runs used a graphics card"
    return f"{used} ({cards})." if cards else f"{used}."

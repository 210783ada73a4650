"""The claims of both papers, the printed values that are their evidence, and our runs' verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from rdrepro.runs.rows import load_runs
from rdrepro.study.compare import KEYS
from rdrepro.study.findings import FAILS, HOLDS, NOT_RUN, OPEN, Finding, findings
from rdrepro.study.printed import Cell, load_print, printed_cells
from rdrepro.study.relations import Comparison, comparisons, name_of
from rdrepro.study.tables import title_of

SUPPORTED, CONTRADICTED, IN_PART = "supported", "contradicted", "contradicted in part"
UNTESTED, NOT_YET = "untested by the paper", "not tested yet"
MOST = 3  # comparisons that the sentence of a claim shows
# Tables and figures that show printed values without a verdict, and their studies.
SHOWN_FROM = {
    **dict.fromkeys(("medical_columns", "medical_steps", "medical_stopping"), "medical-table3"),
    "rotation": "rotation",
}


def claims_table(runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each claim of both papers, the printed values that are its evidence, and our verdict.

    runs: lines of `load_runs` (default: all).

    `in print` says whether the printed values themselves have the claim's relation, where this can
    be said. `verdict` is that of our runs alone, and `our runs` gives their values.
    """
    runs = load_runs() if runs is None else runs
    claims = load_print("claims").fillna("")
    relations = [comparisons(relation) for relation in claims.pop("relation")]
    found = findings([comparison for group in relations for comparison in group], runs)
    ours = [[found[comparison] for comparison in group] for group in relations]
    numbers = load_print("text").groupby(["paper", "section"])["printed"].agg(", ".join)
    studies = set() if runs.empty else set(runs["study"])
    print_names = {name_of(cell): cell for cell in printed_cells()}
    claims["in print"] = [_in_print(group) for group in relations]
    claims["verdict"] = [
        _shown_verdict(*claim, studies)
        for claim in zip(claims["evidence"], claims["test"], ours, strict=True)
    ]
    claims["our runs"] = [_sentence(group) for group in ours]
    claims["evidence"] = [
        _evidence(words, print_names, numbers.get(paper, {}))
        for paper, words in zip(claims["paper"], claims["evidence"], strict=True)
    ]
    return claims.set_index("id")


def verdict_of(ours: Sequence[Finding]) -> str:
    """The verdict of our runs on a claim, from the comparisons that it stands for.

    Comparisons that did not run contradict nothing; they keep a claim from being supported.
    """
    states = {finding.state for finding in ours}
    if states <= {NOT_RUN}:
        return NOT_YET
    if FAILS in states:
        return CONTRADICTED if states == {FAILS} else IN_PART
    return SUPPORTED if states == {HOLDS} else OPEN


def _shown_verdict(evidence: str, test: str, ours: Sequence[Finding], studies: set[str]) -> str:
    """A claim's verdict or, where there is none, the tables and figures that bear on it."""
    verdict = UNTESTED if evidence == UNTESTED else verdict_of(ours)
    shown = [name for name in test.split("; ") if SHOWN_FROM.get(name) in studies]
    if shown and verdict in (UNTESTED, NOT_YET):
        return f"no verdict; see {', '.join(shown)}"
    return verdict


def _in_print(found: Iterable[Comparison]) -> str:
    """Whether the printed values have a claim's relations; "" where print cannot say."""
    known = [c.in_print for c in found if c.in_print is not None]
    if not known:
        return ""
    return "holds" if all(known) else f"holds in {sum(known)} of {len(known)}"


def _sentence(ours: Sequence[Finding], most: int = MOST) -> str:
    """Our values behind a claim's verdict: first those that contradict it, then the open ones."""
    parts = []
    for state in (FAILS, OPEN, HOLDS, NOT_RUN):
        texts = [finding.text for finding in ours if finding.state == state]
        shown = [text for text in texts if text][:most]
        if texts:
            more = ["..."] if len(texts) > most else []
            values = f": {' | '.join(shown + more)}" if shown else ""
            parts.append(f"{state} ({len(texts)}){values}")
    return "; ".join(parts)


def _patterns(evidence: str) -> list[str]:
    return [word for word in evidence.split() if word.count("/") == len(KEYS) - 1]


def _evidence(words: str, cells: dict[str, Cell], numbers: Mapping, most: int = 6) -> str:
    """Evidence for readers: tables and sections, with the printed values if they are few."""
    patterns, texts = _patterns(words), []
    sections = [word.removeprefix("text:") for word in words.split() if word.startswith("text:")]
    if not patterns and not sections:
        return words
    found = [c for n, c in cells.items() if any(fnmatchcase(n, p) for p in patterns)]
    for table in dict.fromkeys(c.table for c in found):
        group = [c for c in found if c.table == table and not np.isnan(c.value)]
        several = len({c.metric for c in group}) > 1
        names = (f"{c.method} {title_of(c.metric)}" if several else c.method for c in group)
        values = ", ".join(f"{n} {c.printed}" for n, c in zip(names, group, strict=True))
        texts.append(f"Table {table}: {values if len(group) <= most else f'{len(group)} cells'}")
    texts += [f"Sec. {section}: {numbers.get(section, '-')}" for section in sections]
    return "; ".join(texts)

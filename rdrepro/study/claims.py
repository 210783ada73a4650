"""The claims of both papers, the printed values that are their evidence, and our runs' verdicts."""

from collections.abc import Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from rdrepro.study.compare import KEYS, compare
from rdrepro.study.printed import Cell, load_print, printed_cells
from rdrepro.study.tables import FAILED, title_of

UNTESTED, NOT_YET = "untested by the paper", "not tested yet"
# Tables and figures that show printed values without a verdict, and their studies.
BESIDE_PRINT = {
    **dict.fromkeys(("medical_columns", "medical_steps", "medical_stopping"), "medical-table3"),
    "rotation": "rotation",
}


def claims_table(runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each claim of both papers, the printed values that are its evidence, and our verdict."""
    results = compare(printed_cells(), runs)
    names = pd.Series([_name(line) for line in results.to_dict("records")])
    claims = load_print("claims").fillna("")
    print_names = {_name(asdict(cell)): cell for cell in printed_cells()}
    said = [_said(words, names, results["verdict"]) for words in claims["evidence"]]
    found = zip(claims["evidence"], said, strict=True)
    claims["verdict"] = [_claim_verdict(words, counts) for words, counts in found]
    studies = set() if runs is None or runs.empty else set(runs["study"])
    for place, (test, verdict) in claims[["test", "verdict"]].iterrows():
        shown = [name for name in test.split("; ") if BESIDE_PRINT.get(name) in studies]
        if shown and verdict in (UNTESTED, NOT_YET):
            claims.loc[place, "verdict"] = f"no verdict; see {', '.join(shown)}"
    claims["our runs"] = ["; ".join(f"{v} ({n})" for v, n in counts.items()) for counts in said]
    numbers = load_print("text").groupby(["paper", "section"])["printed"].agg(", ".join)
    claims["evidence"] = [
        _evidence(words, print_names, numbers.get(paper, {}))
        for paper, words in zip(claims["paper"], claims["evidence"], strict=True)
    ]
    return claims.set_index("id")


def _name(line: dict) -> str:
    """The name of a cell in the evidence column: paper/table/dataset/.../metric."""
    size = line["image_size"]
    keys = line | {"image_size": "" if pd.isna(size) else f"{size:.0f}"}
    return "/".join(keys[k] for k in KEYS)


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


def _said(evidence: str, names: pd.Series, verdicts: pd.Series) -> pd.Series:
    """The number of cells, of those that the evidence names, with each verdict of our runs."""
    patterns = _patterns(evidence)
    fits = names.map(lambda name: any(fnmatchcase(name, pattern) for pattern in patterns))
    return verdicts[fits & (verdicts != "not printed")].value_counts()


def _claim_verdict(evidence: str, said: pd.Series) -> str:
    """The verdict of our runs on a claim, from all of its cells together."""
    if evidence == UNTESTED:
        return evidence
    if all(verdict.startswith(("not run", "incomplete")) for verdict in said.index):
        return NOT_YET
    if set(said.index) & set(FAILED):
        return "contradicted in part"
    return "supported" if set(said.index) <= {"reproduced", "overlaps"} else "open"

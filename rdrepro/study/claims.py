"""The claims of both papers, the printed values that are their evidence, and our runs' verdicts."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from rdrepro.runs.rows import load_runs
from rdrepro.study.compare import KEYS
from rdrepro.study.findings import FAILS, HOLDS, NOT_RUN, OPEN, Finding, findings
from rdrepro.study.printed import Cell, load_printed, printed_cells
from rdrepro.study.relations import Comparison, comparisons, name_of
from rdrepro.study.tables import title_of

SUPPORTED, CONTRADICTED, IN_PART = "supported", "contradicted", "contradicted in part"
UNTESTED, NOT_YET = "untested by the paper", "not tested yet"
SHOWN = "no verdict"  # followed by what shows the claim's printed values
MOST = 3  # comparisons that the sentence of a claim shows
TRUE_IN_PRINT, SHOWN_IN = "true of the printed numbers", "shown in"
# Tables and figures that show printed values without a verdict, and their studies.
SHOWN_FROM = {
    **dict.fromkeys(("medical_columns", "medical_steps", "medical_stopping"), "medical-table3"),
    "rotation": "rotation",
}
# What shows our runs, by its name in claims.csv, as the report calls it.
PLACES = {
    "medical_columns": "readings of the extension's Table 3",
    "medical_steps": "steps of the extension's Table 3",
    "medical_stopping": "figure of early stopping",
    "rotation": "rotated test images",
    "region overlap figure": "figure of anomaly maps",
    "plot_scores": "figure of image scores",
    "-": "",
}
# The report's parts of the table of claims, by verdict, in order: misses first.
PARTS = {
    "Contradicted or open": (CONTRADICTED, IN_PART, OPEN),
    "Supported": (SUPPORTED,),
    "No verdict, but tables or figures show our values": (SHOWN,),
    "Not tested yet": (NOT_YET,),
    "Untested by the papers": (UNTESTED,),
}
FOLDED_PARTS = ("Not tested yet", "Untested by the papers")
NUMBERS = {HOLDS: ("holds", "hold"), FAILS: ("fails", "fail")}  # of one and of several comparisons


def claims_table(runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each claim of both papers, the printed values that are its evidence, and our verdict.

    runs: lines of `load_runs` (default: all).

    TRUE_IN_PRINT says whether the printed values themselves have the claim's relation, where this
    can be said. `verdict` is that of our runs alone, `our runs` gives their values, and SHOWN_IN
    names the tables and figures that show them.
    """
    runs = load_runs() if runs is None else runs
    claims = load_printed("claims").fillna("")
    relations = [comparisons(relation) for relation in claims.pop("relation")]
    found = findings([comparison for group in relations for comparison in group], runs)
    ours = [[found[comparison] for comparison in group] for group in relations]
    studies = set() if runs.empty else set(runs["study"])
    print_names = {name_of(cell): cell for cell in printed_cells()}
    tests = claims.pop("test")
    claims["section"] = claims["section"].map(_section)
    claims[TRUE_IN_PRINT] = [_in_print(group) for group in relations]
    claims["verdict"] = [
        _shown_verdict(*claim, studies)
        for claim in zip(claims["evidence"], tests, ours, strict=True)
    ]
    claims["our runs"] = [_sentence(group) for group in ours]
    claims["evidence"] = [_evidence(words, print_names) for words in claims["evidence"]]
    claims[SHOWN_IN] = tests.map(_places)
    return claims.set_index("id")


def claims_by_verdict(claims: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of claims in the parts of PARTS, without columns that say nothing in a part.

    claims: from `claims_table`.
    """
    parts = {}
    for title, verdicts in PARTS.items():
        kind = claims["verdict"].str.partition(";")[0]
        part = claims[kind.isin(verdicts)].drop(columns="paper")
        dropped = ["our runs"] if {SHOWN, NOT_YET, UNTESTED} & {*verdicts} else []
        dropped += ["evidence"] if verdicts == (UNTESTED,) else []
        dropped += ["verdict"] if len(verdicts) == 1 else []
        part = part.drop(columns=dropped)
        parts[title] = part.loc[:, (part != "").any()] if len(part) else part
    return parts


def claims_in_words(claims: pd.DataFrame) -> str:
    """How many claims have which verdict, as a sentence; what contradicts a claim comes first.

    claims: from `claims_table`.
    """
    kind = claims["verdict"].str.partition(";")[0]
    contradicted = kind.isin((CONTRADICTED, IN_PART))
    count = {verdict: (kind == verdict).sum() for verdict in (OPEN, SUPPORTED, SHOWN, NOT_YET)}
    return (
        f"Of {len(claims)} claims, our runs contradict {contradicted.sum()}"
        f"{_ids(claims, contradicted)} and support {count[SUPPORTED]}"
        f"{_ids(claims, kind == SUPPORTED)}. {count[OPEN]} are open, and {count[SHOWN]} have "
        f"values of ours without a verdict. {count[NOT_YET]} are not tested yet, and the papers "
        f"themselves do not test {(kind == UNTESTED).sum()}."
    )


def _ids(claims: pd.DataFrame, chosen: pd.Series) -> str:
    """The numbers of the chosen claims in brackets; nothing if there are none or many."""
    names = list(claims.index[chosen])
    return f" ({', '.join(names)})" if 0 < len(names) <= MOST else ""


def _section(name: str) -> str:
    """A section as readers find it: "4.1, results" for "4.1-results"."""
    number, _, rest = name.partition("-")
    if not number[0].isdigit():
        return name.replace("-", " ").replace(" caption", ", caption")
    return f"{number}, {title_of(rest)}" if rest else number


def _places(test: str) -> str:
    """What shows our runs, in words."""
    return "; ".join(filter(None, map(_place, test.split("; "))))


def _place(name: str) -> str:
    if name in PLACES:
        return PLACES[name]
    for start, title in {"table": "Table ", "medical": "the extension's Table "}.items():
        if name.removeprefix(start).isdigit():
            return title + name.removeprefix(start)
    if name.startswith("switch "):
        return f"setting `{name.removeprefix('switch ')}`"
    return name.replace("DEVIATIONS", "deviations" if "," in name else "deviation")


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
        return f"{SHOWN}; see {', '.join(map(_place, shown))}"
    return verdict


def _in_print(found: Iterable[Comparison]) -> str:
    """Whether the printed values have a claim's relations; "" where they cannot say."""
    known = [c.in_print for c in found if c.in_print is not None]
    if not known:
        return ""
    if all(known):
        return "yes"
    return f"in {sum(known)} of {len(known)} comparisons" if any(known) else "no"


def _sentence(ours: Sequence[Finding], most: int = MOST) -> str:
    """Our values behind a claim's verdict: first those that contradict it, then the open ones."""
    parts = []
    for state in (FAILS, OPEN, HOLDS, NOT_RUN):
        texts = [finding.text for finding in ours if finding.state == state]
        shown = [text for text in texts if text][:most]
        if texts:
            more = [f"and {len(texts) - most} more"] if len(texts) > most else []
            one, several = NUMBERS.get(state, (state, state))
            values = f": {'; '.join(shown + more)}" if shown else ""
            parts.append(f"{len(texts)} {one if len(texts) == 1 else several}{values}")
    return ". ".join(parts)


def _patterns(evidence: str) -> list[str]:
    return [word for word in evidence.split() if word.count("/") == len(KEYS) - 1]


def _evidence(words: str, cells: dict[str, Cell], most: int = 6) -> str:
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
    texts += [f"text of Sec. {_section(section)}" for section in sections]
    return "; ".join(texts)

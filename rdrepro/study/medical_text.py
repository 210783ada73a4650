"""Sentences on the tables of `medical_tables`: what the runs on medical images found."""

import pandas as pd

from rdrepro.study.found import and_
from rdrepro.study.medical_rows import PRINTED_BN, PRINTED_DATASETS
from rdrepro.study.medical_tables import LARGER
from rdrepro.study.stats import LEVEL
from rdrepro.study.tables import title_of
from rdrepro.study.tiers import PRINTED_PROTOCOL
from rdrepro.study.wording import network

SINGLE = "They are single folds, which are not averaged."


def medical_found(columns: pd.DataFrame, steps: pd.DataFrame, earlier: pd.DataFrame) -> list[str]:
    """Sentences that say how far our runs answer the extension's Table 3.

    columns, steps, earlier: the results of `columns_table`, `steps_table` and
    `earlier_split_table`.
    """
    if columns.empty:
        return ["No run on medical images is here yet."]
    said = [_tiers(columns), *_overlaps(columns), _steps_in_short(steps), _missing(columns)]
    changes = _changes(earlier)
    if len(changes):
        said.append(
            f"On Head CT, the split by file number changes the AUROC by {changes.mean():+.1f} "
            "points on average, compared with the random split."
        )
    return [sentence for sentence in said if sentence]


def _tiers(columns: pd.DataFrame) -> str:
    """How many results follow the printed protocol, and what the others used."""
    whole, printed = len(columns), int(columns["tier"].eq(PRINTED_PROTOCOL).sum())
    if printed == whole:
        return f"All {whole} results follow the printed protocol."
    others = columns[columns["tier"] != PRINTED_PROTOCOL]
    teachers = and_(map(network, dict.fromkeys(others["teacher"])))
    epochs = and_(str(n) for n in sorted(set(others["epochs"])))
    if not printed:
        return (
            f"None of our {whole} results follows the printed protocol, so no printed value has a "
            f"verdict. They use {teachers} as teachers and {epochs} epochs."
        )
    return (
        f"{printed} of our {whole} results follow{'s' * (printed == 1)} the printed protocol. "
        f"The others use {teachers} as teachers and {epochs} epochs."
    )


def _overlaps(columns: pd.DataFrame) -> list[str]:
    """In how many results our interval overlaps the printed one, and how wide that is."""
    judged = columns[columns["overlap"].isin(["overlaps", "does not overlap"])]
    if judged.empty:
        return []
    met = int(judged["overlap"].eq("overlaps").sum())
    widths = judged["printed_high"] - judged["printed_low"]
    return [
        f"In {met} of {len(judged)} results, our interval overlaps that of the printed value.",
        f"The printed values' intervals are {widths.min():.0f} to {widths.max():.0f} points wide, "
        "so overlap is weak evidence.",
    ]


def _steps_in_short(steps: pd.DataFrame) -> str:
    if steps.empty:
        return ""
    larger, judged = (
        lines.drop_duplicates(["data", "step"])
        for lines in (steps[steps["printed step is"] == LARGER], steps)
    )
    return (
        f"Of {len(judged)} printed differences between columns, {len(larger)} "
        f"{'is' if len(larger) == 1 else 'are'} larger than noise."
    )


def _missing(columns: pd.DataFrame) -> str:
    """The printed data sets that have no result."""
    missing = [title_of(n) for n in PRINTED_DATASETS if n not in set(columns["dataset"])]
    verb = "have" if len(missing) > 1 else "has"
    return f"{and_(missing)} {verb} not run." if missing else ""


def steps_verdict(steps: pd.DataFrame) -> str:
    """Sentences that say which printed steps are larger than noise, and by which teachers' rows.

    Each step is judged by itself, so some would look larger by chance. Empty if the table is.
    """
    if steps.empty:
        return ""
    groups = steps.groupby(["data", "step"], sort=False)
    larger = [text for name, lines in groups if (text := _larger(*name, lines))]
    head = f"We can judge {len(groups)} printed steps between columns."
    count = f"{len(larger) or 'None'} of them {'are' if len(larger) > 1 else 'is'} {LARGER}."
    chance = (
        f"Each step is judged at {100 * LEVEL:.0f} % by itself. Of {len(groups)} steps that change "
        f"nothing, about {(1 - LEVEL) * len(groups):.1f} would look larger than noise by chance."
    )
    return " ".join([head, count, *larger, chance])


def _larger(data: str, step: str, lines: pd.DataFrame) -> str:
    """A sentence on a printed step that is larger than noise by some teacher's rows; or nothing."""
    by = lines[lines["printed step is"] == LARGER]
    if by.empty:
        return ""
    noise = ", ".join(f"{_teacher(x)}: noise {x['noise']:.1f}" for _, x in by.iterrows())
    printed = lines["printed step"].iloc[0]
    return (
        f"{data}, {step} ({printed:+.1f} points): {LARGER} by {len(by)} of {len(lines)} teachers "
        f"({noise})."
    )


def _teacher(line: pd.Series) -> str:
    """A teacher with the mode of its batch norms where that is the printed one."""
    moving = line["batch norms"] == PRINTED_BN
    return f"{line['teacher']}, batch norms: {PRINTED_BN}" if moving else line["teacher"]


def again_verdict(table: pd.DataFrame) -> str:
    """Sentences that sum up `again_table`; empty if the table is."""
    if table.empty:
        return ""
    moved = (table["new mean"] - table["first mean"]).abs().max()
    return (
        f"With another seed and other folds, {table['inside'].sum()} of {table['new folds'].sum()} "
        "folds lie inside the interval of one more fold. "
        f"The means of the folds move by up to {moved:.1f} points."
    )


def habits_verdict(table: pd.DataFrame) -> str:
    """Sentences that name the changes of `habits_table` whose sign is known; empty if it is."""
    if table.empty:
        return ""
    known = table[(table["low"] * table["high"] > 0) & (table["fold_low"] * table["fold_high"] > 0)]
    head = f"In {len(known)} of {len(table)} lines, neither interval contains 0"
    parts = [
        f"{x['habit']} on {title_of(x['dataset'])} ({x['mean']:+.1f} points)"
        for _, x in known.iterrows()
    ]
    return f"{head}: {and_(parts)}." if parts else f"{head}."


def long_verdict(table: pd.DataFrame) -> str:
    """A sentence that sums up `long_table`; empty if the table is."""
    if table.empty:
        return ""
    changes = table["ours, long"] - table["ours"]
    return (
        f"On this fold, longer training changes the AUROC by {changes.min():+.1f} to "
        f"{changes.max():+.1f} points."
    )


def earlier_split_verdict(table: pd.DataFrame) -> str:
    """Sentences that sum up `earlier_split_table`; empty if the table is.

    A result has run by the usual split if it has as many folds there. Single folds are not
    averaged.
    """
    if table.empty:
        return ""
    whole = table[table["numbered folds"] == table["random folds"]]
    if whole.empty:
        return f"None of {len(table)} results of the random split has run in full by file number."
    ran = (
        f"{len(whole)} of {len(table)} results of the random split have also run in full by file "
        "number."
    )
    changes = _changes(table)
    if changes.empty:
        return f"{ran} {SINGLE}"
    single = len(whole) - len(changes)
    some = f"{single} result{'s' * (single > 1)} of a single fold"
    apart = f"Without {some}, their" if single else "Their"
    return (
        f"{ran} {apart} means change by {changes.min():+.1f} to {changes.max():+.1f} points. "
        f"The average change is {changes.mean():+.1f} points."
    )


def _changes(earlier: pd.DataFrame) -> pd.Series:
    """The changes of the results that have run in full by both splits, without single folds."""
    if earlier.empty:
        return pd.Series(dtype=float)
    whole = earlier["numbered folds"] == earlier["random folds"]
    return earlier.loc[whole & (earlier["random folds"] > 1), "change"]

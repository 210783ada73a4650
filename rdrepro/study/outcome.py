"""The printed tables that a study fills: each cell has a value, or the reason why it has none."""

from collections.abc import Mapping, Sequence

import pandas as pd

from rdrepro.config import FIELD_NAMES
from rdrepro.study.catalogue import TABLES, configuration
from rdrepro.study.compare import compare
from rdrepro.study.jobs import Job
from rdrepro.study.making import ANY, files
from rdrepro.study.matching import cell_matches
from rdrepro.study.printed import Cell, printed_cells
from rdrepro.study.tables import table_name

DIRTY = "its row does not count: it may come from a working tree with uncommitted changes"
ROWS = ["dataset", "method", "category"]
COLUMNS = ["dataset", "category", "method", "image_size", "metric", "printed", "ours", "n_seeds"]
COLUMNS += ["tier"]


def tables_of(jobs: Sequence[Job]) -> list[str]:
    """The printed tables that the jobs cover: those with a job in each of their studies."""
    studies = {job.study.name for job in jobs}
    return [table for table, names in TABLES.items() if names and set(names) <= studies]


def outcome(
    table: str, jobs: Sequence[Job], runs: pd.DataFrame, reasons: Mapping[Job, str], trial: bool
) -> pd.DataFrame:
    """The cells of a printed table that jobs fill, with a column `outcome`.

    jobs: those of the table's studies. runs: lines of `load_runs`. reasons: why jobs have no row.
    trial: the jobs have changed settings. Their values then appear in the cells of the declared
    settings, and `outcome` is "trial" instead of a verdict.
    """
    cells = [c for c in printed_cells() if table_name(c.paper, c.table) == table]
    cells = [c for c in cells if c.protocols]
    if trial:
        runs = _as_declared(jobs, runs)
    else:
        reasons = {**reasons, **dict.fromkeys(_dirty(jobs, runs), DIRTY)}
    compared = compare(cells, runs)
    compared["outcome"] = [
        _outcome(cell, verdict, jobs, reasons, trial)
        for cell, verdict in zip(cells, compared["verdict"], strict=True)
    ]
    return compared[[*COLUMNS, "outcome"]]


def as_text(found: pd.DataFrame) -> str:
    """An outcome in the layout of a printed table: our value and, in brackets, the printed one.

    A cell without a value shows the number of a note below the table that gives the reason.
    """
    notes: dict[str, int] = {}

    def cell(line: pd.Series) -> str:
        printed = "-" if pd.isna(line["printed"]) else f"{line['printed']:.1f}"
        if pd.notna(line["ours"]):
            return f"{line['ours']:.1f} ({printed})"
        return f"[{notes.setdefault(line['outcome'], len(notes) + 1)}] ({printed})"

    sizes = found["image_size"].map(lambda px: f", {px:g} px" if pd.notna(px) else "")
    columns = found["metric"] + sizes
    table = found.assign(cell=[cell(line) for _, line in found.iterrows()], column=columns)
    rows = [name for name in ROWS if found[name].nunique() > 1] or ["category"]
    table["row"] = table[rows].astype(str).agg(" ".join, axis=1)
    wide = table.pivot(index="row", columns="column", values="cell")
    wide = wide.loc[table["row"].unique(), table["column"].unique()].fillna("")
    wide.index.name = wide.columns.name = None
    return "\n".join([wide.to_string(), *(f"[{n}] {text}" for text, n in notes.items())])


def _dirty(jobs: Sequence[Job], runs: pd.DataFrame) -> list[Job]:
    """The jobs that have rows, none of which counts in a table."""
    counted = files(jobs, runs)
    return [job for job in files(jobs, runs, counted=ANY) if job not in counted]


def _as_declared(jobs: Sequence[Job], runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials with the settings that their jobs have in the catalogue."""
    if runs.empty:
        return runs
    by_file = runs.set_index("file", drop=False)
    lines = []
    for job, file in files(jobs, runs, counted=ANY).items():
        declared = vars(configuration(job.declared))
        fields = {name: _listed(declared[name]) for name in FIELD_NAMES}
        lines.append({**by_file.loc[file].to_dict(), **fields, "provenance.dirty": False})
    return pd.DataFrame(lines)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _outcome(
    cell: Cell, verdict: str, jobs: Sequence[Job], reasons: Mapping[Job, str], trial: bool
) -> str:
    """A cell's verdict or, for a cell without a value, what is missing and why."""
    if not verdict.startswith(("not run", "incomplete")):
        return "trial" if trial and verdict != "not printed" else verdict
    why = {text for job, text in reasons.items() if _feeds(job, cell)}
    if not why and not any(_feeds(job, cell) for job in jobs):
        why = {"not among the runs that were asked for"}
    return f"{verdict}: {'; '.join(sorted(why))}" if why else verdict


def _feeds(job: Job, cell: Cell) -> bool:
    """Whether a cell needs a job's declared run."""
    declared = vars(configuration(job.declared))
    if cell.unit_field and declared[cell.unit_field] not in cell.units:
        return False
    return cell_matches({name: _listed(value) for name, value in declared.items()}, cell)

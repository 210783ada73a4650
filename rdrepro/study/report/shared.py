"""What several notebooks of the report share: printed tables with our runs, and figures."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from IPython.display import HTML

from rdrepro import paths
from rdrepro.runs.rows import load_runs
from rdrepro.study import tables
from rdrepro.study.compare import compare
from rdrepro.study.formats import save_table
from rdrepro.study.found import table_title
from rdrepro.study.glossary import TABLES
from rdrepro.study.html_tables import html_table
from rdrepro.study.printed import paper_cells
from rdrepro.study.report.pictures import show as show
from rdrepro.study.tables import title_of
from rdrepro.study.tiers import EMBEDDED, PRINTED_PROTOCOL, REDUCED, highest
from rdrepro.study.wording import conditions

# What a folded line says of the runs that come nearest to a table, by their tier.
NEAREST = {
    PRINTED_PROTOCOL: " The runs of that protocol do not complete any of them.",
    REDUCED: " The nearest runs follow a reduced protocol.",
    EMBEDDED: " The nearest runs are on embedded images.",
}


def open_results(results_dir: str | None) -> tuple[Path, pd.DataFrame]:
    """The folder of results, and the lines of `load_runs` of its rows.

    results_dir: the notebook's parameter. By default it is RDREPRO_RESULTS or the project's own.
    """
    folder = Path(results_dir).absolute() if results_dir else paths.results_dir()
    return folder, load_runs(folder / "runs")


def printed_tables(
    runs: pd.DataFrame, folder: Path, paper: str = "rd4ad", numbers: str = "123"
) -> Iterator[HTML]:
    """Save printed tables and yield each as printed, then our runs of it, then their conditions.

    numbers: those of the tables, one digit each. A table of which nothing ran is one line, folded.
    """
    for number in numbers:
        name, title = tables.table_name(paper, number), table_title(paper, number)
        table = tables.printed_table(paper, number, runs)
        save_table(table, name, folder)
        filled = tables.filled_cells(paper, number, runs)
        lacking = "" if len(filled) else f"{title}: {_nothing_ran(runs, paper, number)}"
        digits = 2 if (paper, number) == ("rd4ad", "3") else 1
        yield html_table(as_printed(table), TABLES[name], digits=digits, fold=lacking or False)
        if len(filled):
            count = len(_own(compare(paper_cells(paper, number), runs)))
            caption = f"{title}, our runs: {len(filled)} of the {count} values that we can run."
            yield html_table(filled, caption, digits=digits)
            conditions = conditions_of(runs, paper, number)
            if len(conditions):
                yield html_table(conditions, f"{title}, conditions of our runs.", fold=True)


def as_printed(table: pd.DataFrame) -> pd.DataFrame:
    """The printed block of a table of `printed_table`, with readable names of its lines."""
    return table["printed"].rename(index=lambda key: title_of(key).replace("_", " "))


def _own(results: pd.DataFrame) -> pd.DataFrame:
    """The lines of `compare` that print a number."""
    return results.dropna(subset="printed")


def _nothing_ran(runs: pd.DataFrame, paper: str, number: str) -> str:
    """A sentence on a table of which nothing ran, with the highest tier of its cells."""
    results = _own(compare(paper_cells(paper, number), runs))
    nearest = NEAREST.get(highest(results["tier"]), "")
    return f"none of {len(results)} values was run at the printed protocol.{nearest}"


def conditions_of(runs: pd.DataFrame, paper: str, number: str) -> pd.DataFrame:
    """The settings of a table's runs that the paper leaves open, by the cells that they fill.

    No verdict depends on them. `collapsed` counts repetitions far below the others; it is left out
    where there are none.
    """
    results = compare(paper_cells(paper, number), runs)
    results = results[results["footnotes"] != ""]
    notes = results.groupby("footnotes", sort=False)
    found = notes.agg(cells=("ours", "size"), collapsed=("collapsed", "sum")).reset_index()
    found["footnotes"] = found["footnotes"].map(conditions)
    found = found.rename(columns={"footnotes": "what ran"})
    return found if found["collapsed"].any() else found.drop(columns="collapsed")

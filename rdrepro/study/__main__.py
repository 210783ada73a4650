"""The catalogue of studies on the command line: `python -m rdrepro.study list | NAME`."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from rdrepro import paths
from rdrepro.runs.rows import load_runs
from rdrepro.study.catalogue import STUDIES, TABLES, Study, studies_of
from rdrepro.study.making import (
    caution,
    data_hashes,
    describe,
    make,
    missing,
    weights_files,
)

SHOWN = 10  # missing runs that --dry-run names
EPILOG = "NAME is a study or a printed table (table1 to table7, medical1 to medical4)."


def parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    p = argparse.ArgumentParser(
        prog="python -m rdrepro.study",
        description="List the studies, or make the rows of one that are missing.",
        epilog=EPILOG,
    )
    p.add_argument("name", metavar="NAME", help='a study, a printed table, or "list"')
    p.add_argument("--dry-run", action="store_true", help="only say what is missing")
    p.add_argument(
        "--weights",
        metavar="BACKBONE=PATH",
        action="append",
        default=[],
        help="a file of weights that is not found by its name, such as resnet18=PATH",
    )
    p.add_argument("--data-root", metavar="PATH", help="folder of data sets; also RDREPRO_DATA")
    p.add_argument("--results-dir", metavar="PATH", help="also RDREPRO_RESULTS")
    p.add_argument("--device", help="cpu or cuda; by default a GPU where there is one")
    return p


def say(sentence: str) -> None:
    """Print a sentence at once."""
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def catalogue_table() -> pd.DataFrame:
    """Every study: its number of runs and threads, hours of training, what it feeds."""
    lines = {
        study.name: {
            "runs": len(study.runs()),
            "threads": study.threads or "all",
            "hours": "not run" if study.hours is None else f"{study.hours:.2f}",
            "feeds": ", ".join(study.feeds),
            "question": study.question,
        }
        for study in STUDIES
    }
    return pd.DataFrame.from_dict(lines, orient="index")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    The code is 0 if nothing is missing at the end, 1 if something is, and 2 for a wrong argument.
    """
    given = parser().parse_args(arguments)
    if given.name == "list":
        say(catalogue_table().to_string())
        tables = (f"{table}: {', '.join(names)}" for table, names in TABLES.items())
        say("\nPrinted tables and their studies\n" + "\n".join(tables))
        return 0
    try:
        chosen = studies_of(given.name)
        weights = weights_files(given.weights, chosen)
        check_places(given)
        runs = load_runs(rows_folder(given))
    except ValueError as error:
        say(str(error))
        return 2
    hashes = data_hashes(given.data_root)
    lacking = [(study, missing(study, runs, hashes)) for study in chosen]
    for study, absent in lacking:
        report(study, absent)
    if given.dry_run or not any(absent for _, absent in lacking):
        return int(any(absent for _, absent in lacking))
    if caution():
        say(caution())
    named = ("data_root", "results_dir", "device")
    places = {name: getattr(given, name) for name in named if getattr(given, name)}
    failed = [
        sentence
        for study, absent in lacking
        for sentence in make(study, absent, weights, places, say)
    ]
    for sentence in failed:
        say(f"not made: {sentence}")
    runs = load_runs(rows_folder(given))
    return int(any(missing(study, runs, hashes) for study in chosen))


def rows_folder(given: argparse.Namespace) -> Path:
    """The folder of rows, as `resolve` would choose it."""
    named = given.results_dir
    return (Path(named).expanduser().absolute() if named else paths.results_dir()) / "runs"


def check_places(given: argparse.Namespace) -> None:
    """Raise ValueError for a data root that is no folder or, before runs, an unknown device."""
    if given.data_root and not Path(given.data_root).expanduser().is_dir():
        raise ValueError(f"--data-root {given.data_root!r} is no folder")
    if given.device and not given.dry_run:
        from rdrepro.runs.device import find_device  # loads torch

        find_device(given.device)


def report(study: Study, absent: list) -> None:
    """Say how many runs of a study have a row, and name the first of the missing ones."""
    whole = len(study.runs())
    say(f"{study.name}: {whole - len(absent)} of {whole} runs have a row")
    for run in absent[:SHOWN]:
        say(f"  missing: {describe(run)}")
    if len(absent) > SHOWN:
        say(f"  and {len(absent) - SHOWN} more")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrokenPipeError, KeyboardInterrupt):  # `| head` or Ctrl-C; finished rows stay
        sys.stderr.close()
        sys.exit(130)

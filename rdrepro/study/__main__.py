"""The catalogue on the command line: `python -m rdrepro.study list | NAME | rerun ROW`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from rdrepro import paths
from rdrepro.runs.rows import load_runs
from rdrepro.study.catalogue import STUDIES, TABLES
from rdrepro.study.jobs import Job
from rdrepro.study.making import caution
from rdrepro.study.plan import Plan
from rdrepro.text import duration

SHOWN = 10  # missing runs that are named before the start
MOST_LISTED = 100  # runs that are listed at the end, for each reason
EPILOG = """NAME is a printed table (table1 to table7, medical1 to medical4), a study, or
everything. Runs that have a row are not made again. With --set the runs are trials: their rows go
to results/scratch/NAME and enter no table of the report."""


def parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    p = argparse.ArgumentParser(
        prog="python -m rdrepro.study",
        description="List the studies, make the missing rows of one, or run a row again.",
        epilog=EPILOG,
    )
    p.add_argument("name", metavar="NAME", help='a table, a study, everything, "list" or "rerun"')
    p.add_argument("row", metavar="ROW", nargs="?", help="with rerun: the file of a row")
    p.add_argument(
        "--dry-run", action="store_true", help="check what is needed and missing; start no run"
    )
    p.add_argument("--cores", help="how many cores may be used at once, or all; by default 1")
    p.add_argument("--gpus", help="how many GPUs there are; each run takes one")
    p.add_argument("--seeds", help="seeds 1 to this number, where a study has several")
    p.add_argument("--set", help='changed settings, such as "epochs=2 weights=random"')
    p.add_argument("--only", help='limits, such as "category=wood,bottle seed=1"')
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
    p.add_argument("--profile", help="a profile of Snakemake: gpus, slurm, kubernetes or a path")
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
            "threads": study.threads or "any",
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
        if given.name == "rerun":
            from rdrepro.study.rerun import rerun

            return rerun(given.row, given.weights, given.data_root, given.device, say)
        if given.row:
            raise ValueError(f"{given.row!r} is one name too many; only rerun takes a second one")
        words = _words(given)
        plan = Plan.of(words)
        options = _options(given)
        return make(plan, plan.jobs(), words, options, given.dry_run)
    except (ValueError, OSError) as error:
        say(" ".join(str(error).split()))
        return 2


def _words(given: argparse.Namespace) -> dict[str, Any]:
    """The arguments, under the names that the workflow's `--config` uses."""
    names = ("seeds", "set", "only", "gpus", "data_root", "device")
    words = {name: getattr(given, name) for name in names}
    results = given.results_dir or str(paths.results_dir())
    words |= {"target": given.name, "results": str(Path(results).expanduser().absolute())}
    return {**words, "weights": given.weights}


CLUSTERS = ("slurm", "kubernetes")  # profiles that say how many jobs run at once


def _options(given: argparse.Namespace) -> list[str]:
    """Options of Snakemake: how much may run at once, and the profile."""
    cores = given.cores or ("" if given.profile in CLUSTERS else "1")
    if cores and cores != "all" and not (cores.isdecimal() and int(cores)):
        raise ValueError(f"--cores {cores!r} must be a whole number above zero, or all")
    options = ["--cores", cores] if cores else []
    if given.profile:
        named = paths.ROOT / "workflow" / "profiles" / given.profile
        if not named.is_dir() and not Path(given.profile).is_dir():
            known = sorted(p.name for p in named.parent.iterdir() if p.name != "default")
            raise ValueError(f"--profile {given.profile!r} is not one of {', '.join(known)}")
        options += ["--profile", str(named if named.is_dir() else Path(given.profile).absolute())]
    return options + (["--resources", f"gpu={given.gpus}"] if given.gpus else [])


def make(
    plan: Plan, jobs: Sequence[Job], words: Mapping[str, Any], options: list[str], dry_run: bool
) -> int:
    """Check what the missing runs need, make them, and report the outcome."""
    if plan.results.exists() and not plan.results.is_dir():
        raise ValueError(f"the results folder {plan.results} is a file; name another one")
    lacking = plan.lacking()
    say(f"{plan.target}: {len(jobs) - len(lacking)} of {len(jobs)} runs have a row")
    reasons: dict[Job, str] = {}
    if lacking:
        from rdrepro.study.readiness import check, fetch_weights

        found = check(plan, lacking)
        found = found if dry_run else fetch_weights(plan, found)
        reasons = dict(found.blocked)
        _say_needs(found.notes, reasons)
        _say_missing(found.ready)
        if found.ready and not dry_run:
            reasons |= _run(plan, found.ready, words, options)
    if dry_run:
        return int(bool(lacking))
    left = plan.lacking()
    _say_tables(plan, jobs, reasons)
    _say_failures(left, reasons)
    return int(bool(left))


def _say_failures(left: Sequence[Job], reasons: Mapping[Job, str]) -> None:
    """Name each run that has no row, under the sentence that says why."""
    by_reason: dict[str, list[Job]] = {}
    for job in left:
        by_reason.setdefault(reasons.get(job, "it has no row"), []).append(job)
    for reason, jobs in by_reason.items():
        say(f"not made, {len(jobs)} of {len(left)}: {reason}")
        for job in jobs[:MOST_LISTED]:
            say(f"  {job.study.name}: {job.text()}")
        if len(jobs) > MOST_LISTED:
            say(f"  and {len(jobs) - MOST_LISTED} more")


def _say_needs(notes: Sequence[str], blocked: Mapping[Job, str]) -> None:
    for note in notes:
        say(f"note: {note}")
    by_reason: dict[str, list[Job]] = {}
    for job, reason in blocked.items():
        by_reason.setdefault(reason, []).append(job)
    for reason, jobs in by_reason.items():
        say(f"{len(jobs)} runs cannot start (the first: {jobs[0].text()}): {reason}")


def _say_missing(ready: Sequence[Job]) -> None:
    for job in ready[:SHOWN]:
        say(f"  to run: {job.study.name}: {job.text()}")
    if len(ready) > SHOWN:
        say(f"  and {len(ready) - SHOWN} more")


def _run(
    plan: Plan, ready: Sequence[Job], words: Mapping[str, Any], options: list[str]
) -> dict[Job, str]:
    """Let Snakemake make rows; return a sentence for each job that failed."""
    from rdrepro.study.estimate import at_once, estimate_seconds
    from rdrepro.study.watch import failures, overheads, run_workflow

    if caution() and not plan.changes:
        say(caution())
    rows = [load_runs(folder / "runs") for folder in {paths.results_dir(), plan.results}]
    seconds = estimate_seconds(ready, pd.concat(rows), at_once(plan, ready, options))
    about = (
        f"about {duration(seconds)}, from rows of such runs"
        if seconds
        else ("for an unknown time, since no such run has a row yet")
    )
    log = plan.folder / "snakemake.log"
    say(f"{len(ready)} runs start, {about}. Executed notebooks and logs: {plan.folder}")
    markers = {job: plan.marker(job) for job in ready}
    plan.sweep(ready)
    code = run_workflow(list(markers.values()), words, options, log)
    failed = failures(markers)
    beside = overheads(list(markers.values()))
    if beside:
        say(f"Besides training and testing, a run took {median(beside):.0f} s (median).")
    if code and len(failed) == len(ready):
        say(f"Snakemake ended with code {code}; its messages are in {log}")
    return failed


def _say_tables(plan: Plan, jobs: Sequence[Job], reasons: Mapping[Job, str]) -> None:
    """Write and print the printed tables that the jobs fill."""
    from rdrepro.study.outcome import as_text, outcome, tables_of

    runs = load_runs(plan.results / "runs")
    folder = plan.folder / "tables"
    for table in tables_of(jobs):
        found = outcome(table, jobs, runs, reasons, trial=bool(plan.changes))
        if found.empty:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        found.to_csv(folder / f"{table}.csv", index=False)
        trial = " (a trial with changed settings: no reproduction)" * bool(plan.changes)
        say(f"\n{table}{trial}: ours (printed); also {folder / table}.csv")
        say(f"{as_text(found)}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        sys.exit(130)
    except KeyboardInterrupt:  # finished rows stay
        say("\nStopped. Finished rows are kept; the same command continues from here.")
        sys.exit(130)

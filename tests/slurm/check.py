"""What must hold after the Slurm test: `check.py RUNS HISTORY CATEGORY ...`, exit code 1 if not.

RUNS is the folder of rows. HISTORY holds what `sacct --allocations --duplicates --parsable2
--format=JobIDRaw,State,NodeList` printed: a line for every start of every job.
"""

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

from rdrepro.runs.rows import load_runs


def faults_of_rows(folder: Path, categories: list[str]) -> list[str]:
    """A sentence for each row that is invalid, incomplete, missing, unexpected or duplicated."""
    runs = load_runs(folder)
    faults = [f"{file}: {why}" for file, why in runs.attrs["unreadable"].items()]
    if runs.empty:
        return [*faults, f"{folder} has no rows"]
    for row in runs.itertuples():
        if row.status != "complete":
            faults.append(f"{row.file} has status {row.status!r}")
    found = Counter(runs["category"])
    faults += [
        f"{category} has {found[category]} rows; it must have {categories.count(category)}"
        for category in sorted({*found, *categories})
        if found[category] != categories.count(category)
    ]
    return faults


def faults_of_jobs(history: Path) -> list[str]:
    """A sentence for each job that did not finish, and one if no job moved to another node."""
    starts = defaultdict(list)
    with history.open(newline="") as lines:
        for start in csv.DictReader(lines, delimiter="|"):
            starts[start["JobIDRaw"]].append((start["State"], start["NodeList"]))
    faults = [
        f"job {job} ended as {tries[-1][0]}; its starts: {tries}"
        for job, tries in starts.items()
        if tries[-1][0] != "COMPLETED"
    ]
    if not any(moved(tries) for tries in starts.values()):
        faults.append(f"no job failed with its node and finished on another one: {dict(starts)}")
    return faults


def moved(tries: list[tuple[str, str]]) -> bool:
    """Whether a job lost its node and completed on another one."""
    (first, lost), (last, node) = tries[0], tries[-1]
    return first == "NODE_FAIL" and last == "COMPLETED" and node != lost


def main(folder: str, history: str, *categories: str) -> int:
    """Print every fault, or that there is none; return the exit code."""
    faults = faults_of_rows(Path(folder), list(categories)) + faults_of_jobs(Path(history))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if not faults:
        sys.stdout.write(f"{len(categories)} rows, each once; a job moved to the other node\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The benchmark on processors: `make bench`, or `python -m benchmarks.bench [PART ...]`.

Every method runs in a process of its own. The methods of a comparison take turns, A B A B ..., and
each ratio is taken round by round. What is measured goes to results/benchmarks/<part>.json. On a
busy machine nothing is written.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.machine import ALLOWED
from benchmarks.parts import ROUNDS, Part, Session, document, shown, write
from benchmarks.rounds import BusyError, WorkerError
from rdrepro.paths import ROOT
from rdrepro.text import duration, nearest

# Each has a list PARTS. They are imported late, since they load what they measure.
MODULES = tuple(
    f"benchmarks.tasks_{name}" for name in ("networks", "files", "surfaces", "size", "small")
)
FOLDER = ROOT / "results" / "benchmarks"
GROUP = "cpu-"  # how the names of this benchmark's files begin
SMALL_ROUNDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts that are named, by default all of them; return 1 where one fails."""
    parts = [part for name in MODULES for part in import_module(name).PARTS]
    return run(parts, GROUP, __doc__, arguments)


def run(parts: Sequence[Part], group: str, about: str, arguments: Sequence[str] | None) -> int:
    """The command line of a benchmark of these parts, whose files' names begin with `group`."""
    known = {part.name.removeprefix(group): part for part in parts}
    parser = argparse.ArgumentParser(
        description=about,
        epilog=f"All parts take {sum(part.minutes for part in parts):g} minutes:\n\n"
        + "\n".join(
            f"{name:10} {part.minutes:4g} min  {part.about}" for name, part in known.items()
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="see below; by default all")
    parser.add_argument("--rounds", type=int, default=0, help=f"of each comparison ({ROUNDS})")
    parser.add_argument("--anyway", action="store_true", help="on a busy machine; writes nothing")
    parser.add_argument("--small", action="store_true", help="try it small; writes nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go")
    given = parser.parse_args(arguments)
    for name in given.parts:
        if name not in known:
            near = nearest(name, known)
            parser.error(f"there is no part {name!r}; the parts are {', '.join(known)}.{near}")
    if given.rounds < 0:
        parser.error(f"--rounds={given.rounds} is negative")
    chosen = [part for name, part in known.items() if name in (given.parts or known)]
    rounds = given.rounds or (SMALL_ROUNDS if given.small else ROUNDS)
    session = Session(rounds, given.small, given.anyway)
    try:
        for number, part in enumerate(chosen):
            session.minutes_after = sum(p.minutes for p in chosen[number + 1 :]) * rounds / ROUNDS
            measure(part, session, None if given.small or given.anyway else given.folder)
    except (BusyError, WorkerError) as error:
        sys.stderr.write(f"Nothing was written for {part.name}: {error}.\n")
        return 1
    return 0


def measure(part: Part, session: Session, folder: Path | None) -> None:
    """Measure a part and print it; write its file too where a folder is given.

    Raises BusyError on a busy machine, and WorkerError where a method fails.
    """
    if session.others.look() and not session.anyway:
        raise BusyError(
            f"others use {session.others.share:.2f} processors (at most {ALLOWED} are allowed); "
            "wait until the machine is idle, or give --anyway to see figures that are not written"
        )
    expected = 60 * part.minutes * session.rounds / ROUNDS
    sys.stderr.write(f"{part.name}: {part.about} It takes about {duration(expected)}.\n")
    started = time.monotonic()
    findings = part.measure(session)
    took = f"{part.name} took {duration(time.monotonic() - started)}"
    sys.stdout.write(f"{part.name}: {part.about}\n{shown(findings)}\n")
    if folder is None:
        sys.stdout.write(f"{took}; nothing was written.\n")
        return
    target = write(document(part, findings, session), folder)
    sys.stdout.write(f"{took}; it is in {target.name}.\n")


if __name__ == "__main__":
    sys.exit(main())

"""Fetching a data set into the data folder: `python -m rdrepro.data.fetch mvtec`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rdrepro import archives, downloads, paths
from rdrepro.progress import say
from rdrepro.registry import DATASETS, DataSet, check_dataset
from rdrepro.text import one_of

FETCHED = tuple(name for name, entry in DATASETS.items() if entry.source)


def fetch(dataset: str, root: Path, accept: Callable[[str], bool]) -> None:
    """Download a data set and unpack it below `root`, unless it is there.

    accept: is called with a sentence that names the licence. An archive that already lies in `root`
    is used and kept; a downloaded archive is removed at the end. Raises ValueError for a data set
    that cannot be fetched, PermissionError for a licence that is not accepted, ConnectionError
    without a network, and OSError without enough space on the disk.
    """
    entry = _fetchable(dataset)
    target = root / entry.folders[0]
    if _is_complete(entry, root):
        say(f"{entry.title} is in {root} already.")
        _own_archive(entry, root).unlink(missing_ok=True)  # of a process killed at the very end
        return
    if not accept(f"{entry.title} has the licence {_licence(entry)}."):
        raise PermissionError(
            f"the licence of {entry.title} was not accepted, so nothing was downloaded"
        )
    with downloads.only_one(target):
        if not _is_complete(entry, root):  # else another process has fetched it
            _fetch(entry, root, target)
    say(f"{entry.title} is in {target}.")


def _fetchable(dataset: str) -> DataSet:
    """The entry of a data set; ValueError, with the way out, where it is not fetched from here."""
    check_dataset(dataset)
    entry = DATASETS[dataset]
    if entry.source:
        return entry
    how = entry.how_to_get or "it is downloaded when a run first needs it"
    if entry.embedded:
        how = "its images come with the package"
    raise ValueError(f"dataset={dataset!r} is not fetched here, only {one_of(FETCHED)}; {how}")


def _licence(entry: DataSet) -> str:
    return f"{entry.source.licence} ({entry.source.licence_url})"


def _is_complete(entry: DataSet, root: Path) -> bool:
    """Whether every category is there. FileExistsError where only some are, or something else."""
    for folder in (root, *(root / name for name in entry.folders)):
        found = [name for name in entry.categories if (folder / name).is_dir()]
        if len(found) == len(entry.categories):
            return True
        if folder != root and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(
                f"{folder} is there, with {len(found)} of the {len(entry.categories)} categories "
                f"of {entry.title}; move it away to fetch them all"
            )
    return False


def _fetch(entry: DataSet, root: Path, target: Path) -> None:
    archives.sweep(target)
    source = entry.source
    name = _archive_name(entry)
    own = _own_archive(entry, root)
    archive = root / name if (root / name).exists() else own
    rest = 0 if archive.exists() else source.size - downloads.arrived(archive)
    downloads.check_space(root, rest + source.unpacked, f"{entry.title} with its archive")
    way_out = f"get {name} by the link on {source.page}, put it into {root} and run this again"
    downloads.download(source.url, archive, source.sha256, way_out)
    say(f"Unpacking {name}, which can take some minutes.")
    archives.extract(archive, target)
    own.unlink(missing_ok=True)


def _archive_name(entry: DataSet) -> str:
    return entry.source.url.rsplit("/", 1)[-1]


def _own_archive(entry: DataSet, root: Path) -> Path:
    """The downloaded archive, which is hidden, unlike one that somebody put there."""
    return root / f".{_archive_name(entry)}"


def ask(sentence: str) -> bool:
    """Whether somebody at a terminal accepts a licence. PermissionError where nobody is there."""
    if not sys.stdin.isatty():
        raise PermissionError(f"{sentence} Give --accept-licence if you accept it.")
    try:
        return input(f"{sentence} Do you accept it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    p = argparse.ArgumentParser(
        prog="python -m rdrepro.data.fetch",
        description="Download a data set, check it and unpack it into the data folder.",
    )
    p.add_argument("dataset", help=f"the data set: {one_of(FETCHED)}")
    p.add_argument("--data-root", metavar="PATH", help="the data folder (default: RDREPRO_DATA)")
    p.add_argument("--accept-licence", action="store_true", help="accept the data set's licence")
    given = p.parse_args(arguments)
    accept = _accepted if given.accept_licence else ask
    try:
        fetch(given.dataset, _root(given.data_root), accept)
    except (ValueError, OSError) as error:
        reason = f"cannot fetch {given.dataset}: " if getattr(error, "errno", None) else ""
        sys.stderr.write(f"{reason}{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; what has arrived is kept for the next try.\n")
        return 130
    return 0


def _root(named: str | None) -> Path:
    if named:
        return paths.existing(named) or Path(named).expanduser()
    return paths.data_dir() or paths.ROOT / "data"


def _accepted(sentence: str) -> bool:
    say(sentence)
    return True


if __name__ == "__main__":
    sys.exit(main())

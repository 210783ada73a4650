"""Hashes of files, remembered so that unchanged files are not read again. Loads no torch."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from rdrepro.data.images import encoded
from rdrepro.files import replacing
from rdrepro.progress import progress

T, R = TypeVar("T"), TypeVar("R")
THREADS = 2
# File systems round times to up to two seconds. A file that changed so shortly before it was read
# may change again and keep its time. Its hash is therefore not remembered (git treats its index in
# the same way). Neither is the hash of a file whose time lies in the future.
UNSURE = 2_000_000_000  # ns

# A file's size, times of its content and of its inode (ns), and inode number. No program can set
# the inode's time, so a copied file with an old date is recognised as new.
Signature = tuple[int, int, int, int]


def signature(path: Path) -> Signature | None:
    """A signature that changes with a file and needs no reading of it; None if there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def file_hashes(
    files: Iterable[Path], root: Path, table: Path | None = None
) -> dict[str, str | None]:
    """The SHA-256 of each file, by its name relative to `root`; None where it cannot be read.

    table: a file that remembers hashes between calls. It is made if need be, and ignored if it is
    damaged.
    """
    paths = {path.relative_to(root).as_posix(): path for path in files}
    old = _read_table(table) if table else {}
    known = {}
    for name, path in paths.items():
        entry = old.get(name)
        if entry and entry[:-1] == list(signature(path) or ()):
            known[name] = entry
    fresh = [name for name in paths if name not in known]
    found = in_threads(lambda name: _hash(paths[name]), fresh, "reading")
    hashes = {name: entry[-1] for name, entry in known.items()}
    for name, (digest, entry) in zip(fresh, found, strict=True):
        hashes[name] = digest
        if entry:
            known[name] = entry
    if table and known != old:
        _write_table(known, table)
    return hashes


def in_threads(function: Callable[[T], R], items: Sequence[T], description: str) -> list[R]:
    """The function's values for all items, computed in THREADS threads under a progress bar."""
    if not items:
        return []
    pool = ThreadPoolExecutor(THREADS)
    try:
        values = pool.map(function, items)
        return list(progress(values, description, total=len(items), leave=False))
    finally:
        pool.shutdown(cancel_futures=True)


def _hash(path: Path) -> tuple[str | None, list | None]:
    """A file's SHA-256, and its entry for the table if that can be trusted later."""
    before, now = signature(path), time.time_ns()
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None, None
    sure = before and before == signature(path) and max(before[1:3]) < now - UNSURE
    return digest, [*before, digest] if sure else None


def combined(hashes: Mapping[str, str | None]) -> str:
    """One SHA-256 of the names and hashes of files."""
    digest = hashlib.sha256()
    for name in sorted(hashes):
        digest.update(encoded(f"{name}\0{hashes[name]}\n"))
    return digest.hexdigest()


def _read_table(path: Path) -> dict[str, list]:
    """The entries of a table: signature and SHA-256 by name. Damaged ones are left out."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    kinds = [int, int, int, int, str]
    return {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, list) and [type(part) for part in entry] == kinds
    }


def _write_table(entries: Mapping[str, list], path: Path) -> None:
    with suppress(OSError):  # without a table, the files are read again
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            aside.write_text(json.dumps(entries), encoding="utf-8")

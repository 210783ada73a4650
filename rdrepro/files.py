"""Files that are written whole or not at all, and the message where a disk is full."""

import errno
import itertools
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

HOST = re.sub(r"\W", "-", socket.gethostname())
_numbers = itertools.count()
ASIDE = re.compile(r"\..+\.(?P<host>[\w-]+)\.(?P<process>\d+)\.\d+\.tmp")
ABANDONED = 86400  # seconds; an older file of another machine has no writer any more


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """The context in which a file is written under another name; it is renamed at the end.

    A reader therefore sees the old file or the new one, never a part. The context's value is the
    path to write to. Raises OSError, with a message of one sentence, where the disk is full.
    """
    aside = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.{next(_numbers)}.tmp")
    try:
        with disk_errors_explained(target):
            yield aside
            aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def disk_errors_explained(target: Path) -> Iterator[None]:
    """Turn the errors of a full or read-only disk into an OSError that names the file."""
    full = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}
    try:
        yield
    except OSError as error:
        if error.errno not in full:
            raise
        raise OSError(
            error.errno,
            f"{target.name} was not written, since {full[error.errno]}; free some space in "
            f"{target.parent} and run again",
        ) from None


def sweep(folder: Path) -> list[str]:
    """Remove the unfinished files of killed processes from a folder; return their names.

    The files of running processes stay. So do recent files of other machines.
    """
    gone = []
    for path in folder.glob(".*.tmp") if folder.is_dir() else ():
        match = ASIDE.fullmatch(path.name)
        if match and _abandoned(path, match["host"], int(match["process"])):
            path.unlink(missing_ok=True)
            gone.append(path.name)
    return gone


def _abandoned(path: Path, host: str, process: int) -> bool:
    if host == HOST:
        return not psutil.pid_exists(process)
    try:
        return time.time() - path.stat().st_mtime > ABANDONED
    except FileNotFoundError:
        return False


@contextmanager
def one_at_a_time(target: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The context in which no other process works on the same file.

    The system releases the lock of a killed process. waiting: is called before waiting for another
    process's lock. On a file system without locks, nothing is locked.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
    except NotImplementedError:
        pass
    try:
        yield
    finally:
        lock.release()

"""Downloads that resume after an interruption, and are checked before they are used."""

import functools
import hashlib
import http.client
import json
import logging
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pooch
from filelock import FileLock, Timeout

from rdrepro.files import replacing
from rdrepro.progress import progress, say

OFFLINE = "RDREPRO_OFFLINE"
RECORD = "downloads.json"  # beside the files: each SHA-256 that nobody publishes
TIMEOUT = 30  # seconds without a byte, after which a connection counts as lost
PAUSE = 1  # second before the first new try; it doubles with each
TRIES = 5  # in a row with less than STEP received
STEP = 2**20  # bytes
BLOCK = 2**18  # bytes
HEX_DIGITS = 64  # of a whole SHA-256
LATER = (408, 425, 429)  # HTTP errors 4xx that may pass
LOST = (URLError, TimeoutError, ConnectionError, http.client.HTTPException, ssl.SSLError)
pooch.get_logger().setLevel(logging.WARNING)  # the bar already says what pooch would log


def offline() -> bool:
    """Whether $RDREPRO_OFFLINE forbids every use of the network."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def refuse_offline(wanted: str, way_out: str) -> None:
    """Raise ConnectionError where $RDREPRO_OFFLINE is set; `way_out` completes the sentence."""
    if offline():
        raise ConnectionError(f"{OFFLINE} is set, so {wanted} is not downloaded; {way_out}")


def download(
    url: str,
    target: Path,
    sha256: str = "",
    way_out: str = "try again later",
    timeout: float = TIMEOUT,
    pause: float = PAUSE,
) -> Path:
    """Download a file unless it is there; return its path.

    sha256: the file's SHA-256 or its first digits. Without it, the SHA-256 of the first download is
    shown and kept in downloads.json beside the file. Later downloads are compared with it. way_out:
    completes the message of an error. timeout, pause: seconds.

    The part that has arrived is kept beside the target. The next try continues from there if the
    server allows it and the file has not changed. Raises ConnectionError where the network fails,
    OSError where the disk does, and ValueError for a file with another SHA-256. In the last case a
    downloaded file is removed, but a file that was there before is kept.
    """
    if not target.exists():
        refuse_offline(url, way_out)
        try:
            with only_one(target):
                if not target.exists():  # else another process has made it
                    return _fetch(url, target, sha256, way_out, timeout, pause)
        except OSError as error:
            if error.errno is None:  # the message is already a sentence
                raise
            raise OSError(f"cannot download {url} ({error.strerror}); {way_out}") from None
    digest = hash_of(target) if sha256 else ""
    if not digest.startswith(sha256):
        raise ValueError(
            f"{target} has the SHA-256 {digest[:16]}... instead of {sha256[:16]}...; delete it, "
            "and it is downloaded anew"
        )
    return target


@contextmanager
def only_one(target: Path) -> Iterator[None]:
    """The context in which no other process makes the same target. It waits for its turn."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(target, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another process is getting {target.name.lstrip('.')}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # filelock makes a new one for whoever waits
        lock.release()


def check_space(folder: Path, needed: int, wanted: str) -> None:
    """Raise OSError where a folder's disk has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{wanted} needs {gigabytes(needed)} in {folder}, where {gigabytes(free)} are free; "
            "free some space or name another folder"
        )


def arrived(target: Path) -> int:
    """How many bytes of a file have arrived in earlier tries."""
    return _size(_part(target))


def gigabytes(number: int) -> str:
    """A number of bytes as text, in MB or GB (a GB is a thousand MB)."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def hash_of(path: Path) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, target: Path, sha256: str, way_out: str, timeout: float, pause: float) -> Path:
    folder, part = _beside(target, "download"), _part(target)
    expected = sha256 or _recorded(target)
    options = {"part": part, "blind": bool(expected), "timeout": timeout, "pause": pause}
    whole = f"sha256:{expected}" if len(expected) == HEX_DIGITS else None
    try:
        folder.mkdir(exist_ok=True)
        downloader = functools.partial(_downloader, **options)
        kept = Path(pooch.retrieve(url, whole, target.name, folder, downloader=downloader))
        digest = expected if whole else hash_of(kept)
        if not digest.startswith(expected):
            raise ValueError("another SHA-256")
        if not expected:
            _record(url, target, digest)
        kept.replace(target)
    except ValueError:
        got = f" but {hash_of(part)[:16]}..." if part.exists() else ""
        shutil.rmtree(folder)
        raise ValueError(
            f"what {url} sent was removed, since its SHA-256 is not {expected[:16]}...{got}; "
            f"{way_out}"
        ) from None
    except ConnectionError as error:
        if _size(part):
            error = f"{error}; {gigabytes(_size(part))} are kept for the next try"
        else:
            shutil.rmtree(folder)
        raise ConnectionError(f"cannot download {url} ({error}); {way_out}") from None
    shutil.rmtree(folder)
    return target


def _downloader(
    url: str, output: str, pooch_: object, *, part: Path, blind: bool, timeout: float, pause: float
) -> None:
    """A downloader for pooch that continues an earlier download and retries.

    blind: whether to continue even if the server does not say whether the file has changed. This is
    safe for files whose SHA-256 is known. Raises ConnectionError, whose message is the reason
    alone.
    """
    best, failures = _size(part), 0
    while True:
        try:
            _go_on(url, part, blind, timeout)
            break
        except LOST as error:
            reached = _size(part)
            failures = 1 if reached >= best + STEP else failures + 1
            if failures == TRIES or _hopeless(error, first=not reached):
                raise ConnectionError(_reason(error, timeout)) from None
            best = max(best, reached)
            time.sleep(pause * 2 ** (failures - 1))
    _hand_over(part, Path(output))


def _hand_over(part: Path, output: Path) -> None:
    """Give the complete part the name under which pooch checks it."""
    output.unlink(missing_ok=True)
    try:
        os.link(part, output)  # so that the part is still there if the process ends meanwhile
    except OSError:  # some file systems have no links
        part.replace(output)


def _go_on(url: str, part: Path, blind: bool, timeout: float) -> None:
    """Read a file to its end, from where `part` ends if the server allows it."""
    known, have = _read_json(part.with_suffix(".json")), _size(part)
    if known.get("url") != url or not (known.get("version") or blind):
        have = 0
    if have and have == known.get("bytes"):
        return
    headers = {"User-Agent": "rdrepro", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.get("version"):
            headers["If-Range"] = known["version"]
    try:
        with urlopen(Request(url, headers=headers), timeout=timeout) as answer:
            _receive(answer, url, part, have, known)
    except HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise ConnectionError("the file has become shorter") from None
        raise


def _receive(
    answer: http.client.HTTPResponse, url: str, part: Path, have: int, known: dict
) -> None:
    """Write what a server answers to the end of `part`, or from its beginning."""
    now = {"url": url, "version": _version(answer.headers), "bytes": _length(answer)}
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        start = answer.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
        changed = any(known.get(key) not in (None, "", now[key]) for key in now if now[key])
        if start != str(have) or changed:
            part.unlink()
            raise ConnectionError("the file has changed on the server")
        now = {key: now[key] or known.get(key) for key in now}
    else:
        have = 0
        part.unlink(missing_ok=True)
        part.with_suffix(".json").write_text(json.dumps(now))
    name = url.rsplit("/", 1)[-1]
    if now["bytes"]:
        check_space(part.parent, now["bytes"] - have, name)
    style = {"unit": "B", "unit_scale": True, "total": now["bytes"], "initial": have}
    with open(part, "ab") as file, progress(description=name, **style) as bar:
        while block := answer.read1(BLOCK):
            file.write(block)
            bar.update(len(block))
    if now["bytes"] is not None and _size(part) != now["bytes"]:
        raise ConnectionError("the connection was cut")


def _version(headers: Message) -> str:
    """The tag of this version of a file, for the header If-Range; "" if it has none.

    If-Range forbids weak tags, which several versions may share (RFC 9110, 13.1.5).
    """
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _length(answer: http.client.HTTPResponse) -> int | None:
    """How many bytes the whole file has, or None where the server does not say."""
    given = answer.headers.get("Content-Length")
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        given = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(given) if given and given.isdecimal() else None


def _hopeless(error: Exception, first: bool) -> bool:
    """Whether another try would be useless. first: nothing has arrived so far."""
    if isinstance(error, HTTPError):
        return error.code < 500 and error.code not in LATER
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return True
    return first and isinstance(reason, ConnectionRefusedError | socket.gaierror)


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP error {error.code}, {error.reason}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer for {timeout:g} s"
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__


def _recorded(target: Path) -> str:
    """The SHA-256 of an earlier download of a file; "" if there was none."""
    return _read_json(target.with_name(RECORD)).get(target.name, {}).get("sha256", "")


def _record(url: str, target: Path, digest: str) -> None:
    path = target.with_name(RECORD)
    entries = {**_read_json(path), target.name: {"url": url, "sha256": digest}}
    with replacing(path) as aside:
        aside.write_text(json.dumps(entries, indent=2) + "\n")
    say(
        f"{target.name} has the SHA-256 {digest}, kept in {path.name}; no publication names one, "
        "so later downloads are compared with this one."
    )


def _read_json(path: Path) -> dict:
    """An object from a JSON file; empty where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _beside(target: Path, ending: str) -> Path:
    """The hidden path beside a target that serves its download."""
    return target.with_name(f".{target.name.lstrip('.')}.{ending}")


def _part(target: Path) -> Path:
    return _beside(target, "download") / "part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

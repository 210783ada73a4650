"""Unpacking archives (tar, tar.xz, zip). Nothing in them is trusted before it is checked."""

import errno
import lzma
import os
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

from rdrepro.files import disk_errors_explained

# Limits against archives that grow without end. The largest data set here, Retinal OCT, has 110,000
# files and 11 GB. Pictures are compressed already, so their archives hardly grow. The headers of
# small files shrink well, so the ratio says nothing about small archives.
MOST_BYTES = 100 * 2**30
MOST_MEMBERS = 500_000
MOST_RATIO = 100
SMALL = 2**20  # bytes that any archive may grow to, whatever its ratio
MOST_DEPTH, LONGEST_NAME = 32, 255  # folders above a file; bytes of one name, as file systems allow

ODD_REQUESTS = (errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ)  # what damaged archives cause

BLOCK = 2**20  # bytes
ASIDE = ".unpacking"  # suffix of a folder that is being filled
XZ, ZIP = b"\xfd7zXZ\x00", b"PK\x03\x04"  # how such files begin
FILE, FOLDER = "a file", "a folder"
TAR_KINDS = {
    tarfile.DIRTYPE: FOLDER,
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
MODE_KINDS = {0: FILE, stat.S_IFREG: FILE, stat.S_IFDIR: FOLDER, stat.S_IFLNK: "a symbolic link"}


class Member(NamedTuple):
    """A member of an archive, as the archive describes it."""

    name: str
    kind: str
    size: int  # bytes
    content: IO[bytes] | None  # of a file


def extract(archive: Path, target: Path) -> Path:
    """Unpack an archive as the folder `target`, whole or not at all; return the folder.

    It is unpacked into a hidden folder beside the target, which is then renamed. Only files and
    folders are made, with this process's usual permissions. Only one process at a time may unpack
    to a target. Raises FileExistsError where the target is not empty, OSError where the disk is
    full, and ValueError, with the member's name, for a damaged archive and for one that holds links
    or devices, reaches out of its folder, or exceeds the limits above.
    """
    if target.is_symlink() or (target.exists() and not _is_empty(target)):
        raise FileExistsError(f"{target} is there already; move it away to unpack {archive.name}")
    sweep(target)
    aside = target.with_name(f".{target.name}.{os.getpid()}{ASIDE}")
    try:
        with disk_errors_explained(target):
            aside.mkdir(parents=True)
            _unpack(archive, aside)
            aside.rename(target)
    except Exception as error:  # a damaged archive can raise anything
        if isinstance(error, OSError) and error.errno not in ODD_REQUESTS:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{archive.name} was not unpacked, since {reason}; delete {archive} and get it anew"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def sweep(target: Path) -> None:
    """Remove what killed processes left half unpacked for a target."""
    for path in target.parent.glob(f".*{ASIDE}") if target.parent.is_dir() else ():
        number = path.name.removeprefix(f".{target.name}.").removesuffix(ASIDE)
        if number.isdigit():
            shutil.rmtree(path)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _unpack(archive: Path, folder: Path) -> None:
    limit = min(MOST_BYTES, max(SMALL, MOST_RATIO * archive.stat().st_size))
    seen: dict[str, tuple[str, str]] = {}
    written = 0
    with closing(_members(archive, limit)) as members:
        for number, member in enumerate(members, start=1):
            if number > MOST_MEMBERS:
                raise ValueError(f"it has more than {MOST_MEMBERS:,} members")
            parts = _safe_parts(member)
            _note(seen, parts, member)
            if written + member.size > limit:
                raise ValueError(_grows(limit, f"with {_shown(member.name)}"))
            path = folder.joinpath(*parts)
            if member.kind == FOLDER:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                written += _write(member, path)
    if not seen:
        raise ValueError("it is empty")


def _write(member: Member, path: Path) -> int:
    """Write a member to a new file; return its size. ValueError if the archive states another."""
    size = 0
    with open(path, "xb") as file:
        while size <= member.size and (block := member.content.read(BLOCK)):
            size += file.write(block)
    if size != member.size:
        raise ValueError(f"{_shown(member.name)} has another size than the archive says")
    return size


def _grows(limit: int, where: str) -> str:
    return (
        f"it grows {where} to more than {limit:,} bytes ({MOST_BYTES:,} bytes and {MOST_RATIO} "
        "times its own size are allowed)"
    )


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else f"{name[:80]}...")


def _safe_parts(member: Member) -> list[str]:
    """The folders and the name of a member; ValueError where it may not be written."""
    name, shown = member.name, _shown(member.name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if member.kind not in (FILE, FOLDER):
        raise ValueError(f"{shown} is {member.kind}")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise ValueError(f"{shown} is an absolute path, or one of another system")
    if ".." in parts:
        raise ValueError(f"{shown} leads out of its folder")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise ValueError(f"{shown} has characters that are not text")
    if len(parts) > MOST_DEPTH or any(len(p.encode()) > LONGEST_NAME for p in parts):
        raise ValueError(f"{shown} is too deep or too long")
    if not parts and member.kind == FILE:
        raise ValueError(f"{shown} is not a file name")
    return parts


def _note(seen: dict[str, tuple[str, str]], parts: list[str], member: Member) -> None:
    """Add a member and the folders above it to `seen`; ValueError where a name is there already.

    Names that differ only in case or in how accents are written count as equal, since on some file
    systems one of them would replace the other.
    """
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth])
        kind = member.kind if depth == len(parts) else FOLDER
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        before = seen.get(key)
        if before and not (kind == FOLDER and before == (name, FOLDER)):
            raise ValueError(f"{_shown(name)} and {_shown(before[0])} would be one file")
        seen[key] = name, kind


def _members(archive: Path, limit: int) -> Iterator[Member]:
    with open(archive, "rb") as file:
        start = file.read(len(XZ))
    if start.startswith(ZIP):
        yield from _zip_members(archive)
    elif start == XZ:
        with lzma.open(archive) as unpacked:
            yield from _tar_members(unpacked, limit)
    else:
        with open(archive, "rb") as file:
            yield from _tar_members(file, limit)


class _Limited:
    """A stream that raises ValueError once more than `limit` bytes have been read from it."""

    def __init__(self, stream: IO[bytes], limit: int):
        self.stream, self.limit, self.done = stream, limit, 0

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.done += len(block)
        if self.done > self.limit:
            raise ValueError(_grows(self.limit, "when it is decompressed"))
        return block


class _Header(tarfile.TarInfo):
    """A tar header; ValueError for a damaged one, at which tarfile would stop silently."""

    @classmethod
    def frombuf(cls, buffer: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        try:
            header = super().frombuf(buffer, encoding, errors)
        except tarfile.EOFHeaderError:  # the mark at the end
            raise
        except tarfile.HeaderError as error:
            raise ValueError(f"it is not a tar or zip file, or is damaged ({error})") from None
        if header.type not in TAR_KINDS and header.size > SMALL:  # tarfile reads these at once
            raise ValueError(f"it has a header of {header.size:,} bytes")
        return header


def _tar_members(file: IO[bytes], limit: int) -> Iterator[Member]:
    """The members of a tar file, read as a stream, so that its headers count for the limit too."""
    stream = _Limited(file, limit + SMALL)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:
        for info in tar:
            kind = TAR_KINDS.get(info.type, "of an unknown kind")
            if kind == FILE and info.issparse():
                kind = TAR_KINDS[tarfile.GNUTYPE_SPARSE]
            if kind == FILE:
                yield Member(info.name, kind, info.size, tar.extractfile(info))
            else:
                yield Member(info.name, kind, 0, None)


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = MODE_KINDS.get(stat.S_IFMT(info.external_attr >> 16), "a device or a pipe")
            if kind in (FILE, FOLDER):
                kind = FOLDER if info.is_dir() else FILE
            if info.flag_bits & 1:
                kind = "encrypted"
            if kind != FILE:
                yield Member(info.filename, kind, 0, None)
                continue
            with packed.open(info) as content:
                yield Member(info.filename, kind, info.file_size, content)

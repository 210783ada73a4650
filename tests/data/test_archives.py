"""Archives that are hostile or damaged: nothing is written outside, and nothing half."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from rdrepro import archives
from rdrepro.archives import extract


def tar(path, *members, mode="w"):
    """Write a tar file of members (name, content or None, settings of its TarInfo)."""
    with tarfile.open(path, mode) as file:
        for name, content, settings in members:
            info = tarfile.TarInfo(name)
            info.size = len(content or b"")
            for key, value in settings.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(content or b""))
    return path


def packed(path, *members, mode=0, **settings):
    """Write a zip file of members (name, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            for key, value in settings.items():
                setattr(info, key, value)
            file.writestr(info, content)
    return path


@pytest.fixture
def target(tmp_path):
    """A target in a folder of its own; afterwards nothing may lie outside the target."""
    (tmp_path / "data").mkdir()
    yield tmp_path / "data" / "target"
    assert {p.name for p in (tmp_path / "data").iterdir()} <= {"target"}
    assert {p.name for p in tmp_path.iterdir()} <= {"data", "a.tar", "a.zip"}


def refused(archive, target, message):
    with pytest.raises(ValueError, match=message) as error:
        extract(archive, target)
    assert "\n" not in str(error.value) and str(archive) in str(error.value)
    assert not target.exists()


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files(folder)}


def files(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize("mode", ["w", "w:xz"])
def test_a_tar_file_is_unpacked_with_permissions_of_our_own(tmp_path, target, mode):
    archive = tar(
        tmp_path / "a.tar",
        ("./", None, {"type": tarfile.DIRTYPE}),
        ("./wood", None, {"type": tarfile.DIRTYPE, "mode": 0o000}),
        ("./wood/1.png", b"one", {"mode": 0o4000, "uid": 1}),
        ("tile/deep/2.png", b"", {}),
        mode=mode,
    )
    assert extract(archive, target) == target
    assert contents(target) == {"wood/1.png": b"one", "tile/deep/2.png": b""}
    (tmp_path / "data" / "target" / "plain").write_text("")
    plain, ours = target / "plain", target / "wood" / "1.png"
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert os.access(target / "wood", os.W_OK)


def test_a_zip_file_is_unpacked(tmp_path, target):
    archive = packed(tmp_path / "a.zip", ("OCT2017 /", b""), ("OCT2017 /1.png", b"one"))
    extract(archive, target)
    assert contents(target) == {"OCT2017 /1.png": b"one"}


@pytest.mark.parametrize(
    "name", ["/tmp/x", "../x", "a/../../x", "a\\..\\x", "C:/x", "a/\x01", "./", 40 * "a/" + "x"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, target, name):
    said = ascii(name)[1:9].replace("\\", r"\\").replace(".", r"\.")
    refused(tar(tmp_path / "a.tar", ("ok", b"1", {}), (name, b"2", {})), target, said)
    if not name.endswith("/"):
        refused(packed(tmp_path / "a.zip", ("ok", b"1"), (name, b"2")), target, said)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "'evil' is a symbolic link"),
        (tarfile.LNKTYPE, "'evil' is a hard link"),
        (tarfile.CHRTYPE, "'evil' is a device"),
        (tarfile.BLKTYPE, "'evil' is a device"),
        (tarfile.FIFOTYPE, "'evil' is a named pipe"),
        (b"Z", "'evil' is of an unknown kind"),
    ],
)
def test_links_and_devices_are_refused(tmp_path, target, kind, message):
    members = ("ok", b"1", {}), ("evil", None, {"type": kind, "linkname": "/etc"})
    refused(tar(tmp_path / "a.tar", *members, ("evil/x", b"1", {})), target, message)


@pytest.mark.parametrize(
    ("mode", "kind"), [(stat.S_IFLNK, "a symbolic link"), (stat.S_IFIFO, "a device or a pipe")]
)
def test_links_and_pipes_in_zip_files_are_refused(tmp_path, target, mode, kind):
    refused(packed(tmp_path / "a.zip", ("evil", b"/etc"), mode=mode), target, f"'evil' is {kind}")


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a", "./a"), ("a", "A"), ("d/x", "D/y"), ("d", "d/x"), ("\xe9", "e\u0301")],
)
def test_names_that_would_be_one_file_are_refused(tmp_path, target, names):
    members = [(name, b"1", {}) for name in names]
    refused(tar(tmp_path / "a.tar", *members), target, "would be one file")


@pytest.mark.parametrize("write", ["tar", "zip"])
def test_an_archive_that_grows_too_much_is_refused(tmp_path, target, write):
    bomb = bytes(3 * 2**20)
    if write == "tar":
        archive = tar(tmp_path / "a.tar", ("zeros", bomb, {}), mode="w:xz")
    else:
        archive = packed(tmp_path / "a.zip", ("zeros", bomb))
    refused(archive, target, "it grows with 'zeros' to more than 1,048,576 bytes")


def test_many_small_files_grow_too(tmp_path, target):
    members = [(f"{n}", bytes(2**19), {}) for n in range(4)]
    refused(tar(tmp_path / "a.tar", *members, mode="w:xz"), target, "it grows with '2'")


def test_headers_count_as_well(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 10_000)
    monkeypatch.setattr(archives, "MOST_RATIO", 10)
    members = [(f"{n}", None, {"type": tarfile.DIRTYPE}) for n in range(200)]
    refused(tar(tmp_path / "a.tar", *members, mode="w:xz"), target, "when it is decompressed")


def test_a_huge_header_is_not_read(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 1000)
    long = {"pax_headers": {"comment": "x" * 5000}}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT, **long) as file:
        file.addfile(tarfile.TarInfo("a"))
    refused(tmp_path / "a.tar", target, "it has a header of 5,0.. bytes")


def test_a_zip_member_is_no_longer_than_it_says(tmp_path, target):
    archive = packed(tmp_path / "a.zip", ("liar", bytes(5000)))
    lie = archive.read_bytes().replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    archive.write_bytes(lie)
    refused(archive, target, "Bad CRC-32|another size")


def test_too_many_members_are_refused(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    members = [(f"{n}", b"1", {}) for n in range(3)]
    refused(tar(tmp_path / "a.tar", *members), target, "more than 2 members")


@pytest.mark.parametrize("mode", ["w", "w:xz"])
@pytest.mark.parametrize("left", [0.05, 0.3, 0.6, 0.9])
def test_a_cut_archive_is_refused(tmp_path, target, mode, left):
    members = [(f"{n}", os.urandom(3000), {}) for n in range(20)]
    archive = tar(tmp_path / "a.tar", *members, mode=mode)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(left * 20 * 3584) if mode == "w" else int(left * len(whole))])
    refused(archive, target, "was not unpacked, since .*; delete")


def test_a_tar_file_cut_between_two_members_is_refused(tmp_path, target):
    archive = tar(tmp_path / "a.tar", ("a", b"1", {}), ("b", b"1", {}))
    archive.write_bytes(archive.read_bytes()[:1024])
    refused(archive, target, "or is damaged")


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path, target):
    archive = tar(tmp_path / "a.tar", ("a", b"1", {}), ("b", b"1", {}))
    content = bytearray(archive.read_bytes())
    content[1024] ^= 255
    archive.write_bytes(content)
    refused(archive, target, "or is damaged")


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"PK\x03\x04 no", b"\0" * 2048]
)
def test_what_is_no_archive_is_refused(tmp_path, target, content):
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar", target, "was not unpacked")


def test_an_encrypted_zip_file_is_refused(tmp_path, target):
    archive = packed(tmp_path / "a.zip", ("secret", b"1"))
    content = bytearray(archive.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    archive.write_bytes(content)
    refused(archive, target, "'secret' is encrypted")


def test_a_target_that_holds_something_is_left_alone(tmp_path, target):
    archive = tar(tmp_path / "a.tar", ("a", b"new", {}))
    target.mkdir()
    (target / "a").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="is there already; move it away"):
        extract(archive, target)
    assert contents(target) == {"a": b"mine"}
    (target / "a").unlink()
    extract(archive, target)
    assert contents(target) == {"a": b"new"}


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path, target):
    archive = tar(tmp_path / "a.tar", ("a", b"1", {}))
    left = target.with_name(".target.123.unpacking")
    (left / "wood").mkdir(parents=True)
    other = target.with_name(".target.other.123.unpacking")
    other.mkdir()
    extract(archive, target)
    assert not left.exists() and other.exists()
    other.rmdir()


def test_a_full_disk_leaves_nothing(tmp_path, target, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(OSError, match="the disk is full; free some space"):
        extract(tar(tmp_path / "a.tar", ("a", b"1", {})), target)

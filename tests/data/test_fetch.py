"""Fetching a data set: its licence, its archive, its folder."""

import dataclasses
import hashlib
import io
import subprocess
import sys
import tarfile

import pytest

from rdrepro import downloads
from rdrepro.data.fetch import fetch, main
from rdrepro.registry import DATASETS, MVTEC_CATEGORIES

NAME = "mvtec_anomaly_detection.tar.xz"


@pytest.fixture
def served(tmp_path, serve, monkeypatch):
    """The folder of a local server that has an archive with MVTec AD's folders."""
    folder = tmp_path / "served"
    folder.mkdir()
    with tarfile.open(folder / NAME, "w:xz") as file:
        for category in MVTEC_CATEGORIES:
            info = tarfile.TarInfo(f"{category}/train/good/000.png")
            info.size, info.mode = 4, 0o444
            file.addfile(info, io.BytesIO(b"good"))
    digest = hashlib.sha256((folder / NAME).read_bytes()).hexdigest()
    entry = DATASETS["mvtec"]
    changed = {"url": f"{serve(folder)}/{NAME}", "sha256": digest, "size": 1000, "unpacked": 1000}
    source = dataclasses.replace(entry.source, **changed)
    monkeypatch.setitem(DATASETS, "mvtec", dataclasses.replace(entry, source=source))
    return folder


def never(sentence):
    pytest.fail("the licence was asked for")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_data_set_is_fetched_once(served, tmp_path):
    asked = []
    root = tmp_path / "data"
    fetch("mvtec", root, lambda sentence: asked.append(sentence) is None)
    folder = root / "mvtec"
    assert names(folder) == sorted(MVTEC_CATEGORIES)
    assert (folder / "wood" / "train" / "good" / "000.png").read_bytes() == b"good"
    assert names(root) == ["mvtec"]
    assert "CC BY-NC-SA 4.0" in asked[0] and "creativecommons.org" in asked[0]
    fetch("mvtec", root, never)


def test_a_refused_licence_downloads_nothing(served, tmp_path):
    with pytest.raises(PermissionError, match="not accepted, so nothing was downloaded"):
        fetch("mvtec", tmp_path / "data", lambda _: False)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("yes", 0), ("", 1), ("n", 1)])
def test_a_terminal_is_asked(served, tmp_path, monkeypatch, answer, status):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert main(["mvtec", "--data-root", str(tmp_path / "data")]) == status
    assert (tmp_path / "data" / "mvtec").is_dir() == (status == 0)


def test_without_a_terminal_the_option_is_needed(served, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    arguments = ["mvtec", "--data-root", str(tmp_path / "data")]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "CC BY-NC-SA 4.0" in said and "--accept-licence" in said and said.count("\n") == 1
    assert main([*arguments, "--accept-licence"]) == 0


def test_an_archive_that_lies_there_needs_no_network_and_is_kept(served, tmp_path, monkeypatch):
    root = tmp_path / "data"
    root.mkdir()
    (served / NAME).rename(root / NAME)
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    fetch("mvtec", root, lambda _: True)
    assert names(root) == ["mvtec", NAME]


def test_another_archive_that_lies_there_is_refused_and_kept(served, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (root / NAME).write_bytes(b"other")
    with pytest.raises(ValueError, match=r"has the SHA-256 .* instead of .*delete it"):
        fetch("mvtec", root, lambda _: True)
    assert names(root) == [NAME]


def test_offline_says_where_to_put_the_archive(served, tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    with pytest.raises(ConnectionError, match=r"OFFLINE is set, so .* not downloaded") as error:
        fetch("mvtec", tmp_path / "data", lambda _: True)
    assert f"get {NAME} by the link on https://www.mvtec.com" in str(error.value)
    assert f"put it into {tmp_path / 'data'} and run this again" in str(error.value)


def test_a_link_that_has_moved_says_where_to_find_the_new_one(served, tmp_path):
    (served / NAME).unlink()
    with pytest.raises(ConnectionError, match=r"HTTP error 404.*; get mvtec_.*mvtec\.com"):
        fetch("mvtec", tmp_path / "data", lambda _: True)


def test_a_disk_without_room_is_named_first(served, tmp_path, monkeypatch):
    class Disk:
        free = 1500

    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: Disk)
    with pytest.raises(OSError, match=r"MVTec AD with its archive needs 0\.0 MB in .*data"):
        fetch("mvtec", tmp_path / "data", lambda _: True)
    assert not names(tmp_path / "data")


def test_a_folder_that_is_there_in_part_is_left_alone(served, tmp_path):
    (tmp_path / "data" / "mvtec" / "wood").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="1 of the 15 categories of MVTec AD; move it away"):
        fetch("mvtec", tmp_path / "data", never)


@pytest.mark.parametrize("folder", ["", "mvtec", "mvtec_anomaly_detection"])
def test_wherever_a_run_finds_the_data_they_are_not_fetched_again(served, tmp_path, folder):
    for category in MVTEC_CATEGORIES:
        (tmp_path / "data" / folder / category).mkdir(parents=True)
    before = names(tmp_path / "data")
    fetch("mvtec", tmp_path / "data", never)
    assert names(tmp_path / "data") == before


def test_what_a_killed_process_left_is_swept(served, tmp_path):
    root = tmp_path / "data"
    (root / ".mvtec.123.unpacking" / "wood").mkdir(parents=True)
    fetch("mvtec", root, lambda _: True)
    assert names(root) == ["mvtec"]
    (root / f".{NAME}").write_bytes(b"killed before it was removed")
    fetch("mvtec", root, never)
    assert names(root) == ["mvtec"]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("mvtek", "mean 'mvtec'"),
        ("mnist", "is not fetched here, only mvtec; it is downloaded when a run first needs it"),
        ("brain_mri", "fetched here, only mvtec; get it from https://www.kaggle.com"),
        ("digits", "its images come with the package"),
    ],
)
def test_what_is_not_fetched_says_why(dataset, message, capsys):
    assert main([dataset, "--accept-licence"]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_the_command_loads_no_torch():
    code = "import sys, rdrepro.data.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

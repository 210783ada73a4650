"""Files: whole or not at all, swept where their writer is gone, and one process at a time."""

import errno
import multiprocessing
import os
import signal
import time

import pytest

from rdrepro import files
from rdrepro.files import HOST, one_at_a_time, replacing, sweep


def write_slowly(target, ready):
    with replacing(target) as aside:
        aside.write_text("half")
        ready.set()
        time.sleep(60)


def hold(target, ready):
    with one_at_a_time(target):
        ready.set()
        time.sleep(60)


@pytest.fixture
def killed(tmp_path):
    """A function that starts another process on a file, and kills it once it is at work."""
    context = multiprocessing.get_context("fork")

    def start(work, target):
        ready = context.Event()
        process = context.Process(target=work, args=(target, ready))
        process.start()
        assert ready.wait(30)
        os.kill(process.pid, signal.SIGKILL)
        process.join()

    return start


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "row.json"
    target.write_text("old")
    with replacing(target) as aside:
        aside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "row.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(tmp_path, code):
    with (
        pytest.raises(OSError, match=r"row\.json was not written, .*; free some space in"),
        replacing(tmp_path / "row.json"),
    ):
        raise OSError(code, os.strerror(code))


def test_what_a_killed_process_left_is_swept_and_the_file_was_never_half(tmp_path, killed):
    target = tmp_path / "row.json"
    target.write_text("old")
    killed(write_slowly, target)
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 2
    (gone,) = sweep(tmp_path)
    assert gone.startswith(".row.json.") and list(tmp_path.iterdir()) == [target]


def test_files_of_running_processes_and_of_other_machines_are_not_swept(tmp_path, monkeypatch):
    mine = tmp_path / f".a.json.{HOST}.{os.getpid()}.0.tmp"
    others = tmp_path / ".a.json.elsewhere.1.0.tmp"
    own = tmp_path / ".notes.tmp"
    for path in (mine, others, own):
        path.touch()
    assert sweep(tmp_path) == []
    monkeypatch.setattr(files, "ABANDONED", -1)
    assert sweep(tmp_path) == [others.name] and mine.exists() and own.exists()


def test_a_clock_that_jumps_sweeps_no_file_of_a_running_process(tmp_path, monkeypatch):
    mine = tmp_path / f".a.json.{HOST}.{os.getpid()}.0.tmp"
    mine.touch()
    for now in (0, 1e12):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        assert sweep(tmp_path) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path, killed):
    killed(hold, tmp_path / "row.json")
    waited = []
    with one_at_a_time(tmp_path / "row.json", lambda: waited.append(1)):
        pass
    assert waited == []


def test_a_second_process_waits_and_says_so(tmp_path):
    target, said = tmp_path / "row.json", []
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(target, ready))
    process.start()
    assert ready.wait(30)

    def waiting():
        said.append("waiting")
        process.kill()

    with one_at_a_time(target, waiting):
        assert said == ["waiting"]
    process.join()

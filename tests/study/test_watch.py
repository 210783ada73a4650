"""Watching the workflow: its markers are counted, its sentences found, and Ctrl-C ends it."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from builders import ROOT

from rdrepro import paths
from rdrepro.files import HOST
from rdrepro.study import watch
from rdrepro.study.plan import unpacked
from rdrepro.study.watch import count, failures, overheads, run_workflow

INTERRUPTED = 42  # the exit code of a child in which KeyboardInterrupt was raised


@pytest.fixture
def markers(tmp_path):
    return [tmp_path / "jobs" / f"{name}.done" for name in "abcd"]


def leave(marker, ending, content):
    """Write a file as a job does beside its marker."""
    marker.parent.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    marker.with_suffix(ending).write_text(text)


def test_jobs_are_counted_by_their_files(markers):
    assert count(markers) == (0, 0, 0)
    a, b, c, d = markers
    leave(a, ".done", {})
    leave(b, ".running", {"host": HOST, "process": os.getpid()})
    leave(c, ".running", {"host": "another-machine", "process": 1})
    leave(d, ".failed", {"sentence": "?"})
    assert count(markers) == (1, 2, 1) and count([a, d]) == (1, 0, 1)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_what_a_killed_job_left_counts_as_no_running_one(markers, content):
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    leave(markers[0], ".running", {"host": HOST, "process": gone.pid})
    leave(markers[1], ".running", content)
    assert count(markers) == (0, 0, 0)


def test_each_job_without_a_marker_has_a_sentence(markers):
    a, b, c, d = markers
    leave(a, ".done", {})
    leave(b, ".failed", {"sentence": "the disk is full"})
    leave(b, ".log", "Traceback\nthe disk is full\n")
    leave(c, ".log", "Traceback\n  line\nMemoryError: no room\n\n")
    assert failures(dict(zip("abcd", markers, strict=True))) == {
        "b": "the disk is full",
        "c": f"its process ended early; the last line of {c.with_suffix('.log')} says: "
        "MemoryError: no room",
        "d": "it was not started",
    }
    leave(d, ".log", "\n")
    assert failures({4: d})[4].endswith("says: nothing; memory ran out?")


def test_overheads_are_those_of_the_jobs_that_say_them(markers):
    a, b, c, _ = markers
    leave(a, ".done", {"row": "a.json", "seconds": 20.0, "overhead_seconds": 12.5})
    leave(b, ".done", {"row": "b.json", "seconds": 20.0})  # its student was found
    leave(c, ".done", '{"row": ')
    assert overheads(markers) == [12.5]


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A function that puts some code in the place of Snakemake; it returns the commands' list."""
    monkeypatch.setattr(paths, "ROOT", ROOT)
    monkeypatch.setattr(watch, "LOOK", 0.02)
    start, commands = subprocess.Popen, []

    def replace(code):
        file = tmp_path / "stub.py"
        file.write_text(code)

        def popen(command, **options):
            commands.append(command)
            return start([sys.executable, "-S", str(file)], **options)

        monkeypatch.setattr(watch.subprocess, "Popen", popen)
        return commands

    return replace


def test_the_exit_code_and_the_messages_of_snakemake_are_kept(stub, markers, tmp_path, capsys):
    made = f"import pathlib; pathlib.Path({str(markers[0])!r}).touch()"
    failed = f"pathlib.Path({str(markers[1].with_suffix('.failed'))!r}).touch()"
    commands = stub(f"{made}; {failed}; print('some words'); raise SystemExit(3)")
    markers[0].parent.mkdir()
    plan, log = {"target": "embedded", "set": "epochs=2 {x}"}, tmp_path / "logs" / "log"
    before = signal.getsignal(signal.SIGTERM)
    assert run_workflow(markers[:2], plan, ["--cores", "2"], log) == 3
    assert signal.getsignal(signal.SIGTERM) is before
    assert log.read_text() == "some words\n"
    assert "1 done, 0 running, 1 failed" in capsys.readouterr().err
    (command,) = commands
    assert command[1:3] == ["-m", "snakemake"] and "--cores" in command
    assert command[command.index("--snakefile") + 1] == str(ROOT / "workflow" / "Snakefile")
    config, *rest = command[command.index("--config") + 1 :]
    assert unpacked(config.removeprefix("plan=")) == plan
    assert rest == ["--", *map(str, markers[:2])]


STUB = """import signal, sys, time
def end(*_):
    print("interrupted", flush=True)
    time.sleep(0.2)  # jobs take a while to end
    print("ended", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, end)
print("started", flush=True)
time.sleep({seconds})
print("ended by itself", flush=True)
"""


def work(marker, log):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests
    try:
        run_workflow([marker], {}, [], log)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "seconds, patience, said",
    [(30, 0.1, ["interrupted", "ended"]), (0.5, 30, ["ended by itself"])],
    ids=["passed on", "received by both"],
)
def test_an_interrupt_is_raised_once_snakemake_has_ended(
    stub, tmp_path, monkeypatch, ending, seconds, patience, said
):
    monkeypatch.setattr(watch, "PATIENCE", patience)
    stub(STUB.format(seconds=seconds))
    log = tmp_path / "log"
    process = multiprocessing.get_context("fork").Process(
        target=work, args=(tmp_path / "a.done", log)
    )
    process.start()
    deadline = time.monotonic() + 20
    while not (log.exists() and log.read_text()):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)  # until it watches
    os.kill(process.pid, ending)
    process.join(20)
    assert process.exitcode == INTERRUPTED
    assert log.read_text().split("\n") == ["started", *said, ""]

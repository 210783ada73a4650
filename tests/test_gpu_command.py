"""`make gpu`: by priority, within its time, and no figure of a CPU as that of a GPU."""

import json
import subprocess
import sys
import tarfile
import time
import tomllib
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from builders import ROOT
from packaging.requirements import Requirement

import rdrepro as rd
from benchmarks.gpu import (
    command,
    compiled,
    extrapolation,
    flops,
    inference,
    machine,
    needs,
    outcomes,
    protocol,
    speed,
    steps,
)
from benchmarks.gpu.__main__ import why_not
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.steps import Step
from rdrepro.models.weights import Weights
from rdrepro.runs.rows import read_row


@pytest.fixture
def settings(tmp_path):
    """A trial whose files go to a temporary folder."""
    (tmp_path / "work").mkdir()
    return Settings(str(tmp_path / "out"), str(tmp_path / "work"), small=True)


def test_a_missing_package_is_named_before_anything_starts(monkeypatch):
    find = needs.find_spec
    monkeypatch.setattr(needs, "find_spec", lambda name: None if name == "sklearn" else find(name))
    assert needs.missing_packages() == ["scikit-learn"]
    given = Namespace(small=True, data=None, category="bottle")
    assert why_not(given).startswith("This interpreter lacks scikit-learn; install")


def test_the_packages_that_are_looked_for_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert set(needs.PACKAGES) <= {Requirement(line).name for line in lines}


def test_a_folder_without_the_category_is_refused(tmp_path):
    given = {"small": False, "category": "bottle"}
    assert "as DATA" in why_not(Namespace(**given, data=None))
    assert "bottle does not exist" in why_not(Namespace(**given, data=str(tmp_path)))
    (tmp_path / "mvtec" / "bottle").mkdir(parents=True)
    assert not why_not(Namespace(**given, data=str(tmp_path)))


def test_the_best_weights_are_found_and_networks_without_any_are_left_out(tmp_path):
    for name in ("resnet18-1.pth", "resnet18_imagenet_stem_to_layer3.pth"):
        (tmp_path / name).touch()
    given = Settings("out", "work", weights=str(tmp_path))
    assert given.weights_file("resnet18").name == "resnet18_imagenet_stem_to_layer3.pth"
    assert given.weights_file("resnet50") is None
    found = [step.name for step in steps.steps_of(given)]
    assert found[:4] == [
        "machine",
        "gpu_tests",
        "protocol of wide_resnet50_2",  # with random weights
        "protocol of resnet18",
    ]
    assert Settings.from_json(given.to_json()) == given


def run_all(settings, monkeypatch, outcome, limit=480.0):
    asked = []

    def run_step(step, _, seconds):
        asked.append((step.name, seconds))
        return {"step": step.name, "seconds": 1.0, **outcome(step)}

    monkeypatch.setattr(command, "run_step", run_step)
    code = command.run_all(settings, time.monotonic(), limit)
    return code, asked, settings.record.read()


def test_steps_run_by_priority_and_one_that_fails_stops_no_other(settings, monkeypatch):
    def outcome(step):
        failed = {"outcome": "failed", "reason": "broken"}
        return failed if step.module == "speed" else {"outcome": "done"}

    code, asked, found = run_all(settings, monkeypatch, outcome)
    names = [name for name, _ in asked]
    assert names == [step.name for step in steps.steps_of(settings)]
    assert code == 1 and found["skipped"][0]["reason"] == "broken"
    assert [step["step"] for step in found["steps"]] == [n for n in names if "speed" not in n]
    assert "No figure here is that of a GPU" in found["about"]


def test_a_step_is_skipped_where_too_little_time_is_left(settings, monkeypatch):
    code, asked, found = run_all(settings, monkeypatch, lambda _: {"outcome": "done"}, limit=30)
    assert code == 0 and asked[0][1] <= 25
    assert "protocol of resnet18" not in [name for name, _ in asked]
    assert "s were left, and it needs 40 s" in found["skipped"][-1]["reason"]


def test_nothing_follows_where_there_is_no_gpu(settings, monkeypatch):
    failed = {"outcome": "failed", "reason": "no GPU"}
    code, asked, _ = run_all(settings, monkeypatch, lambda _: failed)
    assert code == 1 and len(asked) == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="sees no GPU; run on a machine that has one"):
        machine.run(Settings(settings.out, settings.work))


def worker(monkeypatch, code):
    """Let a program take the place of a worker."""
    popen = subprocess.Popen
    monkeypatch.setattr(
        steps.subprocess, "Popen", lambda _, **given: popen([sys.executable, "-c", code], **given)
    )


def test_a_step_that_takes_too_long_is_ended_with_what_it_started(settings, monkeypatch, tmp_path):
    marker = tmp_path / "late"
    later = f"import time, pathlib; time.sleep(2); pathlib.Path({str(marker)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {later!r}])"
    worker(monkeypatch, code)
    found = steps.run_step(Step("machine"), settings, seconds=1)
    assert found["outcome"] == "stopped" and found["reason"] == "it took more than 1 s"
    time.sleep(2)
    assert not marker.exists()


def test_a_step_that_fails_says_why(settings):
    found = steps.run_step(Step("settings"), settings, seconds=60)  # which has no `run`
    assert found["outcome"] == "failed"
    assert found["reason"].startswith("AttributeError: module 'benchmarks.gpu.settings'")


def test_a_step_that_is_killed_has_its_exit_status_as_the_reason(settings, monkeypatch):
    worker(monkeypatch, "import os; os.abort()")
    found = steps.run_step(Step("machine"), settings, seconds=60)
    assert found["outcome"] == "failed" and found["reason"] == "exit status -6"


def test_every_step_measures_in_its_small_size(settings, monkeypatch, capsys):
    monkeypatch.setattr(inference, "REPEATS", 1)
    machine.run(settings)
    protocol.run(settings, "resnet18")
    speed.run(settings, "resnet18")
    inference.run(settings)
    compiled.run(settings, "resnet18")
    found = settings.record.read()
    assert settings.record.path.name == "gpu-small.json"
    assert found["machine"]["device"] == "cpu"
    (run,) = found["protocol"]
    assert run["row"] and run["epochs"] == 2 and 0 <= run["image_auroc"] <= 1
    assert run["seconds"] >= run["seconds of training"] >= run["seconds of the epochs"]
    assert len(found["training steps"]) == 4  # two precisions, deterministic or not
    for line in found["training steps"] + found["compiled steps"]:
        assert "failed" not in line and line["ran as"] == "eager"
        assert line["images/s"] == pytest.approx(1e3 * line["batch"] / line["ms"], rel=1e-3)
    assert all(line["relative difference of its loss"] < 1e-3 for line in found["compiled steps"])
    assert len(found["inference"]) == 2 and found["metrics"][0]["maps"] == 4
    with tarfile.open(settings.archive) as archive:
        archive.extractall(settings.out, filter="data")
    (file,) = (settings.record.path.parent / "runs").rglob("*.json")
    row = read_row(file)
    assert row["provenance"]["study"] == "gpu-first" and row["provenance"]["device"] == "cpu"


def test_a_convolution_by_hand():
    """(2, 3, 8, 8) -> (2, 5, 8, 8), 3 x 3: forward, and the gradients of kernel and input."""
    conv, images = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.rand(2, 3, 8, 8)
    with flops.FlopCounterMode(display=False) as counter:
        conv(images.requires_grad_()).sum().backward()
    assert counter.get_total_flops() == 3 * (2 * 2 * 5 * 8 * 8 * 3 * 3 * 3)


def test_operations_are_those_of_a_step_with_kept_features(monkeypatch):
    """A step costs three times the student's part of a test: forward, and two gradients.

    The gradients of the three maps that the teacher gives are not needed, so it is a little less.
    """
    config = rd.RunConfig(backbone="resnet18", weights="random", oce_width=64, image_size=64)
    model = rd.build_model(config, Weights("random"))
    images = torch.rand(2, 3, 64, 64)
    with flops.FlopCounterMode(display=False) as counter, torch.no_grad():
        model.restore(model.teacher(images))
    whole = counter.get_total_flops() / 2e9
    assert flops.testing_gflop(model, config) == pytest.approx(whole)
    with flops.FlopCounterMode(display=False) as counter, torch.no_grad():
        model.teacher(images)
    student = whole - counter.get_total_flops() / 2e9
    assert 2.7 * student < flops.step_gflop(model, config) < 3 * student


def test_tables_1_and_2_by_hand():
    """Each part is a second on one of two batches: the rest is counting."""
    assert sum(extrapolation.TRAINING_IMAGES) == 3629
    batches = sum(-(-n // 16) for n in extrapolation.TRAINING_IMAGES)
    run = {"backbone": "b", "category": "c", "epochs": 10, "images": 20, "test images": 5}
    seconds = {"checks": 1, "training": 23, "the epochs": 20, "test": 1, "metrics": 2}
    run |= {f"seconds of {part}": value for part, value in seconds.items()} | {"seconds": 27}
    done = [{"step": "machine", "seconds": 9}, {"step": "protocol of b", "seconds": 37}]
    found = extrapolation.tables_1_and_2({"protocol": [run, {}], "steps": done})
    assert found["seconds of starts"] == 15 * 10
    assert found["seconds of steps"] == 200 * batches  # twenty steps took twenty seconds
    assert found["seconds of beside the steps"] == pytest.approx(4 * 3629 / 20)
    assert found["seconds of test and metrics"] == pytest.approx(3 * 1725 / 5)
    assert found["seconds"] == sum(v for k, v in found.items() if k.startswith("seconds of"))
    assert extrapolation.tables_1_and_2({}) is None
    assert extrapolation.tables_1_and_2({"protocol": [run], "steps": done[:1]}) is None


def test_an_earlier_record_is_kept_under_another_name(settings, monkeypatch):
    settings.record.put("about", "an earlier run")
    settings.archive.write_bytes(b"earlier rows")
    run_all(settings, monkeypatch, lambda _: {"outcome": "failed", "reason": "no GPU"})
    folder = settings.record.path.parent
    assert "an earlier run" in (folder / "before-gpu-small.json").read_text()
    assert (folder / "before-rows-small.tar.gz").read_bytes() == b"earlier rows"
    assert not settings.archive.exists()


def test_outcomes_of_tests_are_recorded_with_what_they_measured(tmp_path, monkeypatch):
    monkeypatch.setenv(outcomes.VARIABLE, str(tmp_path / "gpu.json"))
    passed = {"when": "call", "outcome": "passed", "nodeid": "a.py::test_a", "duration": 0.5}
    skipped = {"when": "setup", "outcome": "skipped", "nodeid": "a.py::test_b", "duration": 0.0}
    setup = {**skipped, "outcome": "passed"}
    reports = (
        SimpleNamespace(**setup),
        SimpleNamespace(**passed, user_properties=[("difference", 0.001)]),
        SimpleNamespace(**skipped, user_properties=[], longrepr=("a.py", 1, "no GPU")),
    )
    for report in reports:
        outcomes.pytest_runtest_logreport(report)
    one, other = json.loads((tmp_path / "gpu.json").read_text())["tests"]
    assert one == {"test": "test_a", "outcome": "passed", "seconds": 0.5, "difference": 0.001}
    assert (other["outcome"], other["reason"]) == ("skipped", "no GPU")

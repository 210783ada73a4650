"""anomalib as a peer, and the benchmark's parts on files, sizes and whole processes."""

import ast
import inspect
import itertools
import re

import pytest
import torch
from builders import ROOT

from benchmarks import peers, tasks_files, tasks_padim, tasks_processes, tasks_size, tasks_surfaces
from benchmarks.epochs import epoch
from benchmarks.parts import Findings, Session
from benchmarks.tasks_networks import BATCH
from rdrepro.synthetic.benchmark import write_category

PIN = re.compile(r"^([\w.-]+)==([\w.+]+)", re.MULTILINE)


class Recorder(Session):
    """A session that starts no worker; it keeps what it was asked to compare."""

    def __init__(self, small=False, native=True):
        super().__init__(small=small)
        self.asked, self.machine = [], {"bfloat16": "native" if native else "emulated"}

    def compare(self, task, methods, ratios=(), about="", rounds=None, limits=False):
        self.asked.append((task, methods, ratios))
        return Findings([{"unit": "s", "median": 4.0**k} for k, _ in enumerate(methods)])


def compared(measure, monkeypatch, **options):
    monkeypatch.setattr(peers, "versions", Findings)
    recorder = Recorder(**options)
    measure(recorder)
    return recorder.asked


MEASURES = [peers.measure_steps, peers.measure_inference, peers.measure_padim]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("small", [True, False])
def test_both_sides_have_the_same_network_batch_and_images(measure, small, monkeypatch):
    for _, methods, ratios in compared(measure, monkeypatch, small=small):
        theirs = methods[peers.PEER]
        assert theirs.python == str(peers.PYTHON) and theirs.says["precision"] == "float32"
        for key, ours in methods.items():
            for name in ("backbone", "image_size", "batch", "images"):
                assert ours.options.get(name) == theirs.options.get(name), (key, name)
                assert ours.says.get(name) == ours.options.get(name), (key, name)
        assert {r.denominator for r in ratios} == set(methods) - {peers.PEER}
        assert {r.numerator for r in ratios} == {peers.PEER}


@pytest.mark.parametrize("native", [True, False])
def test_targets_are_those_of_our_default(native, monkeypatch):
    asked = [q for m in MEASURES for q in compared(m, monkeypatch, native=native)]
    aimed = [
        (methods[ratio.denominator].says | {"task": task}, ratio.target)
        for task, methods, ratios in asked
        for ratio in ratios
        if ratio.target
    ]
    default = "bfloat16" if native else "float32"
    assert {says["precision"] for says, _ in aimed} == {default}
    found = {(s["task"], s["backbone"], s["batch"], s["features"]): t for s, t in aimed}
    assert found == {
        ("training step", "wide_resnet50_2", BATCH, "kept"): 3.0,
        ("training step", "resnet18", BATCH, "kept"): 2.5,
        ("inference", "wide_resnet50_2", BATCH, None): 2.0,
        ("inference", "resnet18", BATCH, None): 2.0,
    }


def test_steps_are_compared_in_float32_and_with_the_teacher_computed_too(monkeypatch):
    for _, methods, ratios in compared(peers.measure_steps, monkeypatch):
        says = [methods[ratio.denominator].says for ratio in ratios]
        sides = {(said["precision"], said["features"]) for said in says}
        assert len(sides) == 4


def signature(task):
    module, function = task.split(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    (found,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    return [argument.arg for argument in found.args.args]


def test_every_task_takes_the_options_that_it_is_given(monkeypatch):
    measures = [*MEASURES, tasks_size.measure_sizes]
    measures += [tasks_surfaces.measure_surfaces, tasks_surfaces.measure_notebook]
    for measure in measures:
        for _, methods, _ in compared(measure, monkeypatch):
            for method in methods.values():
                assert set(signature(method.task)) == set(method.options)


def test_anomalibs_side_needs_nothing_of_rdrepro():
    """Its environment has no rdrepro, and the package's own requirements are not all there."""
    for name in ("tasks_peers", "limits", "worker"):
        tree = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text())
        named = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        named += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        assert not [n for n in named if n.startswith("rdrepro")]
        ours = {n for n in named if n.startswith("benchmarks")}
        assert ours <= {"benchmarks.limits", "benchmarks.worker"}


def test_both_environments_pin_the_same_libraries():
    ours, theirs = (
        dict(PIN.findall((ROOT / file).read_text()))
        for file in ("requirements.lock", "benchmarks/requirements-peers.txt")
    )
    assert theirs["anomalib"].startswith("2.7.")
    for name in ("torch", "torchvision", "timm", "scipy"):
        assert theirs[name] == ours[name], name


def test_another_torch_in_anomalibs_environment_is_refused():
    same = {"torch": peers.metadata.version("torch")}
    assert peers.with_our_torch(same) == same
    with pytest.raises(RuntimeError, match=r"torch 1\.2\.3 .* pin the same"):
        peers.with_our_torch({"torch": "1.2.3"})


def test_without_anomalibs_environment_it_says_how_to_make_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    assert peers.main([]) == 1
    assert "make bench-peers" in capsys.readouterr().err


def test_padim_is_fitted_anew_each_time():
    model = tasks_padim.build("resnet18", 64, "float32")
    images = tasks_padim.drawn(5, 64)
    tasks_padim.fit(model, images.split(2))
    first = model.mean.clone()
    tasks_padim.fit(model, images.split(5))
    torch.testing.assert_close(model.mean, first)
    assert model.factor.shape == (16**2, 100, 100)


@pytest.mark.parametrize(("fixed", "exponent"), [(0.0, 1.0), (3.0, 1.0), (0.5, 1.25), (1.0, 0.5)])
def test_the_exponent_is_that_of_the_growing_part(fixed, exponent):
    seconds = [fixed + 2 * n**exponent for n in (60, 240, 960)]
    found = tasks_size.growth_of(seconds)
    assert found["exponent"] == pytest.approx(exponent, abs=1e-3)
    assert found["met"] is (exponent == 1)
    if not fixed:
        assert found["of whole times"] == pytest.approx(exponent, abs=1e-3)


def test_times_that_do_not_grow_have_no_exponent():
    found = tasks_size.growth_of([2.0, 1.5, 3.0])
    assert found["exponent"] is None and found["met"] is False


def test_sizes_are_each_four_times_the_one_before():
    images, widths = tasks_size.IMAGES, tasks_size.WIDTHS
    for sizes in (images, tasks_size.SMALL_IMAGES, [w**2 for w in widths]):
        assert [b / a for a, b in itertools.pairwise(sizes)] == [tasks_size.FACTOR] * 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("epoch")
    write_category(folder, tasks_files.CATEGORY, 1, n_train=18, n_test=1, image_size=64)
    return str(folder)


def test_both_codes_train_on_every_file_in_an_epoch(files, monkeypatch):
    seen = []
    step = tasks_files.official.training_step
    monkeypatch.setattr(
        tasks_files.official,
        "training_step",
        lambda networks, images: seen.append(len(images)) or step(networks, images),
    )
    tasks_files.official_epoch(files, "resnet18", 32).run()
    assert seen == [16, 2]
    seen.clear()
    call = tasks_files.Stepper.__call__
    monkeypatch.setattr(
        tasks_files.Stepper,
        "__call__",
        lambda stepper, indices: seen.extend(indices.tolist()) or call(stepper, indices),
    )
    stages = tasks_files.first_epoch(files, "resnet18", 32, "float32").run()
    assert list(stages) == ["decoding", "teacher", "steps"] and min(stages.values()) > 0
    assert sorted(seen) == list(range(18))


def test_an_epoch_changes_the_student_and_a_later_one_lowers_its_loss(files):
    stepper = inspect.getclosurevars(
        tasks_files.later_epoch(files, "resnet18", 32, "float32").run
    ).nonlocals["stepper"]
    first = epoch(stepper)
    assert min(epoch(stepper) for _ in range(3)) < first


def test_a_process_that_fails_is_an_error_with_its_last_words():
    with pytest.raises(RuntimeError, match="said last: ValueError: wrong"):
        tasks_processes.code("raise ValueError('wrong')").run()


def test_memory_of_processes_is_that_of_the_largest():
    task = tasks_processes.code("x = bytearray(300 * 2**20); x[::4096] = x[::4096]")
    task.run()
    facts = task.facts()
    assert facts["imported_mib"] == 0 and facts["peak_mib"] > 300


def test_the_notebook_is_cold_only_in_new_folders(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(
        tasks_processes, "call", lambda *arguments, results=None: places.append(results)
    )
    given = {"folder": str(tmp_path), "parameters": {"preset": "demo"}}
    cold = tasks_processes.notebook(cold=True, **given)
    cold.run(), cold.run()
    assert len(set(places)) == 2 and str(tmp_path) not in places
    places.clear()
    tasks_processes.notebook(cold=False, **given).run()
    assert places == [str(tmp_path)] * 2

"""The benchmark: turns, busy machines, files, FLOPs, and the restated official code."""

import inspect
import json
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from golden_values import SIZE, check_summary, close, golden_case, pro_case
from torch import nn

from benchmarks import bench, limits, machine, official, parts, rounds, tasks_networks
from benchmarks.machine import Others
from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import BusyError, Measured, Method, Ratio, WorkerError
from rdrepro.kernels import OneCellConv
from rdrepro.losses import kd_loss
from rdrepro.metrics import aupro_official, auroc
from rdrepro.models.weights import Weights
from rdrepro.stepping import Stepper
from rdrepro.study.speed_files import PARTS as KNOWN_PARTS
from rdrepro.study.speed_files import check_part

METHODS = {"A": Method("a:a", says={"method": "A"}), "B": Method("b:b", says={"method": "B"})}


class Script:
    """Workers that answer from lists of seconds, and the processors that others use meanwhile."""

    def __init__(self, seconds, others):
        self.seconds = {key: iter(values) for key, values in seconds.items()}
        self.others, self.share, self.asked = iter(others), 0.0, []

    @contextmanager
    def measured(self):
        yield
        self.share = next(self.others, 0.0)

    @contextmanager
    def worker(self, method):
        yield SimpleNamespace(ask=partial(self.answer, method.says["method"]))

    def answer(self, key, command):
        self.asked.append(f"{key} {command}")
        if command == "finish":
            return facts(gflop=6.0)
        return {"seconds": next(self.seconds[key]), "stages": {"half": 0.5}}


@pytest.fixture
def scripted(monkeypatch):
    def install(seconds, others=()):
        script = Script(seconds, others)
        monkeypatch.setattr(rounds, "Worker", script.worker)
        return script

    return install


def test_methods_take_turns_and_ratios_are_taken_round_by_round(scripted):
    script = scripted({"A": [9, 4, 6, 10], "B": [9, 2, 2, 2]})
    found = rounds.take_turns(METHODS, 3, script)
    turns = ["A run 1", "B run 1"]
    assert script.asked == turns * 4 + ["A finish", "B finish"]
    assert found["A"].seconds == [4, 6, 10] and found["B"].seconds == [2, 2, 2]
    ratio = rounds.ratio_of("t", Ratio("A", "B", "A / B", 3.5), METHODS, found)
    # By hand: 2, 3, 5.
    assert [ratio[k] for k in ("q1", "median", "q3", "runs")] == [2.5, 3, 4, 3]
    assert ratio["met"] is False and ratio["numerator"]["method"] == "A"


def test_short_tasks_are_repeated(scripted):
    script = scripted({"A": [0.4, 0.1, 0.1], "B": [2, 2]})
    rounds.take_turns(METHODS, 1, script)
    # The first time is not trusted where it is short: 0.5 s hold five times 0.1 s.
    assert script.asked[:5] == ["A run 1", "A run 1", "B run 1", "A run 5", "B run 1"]


def test_a_disturbed_round_is_repeated(scripted):
    script = scripted({"A": [1, 1, 7, 3], "B": [1, 2, 2, 2]}, others=[0, 0, 0, 1.5, 0, 0])
    told = []
    found = rounds.take_turns(METHODS, 2, script, tell=lambda sentence, left: told.append(sentence))
    assert found["A"].seconds == [1, 3]
    assert told == [
        *("round 1 of 2", "round 2 of 2"),
        *("disturbed: others used 1.50 processors", "round 2 of 2"),
    ]


def test_a_machine_that_stays_busy_gives_nothing_or_all_rounds_anyway(scripted):
    script = scripted({"A": [1] * 9, "B": [1] * 9}, others=[1.0] * 9)
    with pytest.raises(BusyError, match="others used the processors in 3 rounds"):
        rounds.take_turns(METHODS, 2, script)
    script = scripted({"A": [1] * 9, "B": [1] * 9}, others=[1.0] * 9)
    assert len(rounds.take_turns(METHODS, 2, script, anyway=True)["A"].seconds) == 2


def test_lines_have_seconds_stages_memory_and_the_share_of_the_limit():
    measured = {"A": Measured([2, 1, 4], {"half": [1, 2, 3]}, facts=facts(gflop=6))}
    methods = {"A": Method("a:a", says={"method": "A", "precision": "float32", "batch": 16})}
    whole, half, memory = rounds.lines_of("t", methods, measured, {"float32": 30})
    assert (whole["median"], whole["unit"], whole["batch"], whole["images"]) == (2, "s", 16, None)
    assert (whole["gflop"], whole["share_of_limit"]) == (6, 0.1)  # 3 GFLOP/s of 30
    assert (half["stage"], half["median"], half["gflop"]) == ("half", 2, None)
    assert (memory["unit"], memory["median"], memory["stage"]) == ("MiB", 200, None)


def facts(gflop=None):
    return {"peak_mib": 300.0, "imported_mib": 100.0, "gflop": gflop}


TASKS = """
import sys
import numpy as np
from benchmarks.worker import Task

def counting(start):
    calls = [start]
    print("libraries may print")
    def run():
        calls.append(calls[-1] + 1)
        return {"stage": 0.25}
    return Task(run, lambda: {"calls": calls[-1]})

def large(mib):
    def run():
        np.ones(mib * 2**20, np.uint8)
    return run

def failing():
    sys.exit("no such file")
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A module of tasks that workers can import."""
    (tmp_path / "made_up_tasks.py").write_text(TASKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_a_worker_answers_each_line_and_then_its_facts(tasks):
    with rounds.Worker(Method("made_up_tasks:counting", {"start": 5})) as worker:
        answer = worker.ask("run 3")
        assert answer["stages"] == {"stage": 0.25} and answer["seconds"] >= 0
        assert worker.ask("run 1")["stages"] == {"stage": 0.25}
        assert worker.ask("finish")["calls"] == 9
    assert worker.process.returncode is not None


def test_a_workers_peak_is_its_own(tasks):
    ballast = np.ones(400 * 2**20, np.uint8)  # of the process that starts it
    with rounds.Worker(Method("made_up_tasks:large", {"mib": 200})) as worker:
        worker.ask("run 1")
        memory = worker.ask("finish")
    # Linux counts resident pages in batches, and so may be wrong by some.
    assert 198 < memory["peak_mib"] - memory["imported_mib"] < 210
    assert memory["peak_mib"] < ballast.nbytes / 2**20


def test_the_error_of_a_worker_is_told(tasks):
    with (
        pytest.raises(WorkerError, match=r"failing ended with 1.* no such file"),
        rounds.Worker(Method("made_up_tasks:failing")),
    ):
        pass


def test_the_processor_time_of_what_this_process_started_is_its_own():
    spin = "import time\nwhile time.process_time() < 0.4: pass"
    before = machine.own_seconds()
    subprocess.run([sys.executable, "-c", spin], check=True)
    assert machine.own_seconds() - before >= 0.39


def test_others_are_what_the_machine_uses_beyond_that(monkeypatch):
    clocks = {"machine_seconds": iter([100, 103.0]), "own_seconds": iter([7, 8.5])}
    for name, values in clocks.items():
        monkeypatch.setattr(machine, name, lambda values=values: next(values))
    monkeypatch.setattr(machine.time, "perf_counter", iter([0, 2]).__next__)
    others = Others()
    with others.measured():
        pass
    assert others.share == 0.75 and others.busy  # 3.0 - 1.5 in 2 s


@pytest.fixture
def idle(monkeypatch):
    monkeypatch.setattr(Others, "look", lambda self: False)


PART = Part(
    "cpu-step",
    "Made up.",
    1,
    lambda session: Findings(
        rounds.lines_of("t", METHODS, {"A": Measured([1, 2, 3], facts=facts())}),
        [rounds.ratio_of("t", Ratio("A", "B", "A / B"), METHODS, ONES)],
    ),
)
ONES = {"A": Measured([1.0]), "B": Measured([1.0])}


def test_a_part_is_written_in_the_format_that_the_tables_read(idle, tmp_path, capsys):
    assert bench.run([PART], "cpu-", "about", ["step", "--folder", str(tmp_path)]) == 0
    [file] = tmp_path.iterdir()
    content = json.loads(file.read_text())
    check_part(content, file.name)
    assert file.name == "cpu-step.json" and content["part"] == "cpu-step"
    assert "1 times" in capsys.readouterr().out


def test_a_busy_machine_writes_nothing_and_says_so_in_a_sentence(monkeypatch, tmp_path, capsys):
    def busy(self):
        self.share = 1.25
        return True

    monkeypatch.setattr(Others, "look", busy)
    given = ["step", "--folder", str(tmp_path)]
    assert bench.run([PART], "cpu-", "about", given) == 1
    assert not list(tmp_path.iterdir())
    said = capsys.readouterr().err
    assert said.startswith("Nothing was written for cpu-step: others use 1.25 processors")
    assert said.count("\n") == 1
    assert bench.run([PART], "cpu-", "about", [*given, "--anyway"]) == 0
    assert not list(tmp_path.iterdir())


def test_a_worker_that_fails_leaves_no_file(idle, tasks, tmp_path, capsys):
    failing = {"A": Method("made_up_tasks:failing")}
    part = Part("cpu-step", "Made up.", 1, lambda session: session.compare("t", failing))
    assert bench.run([part], "cpu-", "about", ["--folder", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    assert "no such file" in capsys.readouterr().err.splitlines()[-1]


def test_an_unknown_part_is_named_with_the_nearest_one(capsys):
    with pytest.raises(SystemExit):
        bench.run([PART], "cpu-", "about", ["stp"])
    assert "Did you mean 'step'?" in capsys.readouterr().err


def test_every_part_has_a_name_that_the_tables_know():
    named = [part.name for name in bench.MODULES for part in import_module(name).PARTS]
    assert len(named) == len(set(named)) and set(named) <= set(KNOWN_PARTS)


class Recorder(Session):
    """A small session that starts no worker; it keeps what it was asked to compare."""

    def __init__(self, native=True):
        super().__init__(small=True)
        self.methods, self.machine = [], {"bfloat16": "native" if native else "emulated"}

    def compare(self, task, methods, ratios, *rest, **options):
        self.methods += methods.values()
        assert {key for r in ratios for key in (r.numerator, r.denominator)} <= set(methods)
        self.targets = {r.name: r.target for r in ratios if r.target}
        return Findings()


@pytest.mark.parametrize("part", tasks_networks.PARTS, ids=lambda part: part.name)
def test_the_tasks_of_each_method_exist_and_take_its_options(part):
    session = Recorder()
    part.measure(session)
    assert len(session.methods) >= 3
    for method in session.methods:
        module, function = method.task.split(":")
        signature = inspect.signature(getattr(import_module(module), function))
        signature.bind(**json.loads(json.dumps(method.options)))
        assert set(method.says) <= set(rounds.LINE)


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_the_target_of_a_step_is_that_of_the_machines_default(native, precision):
    session = Recorder(native)
    tasks_networks.measure_steps(session)
    [(name, target)] = session.targets.items()
    assert f"{precision}, features kept" in name and target == 4.5


@pytest.mark.parametrize(("beyond", "ratio", "met"), [(450, 2.0, True), (1000, 0.9, False)])
def test_the_target_of_memory_is_met_by_less(beyond, ratio, met):
    peak = {"peak_mib": 100.0 + beyond, "imported_mib": 100.0}
    method = Method("a:a", says={"method": "rdrepro", "precision": "bfloat16", "batch": 1})
    found = Findings(rounds.lines_of("inference", {"A": method}, {"A": Measured([1], facts=peak)}))
    found.ratios.append(tasks_networks.memory_ratio(found, "WideResNet-50-2"))
    assert (found.ratios[0]["median"], found.ratios[0]["met"]) == (ratio, met)
    content = parts.document(PART, found, Session())
    check_part(content, "cpu-inference.json")


def test_flops_are_those_counted_by_hand():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    images = torch.rand(2, 3, 10, 10)
    once = 2 * (3 * 3 * 3) * 8 * 100 * 2 / 1e9  # a multiplication and an addition a weight

    def backward(x):
        conv(x).sum().backward()

    def half(x):
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            conv(x)

    assert limits.count_gflop(lambda: conv(images)) == once
    assert limits.count_gflop(lambda: half(images)) == once
    assert limits.count_gflop(lambda: backward(images)) == 2 * once  # and the weights' gradient
    needed = images.clone().requires_grad_()
    assert limits.count_gflop(lambda: backward(needed)) == 3 * once  # and the images'


def gflop(function, **options):
    torch.manual_seed(0)
    given = {"backbone": "resnet18", "image_size": 64, "batch": 1} | options
    return function(**given).facts()["gflop"]


def test_the_flops_of_a_step_are_those_of_its_parts():
    kept, computed = (
        gflop(tasks_networks.step, precision="float32", kept=kept) for kept in (True, False)
    )
    assert gflop(tasks_networks.step, precision="bfloat16", kept=True) == kept
    teacher = official.Networks.random("resnet18").teacher
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        whole = limits.count_gflop(lambda: teacher(images))
        fourth = limits.count_gflop(lambda: teacher.resnet.layer4(torch.rand(1, 256, 4, 4)))
        first = limits.count_gflop(lambda: teacher.resnet.conv1(images))
    assert computed - kept == pytest.approx(whole - fourth, rel=1e-12)
    # The official gradient passes through the teacher, but neither to the images nor through the
    # fourth stage. It also reaches the bottleneck's input, which costs more, too.
    through_teacher = 2 * (whole - fourth) - first
    assert gflop(tasks_networks.official_step) > kept + whole + through_teacher


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_inference_has_the_same_stages_as_the_official_one(precision):
    given = {"backbone": "resnet18", "image_size": 64, "batch": 2}
    ours = tasks_networks.inference(**given, precision=precision).run()
    assert list(ours) == list(tasks_networks.official_inference(**given).run())
    assert list(ours) == ["teacher", "student", "map"]


def test_both_kinds_of_metrics_have_the_same_test_set():
    maps, masks = tasks_networks.test_set(64, 8)
    assert maps.shape == (8, 64, 64) and not masks[:2].any() and masks[2:].any((1, 2)).all()
    assert 0.6 < auroc(maps, masks) < 1
    for task in (tasks_networks.metrics, tasks_networks.official_metrics):
        task(64, 8).run()


@pytest.fixture(scope="module")
def golden(request):
    return json.loads(request.config.getoption("--golden").read_text())


def test_the_official_loss_and_map_are_the_golden_ones(golden):
    expected = golden["networks"]["resnet18"]
    bottleneck, student, f_e = golden_case("resnet18", golden)
    networks = official.Networks(nn.Identity(), bottleneck, student)
    networks.train(False)
    with torch.no_grad():
        f_d = student(bottleneck(f_e))
        close(official.loss_of(f_e, f_d), expected["loss_flatten_eval"])
        each = [([e[i : i + 1] for e in f_e], [d[i : i + 1] for d in f_d]) for i in range(2)]
        maps = np.stack([official.anomaly_map(*pair, SIZE) for pair in each])
        check_summary(torch.from_numpy(maps), expected["anomaly_map"])
        close(maps.max((1, 2)), expected["image_score_max"])
        networks.train()
        close(official.loss_of(f_e, student(bottleneck(f_e))), expected["loss_flatten_train"])


def test_the_official_metrics_are_the_golden_ones(golden):
    maps, masks = pro_case(golden["k"])
    found = official.Evaluation()
    for amap, mask in zip(maps, masks, strict=True):
        found.add(amap, mask.astype(np.float32), mask.any())
    close(found.pros, golden["pro"]["official_per_image"])
    values = found.metrics()
    close(values["pixel_aupro_official"], golden["pro"]["official_mean"])
    close(values["pixel_auroc"], golden["pro"]["pixel_auroc"])
    close(values["image_auroc"], auroc(maps.max((1, 2)), masks.any((1, 2))))


def test_the_official_evaluation_passes_image_by_image_through_the_networks():
    torch.manual_seed(0)
    networks = official.Networks.random("resnet18")
    images = torch.randn(3, 1, 3, 64, 64)
    masks = np.zeros((3, 64, 64))
    masks[1:, 10:20, 30:40] = 1
    found = official.evaluate(networks, zip(images, masks, (False, True, True), strict=True))
    assert not networks.student.training
    with torch.no_grad():
        features = [networks.teacher(image) for image in images]
        restored = [networks.student(networks.bottleneck(f_e)) for f_e in features]
    maps = np.stack(
        [official.anomaly_map(*each, 64) for each in zip(features, restored, strict=True)]
    )
    close(found["pixel_auroc"], auroc(maps, masks))
    close(found["pixel_aupro_official"], aupro_official(maps, masks))


def test_an_official_step_changes_the_weights_as_ours_does():
    """In float64, since Adam's first step divides each gradient by its own size."""
    config = tasks_networks.configuration("resnet18", 64)
    model = tasks_networks.build_model(config, Weights("random")).double().train()
    networks = official_networks(model).train()
    images = tasks_networks.random_images(2, 64)
    features = tasks_networks.ComputedFeatures(model.teacher, images, config, torch.device("cpu"))
    indices = torch.arange(2)
    normalised = (features.pixels(indices).double() - model.teacher.mean) / model.teacher.std
    step = Stepper(model, features, config)
    for _ in range(2):
        close(step(indices).item(), official.training_step(networks, normalised))
        for part in ("bottleneck", "student"):
            ours, theirs = (getattr(each, part).state_dict() for each in (model, networks))
            for name, tensor in ours.items():
                torch.testing.assert_close(tensor, theirs[name], rtol=1e-7, atol=1e-7)


def official_networks(model):
    """The official networks, in float64, with a model's weights; those of layer4 are others."""
    networks = official.Networks.random("resnet18")
    resnet, teacher = networks.teacher.resnet, model.teacher.encoder
    missing, unexpected = resnet.load_state_dict(teacher.state_dict(), strict=False)
    assert not unexpected and all(name.startswith(("layer4", "fc")) for name in missing)
    networks.bottleneck.load_state_dict(model.bottleneck.state_dict())
    networks.student.load_state_dict(model.student.state_dict())
    parts = (networks.teacher, networks.bottleneck, networks.student)
    return official.Networks(*(part.double() for part in parts))


def test_the_official_gradients_of_the_teacher_are_computed_and_never_reset():
    torch.manual_seed(0)
    networks = official.Networks.random("resnet18").train()
    images = torch.randn(2, 3, 64, 64)
    f_e = networks.teacher(images)
    loss = official.loss_of(f_e, networks.student(networks.bottleneck(f_e)))
    assert loss.item() == pytest.approx(
        kd_loss(f_e, networks.student(networks.bottleneck(f_e))).item(), rel=1e-5
    )
    first = networks.teacher.resnet.conv1.weight
    official.training_step(networks, images)
    once = first.grad.clone()
    networks.optimiser.param_groups[0]["lr"] = 0
    weights = first.detach().clone()
    official.training_step(networks, images)
    assert once.abs().max() > 0 and not torch.equal(first.grad, once)
    assert torch.equal(first, weights)  # it is no parameter of the optimiser
    assert networks.teacher.resnet.layer4[0].conv1.weight.grad is None
    assert not networks.teacher.resnet.bn1.training


def test_an_official_epoch_decodes_files_and_takes_a_step_for_each_batch(small_mvtec):
    torch.manual_seed(0)
    networks = official.Networks.random("resnet18")
    loader = official.train_loader(small_mvtec / "mvtec" / "bottle" / "train", 64)
    loss = official.epoch(networks, loader)
    assert 0 < loss < 6  # three cosine distances
    assert len(loader.dataset) == 6 and loader.num_workers == 0
    steps = {state["step"].item() for state in networks.optimiser.state.values()}
    assert steps == {1}


def test_findings_add_up_entry_by_entry():
    first = Findings(["a"], [1], {"growth": [1], "libraries": {"torch": "2"}})
    second = Findings(["b"], [2], {"growth": [2], "libraries": {"scipy": "1"}})
    whole = Findings() + first + second
    assert (whole.lines, whole.ratios) == (["a", "b"], [1, 2])
    assert whole.others == {"growth": [1, 2], "libraries": {"torch": "2", "scipy": "1"}}
    assert first.others["growth"] == [1]  # and the parts stay as they are


def test_a_worker_trains_within_the_context_of_training(monkeypatch):
    """At 32 px the OCE trains as matrix products, which the context of training puts in place."""
    options = {"backbone": "resnet18", "image_size": 32, "batch": 4, "precision": "float32"}
    made = []

    def noted(*given):
        made.append(Stepper(*given))
        return made[0]

    monkeypatch.setattr(tasks_networks, "Stepper", noted)
    task = tasks_networks.step(**options, kept=True)
    (conv,) = (m for n, m in made[0].model.named_modules() if n == "bottleneck.oce.0.conv2")
    assert isinstance(conv, OneCellConv)
    before = conv.weight.detach().clone()
    task.run()
    assert not torch.equal(conv.weight, before)
    tasks_networks.CONTEXTS.close()


def test_a_file_names_the_code_that_was_loaded(monkeypatch):
    states = [("a" * 40, False)]
    monkeypatch.setattr(parts, "git_state", lambda: states[0])
    session = Session()
    content = parts.document(PART, Findings(), session)
    assert (content["commit"], content["dirty"]) == ("a" * 7, False)
    for later in (("b" * 40, False), ("a" * 40, True)):  # another commit, or changed files
        states[0] = later
        content = parts.document(PART, Findings(), session)
        assert (content["commit"], content["dirty"]) == ("a" * 7, True)

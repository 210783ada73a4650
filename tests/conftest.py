"""Options and fixtures shared by the tests."""

import contextlib
import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
from builders import ROOT
from drawn import mnist_arrays, write_mnist
from PIL import Image

import rdrepro as rd
from rdrepro import paths
from rdrepro.synthetic.benchmark import write_category

GOLDEN = Path(__file__).parent / "golden" / "official.json"


def pytest_addoption(parser):
    parser.addoption("--golden", type=Path, default=GOLDEN, help="golden values to compare with")


def pytest_collection_modifyitems(items):
    """Let tests that share a slow fixture follow each other, so that one worker makes it."""
    slow = ("committed_blocks", "digits_outcome", "finished")

    def place(item):
        return next((i for i, name in enumerate(slow) if name in item.fixturenames), len(slow))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No test finds the data, weights or results of whoever runs it."""
    for name in ("DATA", "WEIGHTS", "CACHE_GB", "OFFLINE", "GPUS"):
        monkeypatch.delenv(f"RDREPRO_{name}", raising=False)
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(paths, "ROOT", tmp_path / "project")


@pytest.fixture(scope="session")
def committed_runs():
    """The committed rows as a table."""
    return rd.load_runs(ROOT / "results" / "runs")


@pytest.fixture(scope="session")
def committed_blocks():
    """What README.md and DEVIATIONS.md generate from the committed rows, which takes a while."""
    from rdrepro.study.blocks import generated_blocks

    return generated_blocks(ROOT / "results" / "runs")


@pytest.fixture(scope="session")
def small_mvtec(tmp_path_factory):
    """A data root with one small embedded category in MVTec's layout."""
    root = tmp_path_factory.mktemp("data")
    write_category(root / "mvtec", "bottle", seed=1, n_train=6, n_test=8, image_size=64)
    return root


@pytest.fixture(scope="session")
def finished(small_mvtec, tmp_path_factory):
    """A finished run of two epochs on that category: run, row and predictions."""
    run = rd.resolve(
        data_root=str(small_mvtec),
        category="bottle",
        preset="quick",
        backbone="efficientnet_lite0",
        image_size=64,
        epochs=2,
        precision="float32",
        device="cpu",
        results_dir=str(tmp_path_factory.mktemp("results")),
    )
    started = rd.now()
    trained = rd.train(run, run.dataset("train"))
    predictions = rd.predict(trained.model, run.dataset("test"), run.config)
    row = rd.make_row(run, trained, predictions, rd.evaluate(predictions), started)
    return run, row, predictions


@pytest.fixture(scope="session")
def digits_outcome(tmp_path_factory):
    """The outcome of two epochs on scikit-learn's digits."""
    given = {"dataset": "digits", "normal_class": 1, "epochs": 2, "batch_size": 32}
    given |= {"precision": "float32", "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RDREPRO_RESULTS", str(tmp_path_factory.mktemp("results")))
        yield rd.carry_out(rd.resolve(**given, study="digits"))


@pytest.fixture
def mnist(tmp_path):
    """A data root with MNIST's files of thirty made-up pictures, and these pictures."""
    arrays = mnist_arrays(np.random.default_rng(0))
    write_mnist(tmp_path, arrays)
    return tmp_path, arrays


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """A function that serves a folder on this machine and returns the address."""
    with contextlib.ExitStack() as stack:

        def start(folder):
            handler = functools.partial(_Quiet, directory=folder)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            stack.enter_context(server)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def tiny_category(tmp_path):
    """A data root with a category of 8-pixel images that a test may damage."""
    folder = tmp_path / "data" / "mvtec" / "grid"
    picture = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    mask = Image.fromarray(np.eye(8, dtype=np.uint8) * 255)
    for name in ("train/good/000", "train/good/001", "test/good/000", "test/bent/000"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}.png")
    (folder / "ground_truth" / "bent").mkdir(parents=True)
    mask.save(folder / "ground_truth" / "bent" / "000_mask.png")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def resnet_file(tmp_path_factory):
    """A ResNet-18 state dict in torchvision's names, without layer4 and fc."""
    import torch

    from rdrepro.models.teacher import Teacher
    from rdrepro.models.weights import Weights

    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "teacher.pth"
    torch.save(Teacher("resnet18", Weights("random")).encoder.state_dict(), path)
    return path

"""Options and fixtures shared by the tests."""

import contextlib
import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdrepro import paths
from rdrepro.synthetic.benchmark import write_category

GOLDEN = Path(__file__).parent / "golden" / "official.json"


def pytest_addoption(parser):
    parser.addoption("--golden", type=Path, default=GOLDEN, help="golden values to compare with")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No test finds the data, weights or results of whoever runs it."""
    for name in ("RDREPRO_DATA", "RDREPRO_WEIGHTS", "RDREPRO_CACHE_GB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(paths, "ROOT", tmp_path / "project")


@pytest.fixture(scope="session")
def small_mvtec(tmp_path_factory):
    """A data root with one small embedded category in MVTec's layout."""
    root = tmp_path_factory.mktemp("data")
    write_category(root / "mvtec", "bottle", seed=1, n_train=6, n_test=8, image_size=64)
    return root


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

"""The device of the tests marked `gpu`, and runs on a small data set for them."""

import os

import pytest
import torch

import rdrepro as rd
from rdrepro.stepping import VARIABLE
from rdrepro.synthetic.benchmark import write_category

DEVICE = "RDREPRO_TEST_DEVICE"  # cpu: rehearse the tests on the CPU
SETTINGS = {
    "preset": "quick",
    "category": "bottle",
    "backbone": "resnet18",
    "weights": "random",
    "image_size": 128,
    "batch_size": 8,
    "epochs": 2,
    "seed": 1,
}


def pytest_collection_modifyitems(items):
    """Skip the tests that need a GPU where there is none, and say so."""
    if os.environ.get(DEVICE) == "cpu" or torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="torch sees no GPU"))


@pytest.fixture(scope="session")
def device():
    """The name of the device to compare with the CPU."""
    return os.environ.get(DEVICE) or "cuda"


@pytest.fixture(autouse=True)
def usual_steps(monkeypatch):
    """Steps are taken as by default, whatever the environment says."""
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(scope="session")
def resolve(tmp_path_factory, device):
    """A function from changed settings to a run on the device.

    There are 29 training images, so that the last batch is short.
    """
    root = tmp_path_factory.mktemp("gpu")
    write_category(root / "mvtec", "bottle", seed=1, n_train=29, n_test=24, image_size=128)
    usual = {**SETTINGS, "device": device, "data_root": str(root), "results_dir": str(root / "out")}
    return lambda **changes: rd.resolve(**{**usual, **changes})

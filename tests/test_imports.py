"""What importing the package loads: nothing heavy before it is needed."""

import json
import subprocess
import sys

import pytest

import rdrepro

HEAVY = ("torch", "torchvision", "timm", "sklearn", "scipy", "skimage")
EVERY_STUDY = """
import importlib, pkgutil
import rdrepro.study
for module in pkgutil.iter_modules(rdrepro.study.__path__, "rdrepro.study."):
    importlib.import_module(module.name)
"""
TEACHER = """
from rdrepro.models.teacher import Teacher
from rdrepro.models.weights import Weights
Teacher("resnet18", Weights("random"))
"""
MISSPELT = """
import rdrepro as rd
try:
    rd.resolve_notebook({"categroy": "wood", "epochs": 3})
except ValueError as error:
    message = str(error)
"""
WRONG_VALUES = """
import rdrepro as rd
message = ""
for given in ({"epochs": 0}, {"backbone": "resnet19"}, {"category": "wod"}):
    try:
        rd.resolve(**given)
    except ValueError as error:
        message += f"{error} "
"""


def loaded(code):
    """The heavy packages that some code loads, and the message of an error that it caught."""
    ending = (
        "\nimport json, sys\nprint(json.dumps([sorted(sys.modules), globals().get('message')]))"
    )
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules, message = json.loads(done.stdout.splitlines()[-1])
    return {name for name in HEAVY if name in modules}, message


@pytest.mark.parametrize(
    ("code", "may_load"),
    [
        ("import rdrepro", set()),
        ("import rdrepro.config, rdrepro.presets, rdrepro.registry", set()),
        ("import rdrepro as rd; rd.RunConfig, rd.load_runs, rd.resolve, rd.DATASETS", set()),
        (EVERY_STUDY, {"sklearn", "scipy", "skimage"}),
        (TEACHER, {"torch", "torchvision"}),
    ],
    ids=["rdrepro", "the bottom", "rows and parameters", "rdrepro.study", "a torchvision teacher"],
)
def test_what_an_import_loads(code, may_load):
    assert loaded(code)[0] <= may_load


def test_a_misspelt_parameter_is_refused_before_torch_is_loaded():
    packages, message = loaded(MISSPELT)
    assert "'categroy' is not a parameter. Did you mean 'category'?" in message
    assert "torch" not in packages


def test_wrong_values_are_refused_before_torch_is_loaded():
    packages, message = loaded(WRONG_VALUES)
    for said in ("epochs=0 must be at least 1", "mean 'resnet18'", "mean 'wood'"):
        assert said in message
    assert "torch" not in packages


@pytest.mark.parametrize("name", rdrepro.__all__)
def test_every_public_name_is_there(name):
    assert getattr(rdrepro, name) is not None
    assert name in dir(rdrepro)


@pytest.mark.parametrize("name", rdrepro._MODULES)
def test_modules_that_moved_are_reached_by_their_earlier_names(name):
    assert getattr(rdrepro, name).__name__ == rdrepro._MODULES[name]


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'rdrepro' has no attribute 'resolv'"):
        rdrepro.resolv  # noqa: B018

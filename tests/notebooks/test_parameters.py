"""Parameters of run notebooks: resolved, or refused in one sentence; their comments."""

import importlib.util
from dataclasses import replace

import papermill
import pytest
from builders import ROOT
from notebook_cells import NOTEBOOKS, RESOLVING_CELL, code_cells, prepare, run_cells

from rdrepro import resolve, resolve_notebook
from rdrepro.config import FIELD_NAMES

PIXELS = "pixels; 0: no smoothing"
TEXT = {"0": "{}=0 must be text", "False": "{}=False must be text"}
WHOLE = {"False": "{}=False must be a whole number", "''": "{}='' must be a whole number"}
LAYERS = {value: f"{{}}={value} must name layers among" for value in ("0", "False", "''")}
PLACE = {**TEXT, "''": "{}='' is empty"}
CHOICE = {**TEXT, "''": "{}='' is not "}
COUNT = {"0": "{}=0 must be at least ", **WHOLE}
# How the sentence begins that refuses 0, False or ""; a value that is not listed is a legal one.
REFUSED = {
    "study": {"False": "study=False must be text", "''": "study='' is empty"},
    "category": {**TEXT, "''": "category='' is not one of"},
    "preset": PLACE,
    "method": CHOICE,
    "data_root": PLACE,
    "results_dir": PLACE,
    "backbone": {**TEXT, "''": "backbone='' is neither"},
    "weights": {**TEXT, "''": "weights='' is not a file"},
    "bottleneck": CHOICE,
    "train_layers": LAYERS,
    "map_layers": LAYERS,
    "image_size": COUNT,
    "epochs": COUNT,
    "batch_size": COUNT,
    "seed": WHOLE,
    "loss": CHOICE,
    "loss_reduction": CHOICE,
    "score": CHOICE,
    "precision": CHOICE,
    "device": PLACE,
    "keep_maps": {value: f"keep_maps={value} must be True or False" for value in ("0", "''")},
    "overrides": TEXT,
}


def test_the_parameters_are_those_of_the_notebook():
    parameters = run_cells(code_cells(NOTEBOOKS / "01_mvtec.ipynb")[:1])
    names = [n for n in parameters if not n.startswith("_")]
    assert names == list(REFUSED)


VALUES = (0, False, "", None)
# One of each kind through papermill, whose command line makes text of everything.
THROUGH_PAPERMILL = (
    ("study", False),
    ("category", 0),
    ("train_layers", ""),
    ("seed", 0),
    ("keep_maps", None),
)


def check_outcome(name, value, resolving):
    """Whether a value is refused in the words of REFUSED, or changes its own setting alone."""
    if repr(value) in REFUSED[name]:
        with pytest.raises(ValueError) as error:
            resolving()
        assert str(error.value).startswith(REFUSED[name][repr(value)].format(name))
        assert "\n" not in str(error.value)
        return
    changes = {name: value} if name in FIELD_NAMES and value not in (None, "") else {}
    unset = resolve(category=resolve().config.category if name == "category" else "wood").config
    assert resolving().config == replace(unset, **changes)


@pytest.mark.parametrize("name", REFUSED)
def test_each_parameter_at_0_false_empty_and_none(name):
    for value in VALUES:
        given = {"category": "wood"} | {name: value}
        check_outcome(name, value, lambda given=given: resolve(**given))


@pytest.mark.parametrize(("name", "value"), THROUGH_PAPERMILL)
def test_papermill_passes_such_values_on(name, value, tmp_path):
    cells = code_cells(prepare("01_mvtec", tmp_path / "p.ipynb", **{name: value}))
    check_outcome(name, value, lambda: run_cells(cells[:RESOLVING_CELL])["run"])


def test_the_comments_are_those_of_the_fields():
    path = ROOT / "benchmarks" / "write_comments.py"
    spec = importlib.util.spec_from_file_location("write_comments", path)
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        for line in code_cells(notebook)[0].split("\n"):
            assert writer.commented(line) == line, notebook.name
    assert writer.commented("sigma: float = 4.0  # typed") == "sigma: float = 4.0  # " + PIXELS
    assert writer.commented("sigma: float = None") == "sigma: float = None  # " + PIXELS
    assert writer.commented("lr: float = None  # typed") == "lr: float = None"  # it has no comment
    own = "reading: str = 'test'  # its own"
    assert writer.commented(own) == own


def test_every_field_of_a_parameters_cell_has_a_comment():
    for notebook in NOTEBOOKS.glob("0*.ipynb"):
        for line in code_cells(notebook)[0].split("\n"):
            assert "#" in line or line == 'preset: str = "demo"', (notebook.name, line)


def parameters_of(name):
    """The parameters that a notebook's cell lists."""
    return [line.partition(":")[0] for line in code_cells(NOTEBOOKS / name)[0].split("\n")]


# Settings that 07's cell does not list, each with a value other than the preset's.
UNLISTED = {
    "image_size": 64,
    "batch_size": 8,
    "lr": 0.001,
    "loss": "mkd",
    "loss_reduction": "flatten",
    "mkd_weight": 10.0,
    "score": "mkd_loss",
    "sigma": 2.0,
    "map_combine": "sum",
    "early_stopping": "train",
    "patience": 3,
    "validation_fraction": 0.2,
    "precision": "bfloat16",
}


def test_07_lists_at_most_twelve_parameters_and_takes_all_others(tmp_path):
    listed = parameters_of("07_medical.ipynb")
    assert len(listed) <= 12 and not set(listed) & set(UNLISTED)
    usual = resolve(preset="medical_demo", precision="float32").config
    assert all(getattr(usual, name) != value for name, value in UNLISTED.items())
    given = {"preset": "medical_demo", "fold": 0, "device": "cpu", **UNLISTED}
    cells = code_cells(prepare("07_medical", tmp_path / "p.ipynb", **given))
    (run,) = run_cells(cells[:RESOLVING_CELL])["runs"].values()
    assert {name: getattr(run.config, name) for name in UNLISTED} == UNLISTED


def test_07_refuses_a_misspelt_parameter(tmp_path):
    cells = code_cells(prepare("07_medical", tmp_path / "p.ipynb", early_stoping="train"))
    with pytest.raises(ValueError, match=r"is not a parameter\. Did you mean 'early_stopping'"):
        run_cells(cells[:RESOLVING_CELL])


def test_a_misspelt_parameter_is_refused_with_the_nearest_name(tmp_path):
    cells = code_cells(prepare("01_mvtec", tmp_path / "p.ipynb", categroy="wood"))
    with pytest.raises(ValueError, match=r"'categroy' is not a parameter\. Did you mean"):
        run_cells(cells[:RESOLVING_CELL])


@pytest.mark.parametrize(
    ("name", "own", "ending"),
    [("backbone", ["backbones"], "itself; use backbones"), ("bottleneck", [], "itself")],
)
def test_a_setting_that_a_notebook_makes_itself_is_refused(name, own, ending):
    with pytest.raises(ValueError, match=f"this notebook sets {name} {ending}$"):
        resolve_notebook({name: "resnet18"}, own, **{name: "resnet50"})


def test_05_names_its_own_parameter(tmp_path):
    cells = code_cells(prepare("05_backbones", tmp_path / "p.ipynb", backbone="resnet18"))
    with pytest.raises(ValueError, match=r"cannot be given here: .*; use backbones"):
        run_cells(cells[:RESOLVING_CELL])


def test_a_misspelt_parameter_stops_a_kernel(tmp_path):
    given = {"categroy": "wood", "results_dir": str(tmp_path)}
    with pytest.raises(papermill.PapermillExecutionError, match="Did you mean 'category'"):
        papermill.execute_notebook(
            NOTEBOOKS / "01_mvtec.ipynb", tmp_path / "out.ipynb", given, progress_bar=False
        )


def test_the_same_in_ipython_where_other_variables_may_stand(tmp_path):
    cells = code_cells(prepare("01_mvtec", tmp_path / "p.ipynb", categroy="wood"))
    given = {"In": ["", *cells[:RESOLVING_CELL]], "category": "wood", "something_else": 3}
    with pytest.raises(ValueError, match="'categroy' is not a parameter"):
        resolve_notebook(given)
    given["In"] = ["", cells[0], "# Parameters\ncategory = 'grid'", "something_else = 3"]
    assert resolve_notebook(given).config.category == "wood"

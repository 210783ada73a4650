"""Every notebook runs under nbval with small parameters; parameters are resolved or refused."""

import json
import subprocess
import sys
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import papermill
import papermill.cli
import pytest
from click.testing import CliRunner

from rdrepro import evaluation, load_maps
from rdrepro.config import FIELD_NAMES
from rdrepro.paths import ROOT
from rdrepro.runs import resolve

NOTEBOOKS = ROOT / "notebooks"
SMALL = {"image_size": 64, "epochs": 20}
SHORT = {"image_size": 64, "epochs": 2}  # where several runs are compared
RUNS = {
    "00_quickstart": {"category": "hazelnut", **SMALL},
    "01_mvtec": {"category": "bottle", "preset": "demo", **SMALL},
    "02_complexity": {"category": "bottle", "image_sizes": 64, "epochs": 2},
    "03_novelty": {},  # all ten digits, as it runs by itself
    "04_ablation": {"category": "bottle", **SHORT},
    "05_backbones": {"category": "bottle", **SHORT},
    "06_layers": {"category": "transistor", **SHORT},
    "07_medical": {"image_size": 32, "epochs": 3},
    "10_report": {},  # with no rows at all
}
# One row of 01_mvtec, three methods, ten digits, five folds, three bottlenecks, two teachers, five
# choices of layers and the transistor check's one at another resolution.
ROWS = 1 + 3 + 10 + 5 + 3 + 2 + 5 + 1
RESOLVING_CELL = 3  # code cells up to the resolving one: parameters, injected ones, resolving


def prepare(name, target, **parameters):
    """Prepare a copy with papermill's command line, without executing it."""
    given = [word for k, v in parameters.items() for word in ("-p", k, str(v))]
    command = ["--prepare-only", "--no-progress-bar", str(NOTEBOOKS / f"{name}.ipynb"), str(target)]
    result = CliRunner().invoke(papermill.cli.papermill, [*command, *given])
    assert result.exit_code == 0, result.output
    return target


def code_cells(path):
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def run_cells(cells):
    """Run cells in a namespace of their own; return it."""
    namespace = {"__name__": "__main__"}
    for cell in cells:
        exec(compile(cell, "<cell>", "exec"), namespace)
    return namespace


def test_every_notebook_is_run_here():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == set(RUNS)


def test_notebooks_under_nbval(tmp_path):
    for name, parameters in RUNS.items():
        prepare(name, tmp_path / f"{name}.ipynb", results_dir=tmp_path / "results", **parameters)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p"]
    command += ["no:cacheprovider", "--nbval-cell-timeout=300", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    rows = list((tmp_path / "results" / "demo").glob("*.json"))
    assert len(rows) == ROWS
    digits = [json.loads(f.read_text())["metrics"] for f in rows if f.name.startswith("digits-")]
    assert len(digits) == 10 and np.mean([m["image_auroc"] for m in digits]) > 0.95


def test_every_cell_of_a_kernel_shows_its_figure(tmp_path):
    draw = "figure, ax = rd.new_figure()\nax.plot([1, 2]);"
    cells = [nbformat.v4.new_code_cell(source) for source in ("import rdrepro as rd", draw, draw)]
    kernel = {
        "kernelspec": {"name": "python3", "display_name": ""},
        "language_info": {"name": "python"},
    }
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "in.ipynb")
    done = papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False
    )
    shown = [["image/png" in o.get("data", {}) for o in c.outputs] for c in done.cells]
    assert shown == [[], [True], [True]]


@pytest.fixture
def prepared_cells(tmp_path):
    """The cells of 01_mvtec, prepared with small parameters."""
    matplotlib.use("Agg")
    parameters = {**RUNS["01_mvtec"], "results_dir": tmp_path / "results"}
    yield code_cells(prepare("01_mvtec", tmp_path / "run.ipynb", **parameters))
    plt.close("all")


BREAKAGES = {
    "zeros": lambda maps: maps * 0,
    "negative": lambda maps: -maps,
    "upside down": lambda maps: maps.max() - maps,
    "infinite": lambda maps: maps / 0,
    "too large": lambda maps: maps + 10,
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_anomaly_map_turns_the_notebook_red(prepared_cells, monkeypatch, breakage):
    right = evaluation.anomaly_map
    monkeypatch.setattr(evaluation, "anomaly_map", lambda *args: BREAKAGES[breakage](right(*args)))
    with pytest.raises((AssertionError, ValueError)):
        run_cells(prepared_cells)


def test_a_missing_figure_turns_the_notebook_red(prepared_cells):
    drawn = "rd.plot_scores(ax, predictions.scores, predictions.gt_labels);"
    assert any(drawn in cell for cell in prepared_cells)
    cells = [cell.replace(drawn, "") for cell in prepared_cells]
    with pytest.raises(AssertionError, match="3 of 4 figures"):
        run_cells(cells)


TEXT = {"0": "{}=0 must be text", "False": "{}=False must be text"}
WHOLE = {"False": "{}=False must be a whole number", "''": "{}='' must be a whole number"}
LAYERS = {value: f"{{}}={value} must name layers among" for value in ("0", "False", "''")}
PLACE = {**TEXT, "''": "{}='' is empty"}
CHOICE = {**TEXT, "''": "{}='' is not "}
COUNT = {"0": "{}=0 must be at least ", **WHOLE}
# How the sentence begins that refuses 0, False or ""; a value that is not listed is a legal one.
REFUSED = {
    "study": {"False": "study=False must be text", "''": "study='' is empty"},
    "category": {**TEXT, "''": "category='' is none of"},
    "preset": PLACE,
    "method": CHOICE,
    "data_root": PLACE,
    "results_dir": PLACE,
    "backbone": {**TEXT, "''": "backbone='' is neither"},
    "weights": {**TEXT, "''": "weights='' is no file"},
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


@pytest.mark.parametrize("value", [0, False, "", None], ids=repr)
@pytest.mark.parametrize("name", REFUSED)
def test_each_parameter_at_0_false_empty_and_none(name, value, tmp_path):
    cells = code_cells(prepare("01_mvtec", tmp_path / "p.ipynb", **{name: value}))[:RESOLVING_CELL]
    if repr(value) in REFUSED[name]:
        with pytest.raises(ValueError) as error:
            run_cells(cells)
        assert str(error.value).startswith(REFUSED[name][repr(value)].format(name))
        assert "\n" not in str(error.value)
        return
    config = run_cells(cells)["run"].config
    unset = resolve(category=resolve().config.category if name == "category" else "wood").config
    changes = {name: value} if name in FIELD_NAMES and value not in (None, "") else {}
    assert config == replace(unset, **changes)


def test_a_misspelt_parameter_is_refused_with_the_nearest_name(tmp_path):
    cells = code_cells(prepare("01_mvtec", tmp_path / "p.ipynb", categroy="wood"))
    with pytest.raises(ValueError, match=r"'categroy' is no parameter\. Did you mean 'category'"):
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
    from rdrepro import resolve_notebook

    with pytest.raises(ValueError, match="'categroy' is no parameter"):
        resolve_notebook(given)
    given["In"] = ["", cells[0], "# Parameters\ncategory = 'grid'", "something_else = 3"]
    assert resolve_notebook(given).config.category == "wood"


@pytest.mark.parametrize(
    "parameters",
    [
        {"train_layers": "2,3", "map_layers": 3, "loss_reduction": "pointwise"},
        {"overrides": "map_combine=product teacher_bn=train", "score": "mkd_loss", "loss": "mkd"},
        {
            "weights": "random",
            "backbone": "resnet18",
            "score": "top1pct",
            "study": "mine",
            "keep_maps": True,
        },
        {"method": "padim", "epochs": None},
        {"method": "spade", "epochs": None, "study": "mine"},
    ],
    ids=str,
)
def test_a_few_are_run_whole(parameters, tmp_path):
    matplotlib.use("Agg")
    given = {**RUNS["01_mvtec"], "results_dir": tmp_path / "results", **parameters}
    given = {name: value for name, value in given.items() if value is not None}
    run_cells(code_cells(prepare("01_mvtec", tmp_path / "run.ipynb", **given)))
    plt.close("all")
    folder = "runs/mine" if "study" in parameters else "demo"
    rows = list((tmp_path / "results" / folder).glob("*.json"))
    assert len(rows) == 1
    assert (load_maps(rows[0]) is not None) == ("keep_maps" in parameters)


ENDINGS = {
    "a category that is not there": ({"category": "wood"}, FileNotFoundError),
    "a loss that is not finite": ({"category": "bottle", "overrides": "lr=1e30"}, RuntimeError),
    "maps without spread": ({"category": "bottle", "overrides": "sigma=nan"}, ValueError),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_errors_leave_no_row_and_no_student(ending, tmp_path, small_mvtec):
    changes, error = ENDINGS[ending]
    given = {**SMALL, "preset": "quick", "data_root": small_mvtec, "weights": "random", **changes}
    cells = code_cells(
        prepare("01_mvtec", tmp_path / "r.ipynb", results_dir=tmp_path / "results", **given)
    )
    with pytest.raises(error):
        run_cells(cells)
    assert not [p for p in tmp_path.rglob("results/**/*") if p.is_file()]

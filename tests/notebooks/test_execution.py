"""Every notebook runs under nbval with small parameters, and what is broken turns it red."""

import json
import math
import os
import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import papermill
import pytest
from builders import ROOT
from notebook_cells import NOTEBOOKS, SMALL, code_cells, prepare, run_cells

from rdrepro import distillation, load_maps, paths
from rdrepro.study.page import NOTEBOOKS as REPORT

SHORT = {"image_size": 64, "epochs": 2}  # where several runs are compared
MVTEC = {"category": "bottle", "preset": "demo", **SMALL}
ALL = os.environ.get("RDREPRO_NBVAL") == "all"
# Parameters of each notebook, and how many rows it writes with them.
RUNS = {
    "00_quickstart": ({"category": "hazelnut", **SMALL}, 0),
    "01_mvtec": (MVTEC, 1),
    "02_complexity": ({"category": "bottle", "image_sizes": 64, "epochs": 2}, 3),  # methods
    "03_novelty": ({}, 10) if ALL else ({"normal_class": 3, "epochs": 2}, 1),  # digits
    "04_ablation": ({"category": "bottle", **SHORT}, 3),  # bottlenecks
    "05_backbones": ({"category": "bottle", **SHORT}, 2),  # teachers
    # Five choices of layers, and the transistor check's one at another resolution.
    "06_layers": ({"category": "transistor", **SHORT}, 6),
    "07_medical": ({"image_size": 32, "epochs": 2}, 5),  # folds
    **{name: ({}, 0) for name in REPORT},  # with no rows at all
}
# A kernel takes as long to start as most of these notebooks to run. `make test` starts one for the
# first one, and runs the cells of the others in its own process.
IN_A_KERNEL = list(RUNS) if ALL else ["00_quickstart"]


def test_every_notebook_is_run_here():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == set(RUNS)


def check_rows(name, results):
    written = [json.loads(file.read_text()) for file in (results / "scratch").glob("*.json")]
    assert len(written) == RUNS[name][1]
    if name == "03_novelty":
        assert np.mean([row["metrics"]["image_auroc"] for row in written]) > 0.95


@pytest.mark.parametrize("name", IN_A_KERNEL)
def test_a_notebook_runs_under_nbval(name, tmp_path):
    results = tmp_path / "results"
    prepare(name, tmp_path / f"{name}.ipynb", results_dir=results, **RUNS[name][0])
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p"]
    command += ["no:cacheprovider", "--nbval-cell-timeout=300", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    check_rows(name, results)


@pytest.mark.parametrize("name", [name for name in RUNS if name not in IN_A_KERNEL])
def test_the_cells_of_a_notebook_run(name, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.setattr(paths, "ROOT", ROOT)
    results = tmp_path / "results"
    path = prepare(name, tmp_path / f"{name}.ipynb", results_dir=results, **RUNS[name][0])
    run_cells(code_cells(path))
    plt.close("all")
    check_rows(name, results)


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


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder in which 01_mvtec has kept its student and its drawings."""
    folder = tmp_path_factory.mktemp("kept") / "results"
    matplotlib.use("Agg")
    given = {**MVTEC, "results_dir": folder}
    run_cells(code_cells(prepare("01_mvtec", folder.parent / "kept.ipynb", **given)))
    plt.close("all")
    return folder


@pytest.fixture
def prepared_cells(tmp_path, results):
    """The cells of 01_mvtec with small parameters; its student is found, not trained."""
    given = {**MVTEC, "results_dir": results}
    yield code_cells(prepare("01_mvtec", tmp_path / "run.ipynb", **given))
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
    right = distillation.anomaly_map
    monkeypatch.setattr(
        distillation, "anomaly_map", lambda *args: BREAKAGES[breakage](right(*args))
    )
    with pytest.raises((AssertionError, ValueError)):
        run_cells(prepared_cells)


def test_a_missing_figure_turns_the_notebook_red(prepared_cells):
    drawn = "rd.plot_scores(ax, predictions.scores, predictions.gt_labels);"
    assert any(drawn in cell for cell in prepared_cells)
    cells = [cell.replace(drawn, "") for cell in prepared_cells]
    with pytest.raises(AssertionError, match="3 of 4 figures"):
        run_cells(cells)


@pytest.mark.parametrize(
    "parameters",
    [
        {"train_layers": "2,3", "map_layers": 3, "loss_reduction": "pointwise"},
        {"overrides": "map_combine=product teacher_bn=train", "score": "mkd_loss", "loss": "mkd"},
        {
            "weights": "random",
            "backbone": "resnet18",
            "score": "top1pct",
            "epochs": 2,  # without weights nothing is learned that more would show
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
    given = {**MVTEC, "results_dir": tmp_path / "results", **parameters}
    given = {name: value for name, value in given.items() if value is not None}
    run_cells(code_cells(prepare("01_mvtec", tmp_path / "run.ipynb", **given)))
    plt.close("all")
    folder = "runs/mine" if "study" in parameters else "scratch"
    rows = list((tmp_path / "results" / folder).glob("*.json"))
    assert len(rows) == 1
    assert (load_maps(rows[0]) is not None) == ("keep_maps" in parameters)


# Changed parameters, what the loss is multiplied by, and the error.
ENDINGS = {
    "a category that is not there": ({"category": "wood"}, 1, (FileNotFoundError, ValueError)),
    "a loss that is not finite": ({"category": "bottle"}, math.inf, RuntimeError),
    "maps without spread": ({"category": "bottle", "overrides": "sigma=nan"}, 1, ValueError),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_errors_leave_no_row_and_no_student(ending, tmp_path, small_mvtec, monkeypatch):
    changes, factor, error = ENDINGS[ending]
    right = distillation.kd_loss
    monkeypatch.setattr(distillation, "kd_loss", lambda *args: factor * right(*args))
    given = {**SMALL, "preset": "quick", "data_root": small_mvtec, "weights": "random", **changes}
    cells = code_cells(
        prepare("01_mvtec", tmp_path / "r.ipynb", results_dir=tmp_path / "results", **given)
    )
    with pytest.raises(error):
        run_cells(cells)
    for pattern in ("scratch/*.json", "models/*.safetensors"):
        assert not list((tmp_path / "results").glob(pattern))

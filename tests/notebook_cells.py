"""Notebooks prepared by papermill, and their cells run without a kernel."""

import builtins

import nbformat
import papermill.cli
from builders import ROOT
from click.testing import CliRunner
from IPython.display import display

NOTEBOOKS = ROOT / "notebooks"
SMALL = {"image_size": 64, "epochs": 20}
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
    known = {**vars(builtins), "display": display}  # as in IPython
    namespace = {"__name__": "__main__", "__builtins__": known}
    for cell in cells:
        exec(compile(cell, "<cell>", "exec"), namespace)
    return namespace

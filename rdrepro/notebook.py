"""What run notebooks share: parameters that cannot be misspelt, and a last check."""

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rdrepro.config import BASELINES, RunConfig
from rdrepro.evaluation import Predictions
from rdrepro.resolve import PARAMETERS, Run, resolve
from rdrepro.results import check_row
from rdrepro.text import nearest

PLAIN = (type(None), bool, int, float, str, list, dict)
ROUNDING = 1e-3  # of cosines computed in float32
FEW_EPOCHS = 10
INJECTED = "# Parameters"  # how papermill begins the cell that it adds


def resolve_notebook(namespace: dict[str, Any], own: Sequence[str] = (), **changes: Any) -> Run:
    """Resolve a notebook's parameters, the variables of its namespace that `resolve` knows.

    own: parameters of the notebook itself; changes: what it sets, over its parameters. ValueError,
    with the nearest name, for a parameter that was given and is unknown: papermill
    itself only warns of it.
    """
    known = (*PARAMETERS, *own)
    for name in _given_names(namespace):
        if name not in known:
            raise ValueError(f"{name!r} is no parameter.{nearest(name, known)}")
    for name, value in changes.items():
        if namespace.get(name) not in (None, value) and value is not None:
            raise ValueError(
                f"{name}={namespace[name]!r} cannot be given here: this notebook sets {name} itself"
            )
    return resolve(**{name: namespace.get(name) for name in PARAMETERS} | changes)


def _given_names(namespace: dict[str, Any]) -> list[str]:
    """Return the names that papermill injected; outside IPython, every plain variable."""
    if "In" not in namespace:
        return [n for n, v in namespace.items() if not n.startswith("_") and isinstance(v, PLAIN)]
    injected = [cell for cell in namespace["In"] if cell.startswith(INJECTED)]
    targets = [
        target
        for cell in injected
        for statement in ast.parse(cell).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def check_run(
    row: dict[str, Any], predictions: Predictions, figures: Sequence[Figure], expected: int
) -> str:
    """Check a finished run, row, metrics, maps and figures; return a sentence.

    ValueError or AssertionError says what is wrong. A collapse on real data is a result, and its
    row says so; on embedded data it is a fault.
    """
    check_row(row)
    config = RunConfig(**row["config"])
    if row["status"] == "complete" or config.dataset == "synthetic":
        check_maps(predictions, config)
        check_metrics(row["metrics"], config)
    check_figures(figures, expected)
    return (
        f"Row valid, metrics and {len(predictions.maps)} maps in range, {expected} figures drawn."
    )


def check_maps(predictions: Predictions, config: RunConfig) -> None:
    """Assert that maps are finite, not constant, and within the range that Eqs. 1 and 3 allow.

    A baseline's distances and gradients have no upper bound.
    """
    maps, layers = predictions.maps, len(config.map_layers)
    highest = 2 * layers if config.map_combine == "sum" else 2**layers
    if config.method in BASELINES:
        highest = np.inf
    assert np.isfinite(maps).all(), "the maps are not finite"
    assert np.ptp(maps) > 0, "the maps are constant"
    low, high = maps.min(), maps.max()
    assert -ROUNDING <= low <= high <= highest + ROUNDING, (
        f"maps {low} to {high}, not 0 to {highest}"
    )


def check_metrics(metrics: dict[str, float | None], config: RunConfig) -> None:
    """Assert that metrics are fractions and, where the truth is known, better than chance.

    On embedded data a teacher with weights, after a few epochs, ranks defect pixels above the
    others, whatever the seed.
    """
    for name, value in metrics.items():
        assert value is None or np.isnan(value) or 0 <= value <= 1, f"{name}={value} is no fraction"
    taught = config.weights != "random" and config.epochs >= FEW_EPOCHS
    if config.dataset == "synthetic" and taught:
        assert metrics["pixel_auroc"] > 0.5, "the maps rank defects no better than chance"


def check_figures(figures: Sequence[Figure], expected: int) -> None:
    """Assert that there are `expected` figures, none of them empty."""
    drawn = [figure for figure in figures if any(ax.has_data() for ax in figure.axes)]
    assert len(drawn) == expected, f"{len(drawn)} of {expected} figures show something"

"""Checks of a finished run's row, metrics, maps and figures, for the last cell of a notebook."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rdrepro import registry
from rdrepro.config import RunConfig, foreign_fields
from rdrepro.evaluation import Predictions
from rdrepro.runs.rows import check_row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-3  # the error of cosines computed in float32
FEW_EPOCHS = 10


def check_run(
    row: dict[str, Any], predictions: Predictions, figures: Sequence["Figure"], expected: int
) -> str:
    """Check a finished run's row, metrics, maps and figures; return a sentence for the reader.

    Raises ValueError or AssertionError, saying what is wrong. A run has collapsed if no threshold
    can separate its scores. On real data that is a result, and its row says so. On the drawn
    benchmark it is an error.
    """
    check_row(row)
    config = RunConfig(**row["config"])
    if row["status"] == "complete" or _is_benchmark(config):
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
    if "map_combine" in foreign_fields(config.method):
        highest = np.inf
    assert np.isfinite(maps).all(), "the maps are not finite"
    assert np.ptp(maps) > 0, "the maps are constant"
    low, high = maps.min(), maps.max()
    assert -ROUNDING <= low <= high <= highest + ROUNDING, (
        f"maps {low} to {high}, not 0 to {highest}"
    )


def check_metrics(metrics: dict[str, float | None], config: RunConfig) -> None:
    """Assert that metrics are fractions and, on the benchmark, that maps are better than chance.

    The second check needs a teacher whose weights are not random, and FEW_EPOCHS or more. The maps
    of the drawn benchmark then rank defect pixels above the others, whatever the seed.
    """
    for name, value in metrics.items():
        assert value is None or np.isnan(value) or 0 <= value <= 1, f"{name}={value}: no fraction"
    taught = config.weights != "random" and config.epochs >= FEW_EPOCHS
    if _is_benchmark(config) and taught:
        assert metrics["pixel_auroc"] > 0.5, "the maps rank defects no better than chance"


def _is_benchmark(config: RunConfig) -> bool:
    """Whether the images are drawn with their defects, so that the truth is known."""
    entry = registry.DATASETS[config.dataset]
    return entry.drawn and entry.family == registry.MVTEC


def check_figures(figures: Sequence["Figure"], expected: int) -> None:
    """Assert that there are `expected` figures, none of them empty."""
    drawn = [figure for figure in figures if any(ax.has_data() for ax in figure.axes)]
    assert len(drawn) == expected, f"{len(drawn)} of {expected} figures show something"

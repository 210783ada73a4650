"""Notebook 14: how often intervals hold the truth, deviations and claims."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdrepro import paths

if TYPE_CHECKING:
    pass


def coverage_table() -> pd.DataFrame:
    """How often simulated intervals contain the truth; those far from their level are marked."""
    table = pd.read_csv(paths.ROOT / "results" / "coverage.csv")
    off = (table["coverage"] - table["nominal"]).abs() > 0.02
    return table.assign(**{"off by more than 2 points": np.where(off, "outside", "")})

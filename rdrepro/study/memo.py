"""Results that are computed once for the same result rows."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import pandas as pd


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of result rows that computes each result once for the rows that came last.

    function: takes lines of `load_runs`, then arguments that can be hashed.

    Rows count as the same if every value is equal, so a table that was changed in place is
    computed anew. A table is returned as a copy, which the caller may change.
    """
    kept: list[pd.DataFrame] = []  # a copy of the rows that came last
    results: dict[tuple, Any] = {}

    @wraps(function)
    def once(runs: pd.DataFrame, *arguments: Any) -> Any:
        if not (kept and kept[0].attrs == runs.attrs and kept[0].equals(runs)):
            kept[:] = [runs.copy()]
            results.clear()
        if arguments not in results:
            results[arguments] = function(runs, *arguments)
        found = results[arguments]
        return found.copy() if isinstance(found, pd.DataFrame) else found

    return once

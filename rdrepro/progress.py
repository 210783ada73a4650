"""A progress bar with time left."""

import sys
import warnings
from collections.abc import Iterable
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Without ipywidgets a notebook shows a text bar, as a terminal does; that needs no warning.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

# An executed notebook keeps every update of a text bar. So there are about fifty updates, but at
# least one a minute.
UPDATES = 50
FASTEST, SLOWEST = 2, 60  # seconds between updates


def progress(
    iterable: Iterable | None = None,
    description: str = "",
    expected_seconds: float = 0,
    **options: Any,
) -> tqdm:
    """A tqdm bar over `iterable`, in the notebook's or the terminal's style.

    expected_seconds: how long it may take, which sets the time between updates.
    """
    pause = min(SLOWEST, max(FASTEST, expected_seconds / UPDATES))
    # Notebooks show what goes to stderr as if it were an error.
    file = sys.stdout if "ipykernel" in sys.modules else sys.stderr
    return tqdm(iterable, description, mininterval=pause, maxinterval=pause, file=file, **options)


def say(sentence: str) -> None:
    """Write a sentence above any bar that is being drawn."""
    tqdm.write(sentence)

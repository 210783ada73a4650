"""Small helpers for messages."""

import difflib
from collections.abc import Iterable

LONG = 3600  # seconds from which a duration is given in hours


def one_of(names: Iterable[object]) -> str:
    """The names as in "a, b or c"."""
    *head, last = map(str, names)
    return f"{', '.join(head)} or {last}" if head else last


def nearest(name: object, names: Iterable[object]) -> str:
    """The text " Did you mean 'x'?" with the nearest of `names`; empty where none is near.

    Upper and lower case make no difference.
    """
    spelt = {str(known).lower(): str(known) for known in names}
    close = difflib.get_close_matches(str(name).lower(), list(spelt), n=1)
    return f" Did you mean {spelt[close[0]]!r}?" if close else ""


def duration(seconds: float) -> str:
    """A length of time as text, in seconds, minutes or hours, depending on how long it is."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < LONG else f"{seconds / 3600:.1f} h"

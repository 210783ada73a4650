"""How a papermill run reports its progress on a terminal or in a log file."""

import math
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

PAUSE = 30  # seconds between two lines of a log file


class Terminal:
    """Sentences and the state of progress, written to a stream.

    On a terminal with papermill's bar, the state is one line below that bar. Elsewhere, as in a log
    file, a line is written at most every PAUSE seconds.
    """

    def __init__(
        self, stream: TextIO, beside_bar: bool, clock: Callable[[], float] = time.monotonic
    ):
        self.stream, self.clock = stream, clock
        self.replaces = beside_bar and stream.isatty()
        self.line: tqdm | None = None
        self.written = -math.inf  # when the last line was written

    def say(self, text: str) -> None:
        """Write a sentence above all bars."""
        tqdm.write(text, file=self.stream)

    def show(self, text: str, main: bool) -> None:
        """Show the state of progress.

        main: whether a longer task has begun; its first state is always shown.
        """
        if self.replaces:
            if self.line is None:
                options = {"position": 1, "leave": False, "bar_format": "{desc}"}
                self.line = tqdm(total=0, file=self.stream, dynamic_ncols=True, **options)
            self.line.set_description_str(text)
        elif self.clock() - self.written >= PAUSE and (main or self.written > 0):
            self.written = self.clock()
            self.say(text)

    def clear(self) -> None:
        """Remove the line of progress, since nothing is in progress now."""
        if self.line is not None:
            self.line.close()
            self.line = None

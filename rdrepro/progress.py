"""A progress bar with time left, in a terminal or as one line of a notebook's cell.

In a notebook, each message also carries a mark for programs that read the kernel's messages, such
as `runs.engine`. PROGRESS marks the state of a bar, SENTENCE a sentence. Marks are transient data,
which no notebook file keeps.
"""

import sys
import uuid
import warnings
from collections.abc import Iterable
from typing import Any

from tqdm import TqdmWarning, tqdm

with warnings.catch_warnings():
    # Other packages load it; in a notebook it would then warn that ipywidgets are missing.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm import auto  # noqa: F401

# A file keeps every update, so there are only about fifty, but at least one a minute.
UPDATES = 50
FASTEST, SLOWEST = 2, 60  # seconds between updates
NOTEBOOK_PAUSE = 1  # the same in a notebook, where the line is replaced
PROGRESS, SENTENCE = "rdrepro.progress", "rdrepro.sentence"


def progress(
    iterable: Iterable | None = None,
    description: str = "",
    expected_seconds: float = 0,
    **options: Any,
) -> tqdm:
    """A tqdm bar over `iterable`, in the notebook's or the terminal's style.

    expected_seconds: how long it may take, which sets the time between updates in a terminal.
    """
    shell = _notebook_shell()
    if shell:
        return NotebookBar(shell, iterable, description, **options)
    pause = min(SLOWEST, max(FASTEST, expected_seconds / UPDATES))
    if options.get("leave") is False and not sys.stderr.isatty():
        options["disable"] = True  # a file would keep a bar that is meant to vanish
    return tqdm(iterable, description, mininterval=pause, maxinterval=pause, **options)


def say(sentence: str) -> None:
    """Show a sentence beside any bar that is being drawn."""
    shell = _notebook_shell()
    if shell:
        shell.display_pub.publish(
            {"text/plain": sentence}, {}, transient={SENTENCE: {"text": sentence}}
        )
    else:
        tqdm.write(sentence)


def _notebook_shell() -> Any:
    """IPython's shell where a notebook's kernel runs this code, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None


class Line:
    """The line of a notebook's cell that all bars of the cell share.

    It shows the bar that was opened last. Once all bars are closed, the last one stays. A bar with
    leave=False stays only if there was no other kind.
    """

    current: "Line | None" = None

    def __init__(self, shell: Any):
        self.shell, self.cell, self.id = shell, shell.execution_count, uuid.uuid4().hex
        self.bars: list[NotebookBar] = []
        self.left: tuple[str, dict[str, Any]] = ("", {})
        self.shown = self.stays = False

    @classmethod
    def of_cell(cls, shell: Any) -> "Line":
        """The line of the cell that is being executed."""
        line = cls.current
        if line is None or (line.shell, line.cell) != (shell, shell.execution_count):
            cls.current = cls(shell)
        return cls.current

    def publish(self) -> None:
        """Show the line's bar as it is now, in place of what was shown before."""
        text, state = self.bars[-1].state() if self.bars else self.left
        transient = {"display_id": self.id, PROGRESS: state}
        self.shell.display_pub.publish(
            {"text/plain": text}, {}, transient=transient, update=self.shown
        )
        self.shown = True

    def remove(self, bar: "NotebookBar") -> None:
        """Take a bar that was closed off the line."""
        self.bars = [other for other in self.bars if other is not bar]
        if bar.leave or not self.stays:
            self.left, self.stays = bar.state(), bool(bar.leave)
        self.publish()


class NotebookBar(tqdm):
    """A bar that is drawn on its cell's line."""

    def __init__(self, shell: Any, *arguments: Any, **options: Any):
        # A given width and height keep tqdm from asking a terminal for them. miniters=1 keeps its
        # monitor thread idle, whose output would belong to no cell.
        fixed = {"gui": True, "miniters": 1, "ascii": False, "ncols": 120, "nrows": 1}
        super().__init__(*arguments, mininterval=NOTEBOOK_PAUSE, **fixed, **options)
        if not self.disable:
            self.line = Line.of_cell(shell)
            self.line.bars.append(self)
            self.refresh()

    def state(self) -> tuple[str, dict[str, Any]]:
        """The bar as a cell shows it, and the state that PROGRESS carries.

        The state is a text such as "training 45 %, epoch 9 of 20, loss 0.1, 00:07 left", and
        whether the bar has begun and will stay.
        """
        ending = "{remaining} left"
        if self.disable:  # it is closed
            ending = "in {elapsed}" if self.n == self.total else "stopped after {elapsed}"
        words = f"{{desc}} {{percentage:.0f}} %{{postfix}}, {ending}"
        drawn, text = (
            self.format_meter(**self.format_dict | {"bar_format": form})
            for form in (f"|{{bar:20}}| {words}", words)
        )
        return drawn, {"text": text, "main": bool(self.leave and self.n)}

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Show the bar, unless another one has been opened since."""
        if self.line.bars[-1] is self:
            self.line.publish()
        return True

    def clear(self, nolock: bool = False) -> None:
        """Do nothing: each output of a cell has its own place, so a bar hides no other output."""

    def close(self) -> None:
        """Show the final state or, if this bar is inside another one, the outer bar."""
        if not getattr(self, "disable", True):
            super().close()
            self.line.remove(self)

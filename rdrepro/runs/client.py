"""papermill's own engine, with what the kernel reports shown on the terminal."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from subprocess import Popen
from types import FrameType
from typing import Any

import zmq
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger

from rdrepro.progress import PROGRESS, SENTENCE
from rdrepro.runs.engine import is_command
from rdrepro.runs.terminal import Terminal


@contextmanager
def interrupts_passed_on(process: Popen) -> Iterator[None]:
    """The context in which a first Ctrl-C interrupts the running cell, and a second papermill.

    The output notebook then shows where the cell stopped, and papermill stays intact meanwhile.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        process.send_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class ShowingClient(PapermillNotebookClient):
    """Executes a notebook; shows the sentences and the progress that its kernel reports."""

    def __init__(self, nb_man: Any, terminal: Terminal | None, **options: Any):
        super().__init__(nb_man, **options)
        self.terminal = terminal

    def create_kernel_manager(self) -> Any:
        """A manager of a kernel. Messages are encrypted if both sides support it.

        A kernel prints a warning about messages that are not encrypted. Raises NoSuchKernel for an
        unknown kernel before the manager would write a traceback to the log.
        """
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager.get_kernel_spec(manager.kernel_name)
        if manager.has_trait("transport_encryption") and zmq.has("curve"):
            manager.transport_encryption = "auto"
        return manager

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Show the progress that a message of the kernel reports, then process it as usual."""
        if self.terminal:
            content = msg["content"]
            marks = content.get("transient") or {}
            if PROGRESS in marks:
                self.terminal.show(**marks[PROGRESS])
            if SENTENCE in marks and not self.log_output:  # otherwise papermill shows it
                self.terminal.say(**marks[SENTENCE])
            if content.get("execution_state") == "idle":
                self.terminal.clear()
        return super().process_message(msg, cell, cell_index)

    def papermill_execute_cells(self) -> None:
        """Execute all cells; an error about a dead kernel gets the process's return code."""
        process = getattr(self.km.provisioner, "process", None)
        passed_on = interrupts_passed_on(process) if process and is_command() else nullcontext()
        try:
            with passed_on:
                super().papermill_execute_cells()
        except DeadKernelError as error:
            error.returncode = getattr(process, "returncode", None)
            raise
        finally:
            if self.terminal:
                self.terminal.clear()


class ShowingEngine(NBClientEngine):
    """papermill's own engine with the client of this module."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        execution_timeout: int | None = None,
        start_timeout: int = 60,
        input_path: str | None = None,
        **options: Any,
    ) -> Any:
        """Execute a notebook in its kernel."""
        terminal = None
        if nb_man.pbar or is_command():
            terminal = Terminal(sys.stderr, beside_bar=nb_man.pbar is not None)
        client = ShowingClient(
            nb_man,
            terminal,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logger,
            **options,
        )
        return client.execute()

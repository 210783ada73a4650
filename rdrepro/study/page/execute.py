"""The execution of the report's notebooks, in a few kernels that they share."""

import asyncio
from pathlib import Path
from typing import Any

import nbformat
import zmq
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from rdrepro import paths
from rdrepro.files import replacing
from rdrepro.study.page import NOTEBOOKS

# The longest comes first, so that no core is idle at the end.
LONGEST_FIRST = ("10_results", "12_medical", "11_novelty", "13_ablations", "14_deviations")
KERNELS = 2  # at a time; each loads libraries and rows once, for all notebooks that it executes
FORGET = "%reset -f"  # removes what a notebook has defined; what was loaded and computed stays


class Client(NotebookClient):
    """Executes notebooks in the folder of the repository, one after the other in one kernel."""

    def __init__(self) -> None:
        place = {"metadata": {"path": str(paths.ROOT)}}
        first = nbformat.v4.new_notebook()
        super().__init__(first, timeout=None, kernel_name="python3", resources=place)

    def create_kernel_manager(self) -> Any:
        """A manager of a kernel. Messages are encrypted if both sides support it.

        A kernel prints a warning about messages that are not encrypted.
        """
        manager = super().create_kernel_manager()
        if manager.has_trait("transport_encryption") and zmq.has("curve"):
            manager.transport_encryption = "auto"
        return manager

    async def run(self, notebook: nbformat.NotebookNode) -> None:
        """Execute a notebook in the running kernel, in an empty namespace."""
        forgetting = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(FORGET)])
        for each in (forgetting, notebook):
            self.nb = each
            await self.async_execute(cleanup_kc=False)  # the kernel stays


def execute_all(folder: Path) -> list[Path]:
    """Execute the report's notebooks and write them to `folder`; return the files, in order.

    The rows are those of `paths.results_dir`. Raises RuntimeError, with the notebook and its error,
    where a cell fails; the other notebooks are then stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(_execute(folder))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return [folder / f"{name}.ipynb" for name in NOTEBOOKS]


async def _execute(folder: Path) -> None:
    waiting = list(reversed(LONGEST_FIRST))
    async with asyncio.TaskGroup() as group:
        for _ in range(KERNELS):
            group.create_task(_execute_waiting(waiting, folder))


async def _execute_waiting(waiting: list[str], folder: Path) -> None:
    """Execute waiting notebooks in a kernel, the last one first, until none waits."""
    client = Client()
    async with client.async_setup_kernel():
        while waiting:
            name = waiting.pop()
            source = paths.ROOT / "notebooks" / f"{name}.ipynb"
            await execute(client, source, folder / f"{name}.ipynb")


async def execute(client: Client, source: Path, target: Path) -> None:
    """Execute a notebook and write it with its outputs, also where a cell fails.

    Raises RuntimeError where a cell fails.
    """
    notebook = nbformat.read(source, as_version=4)
    try:
        await client.run(notebook)
    except CellExecutionError as error:
        why = f"{source.name} failed with {error.ename}: {error.evalue}"
        raise RuntimeError(f"{why}; {target} shows where") from None
    finally:
        with replacing(target) as aside:
            nbformat.write(notebook, aside)

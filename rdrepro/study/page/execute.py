"""The execution of the report's notebooks, each in a fresh kernel."""

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
KERNELS = 2  # at a time


class Client(NotebookClient):
    """Executes a notebook in the folder of the repository."""

    def __init__(self, notebook: nbformat.NotebookNode):
        place = {"metadata": {"path": str(paths.ROOT)}}
        super().__init__(notebook, timeout=None, kernel_name="python3", resources=place)

    def create_kernel_manager(self) -> Any:
        """A manager of a kernel. Messages are encrypted if both sides support it.

        A kernel prints a warning about messages that are not encrypted.
        """
        manager = super().create_kernel_manager()
        if manager.has_trait("transport_encryption") and zmq.has("curve"):
            manager.transport_encryption = "auto"
        return manager


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
    free = asyncio.Semaphore(KERNELS)

    async def one(name: str) -> None:
        async with free:
            await execute(paths.ROOT / "notebooks" / f"{name}.ipynb", folder / f"{name}.ipynb")

    async with asyncio.TaskGroup() as group:
        for name in LONGEST_FIRST:
            group.create_task(one(name))


async def execute(source: Path, target: Path) -> None:
    """Execute a notebook and write it with its outputs, also where a cell fails.

    Raises RuntimeError where a cell fails.
    """
    notebook = nbformat.read(source, as_version=4)
    try:
        await Client(notebook).async_execute()
    except CellExecutionError as error:
        why = f"{source.name} failed with {error.ename}: {error.evalue}"
        raise RuntimeError(f"{why}; {target} shows where") from None
    finally:
        with replacing(target) as aside:
            nbformat.write(notebook, aside)

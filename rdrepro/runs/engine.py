"""The papermill engine of this package, and the sentence that a failed `papermill` command shows.

papermill loads this module through the entry point of the group "papermill.engine". The engine then
serves every notebook that imports rdrepro, and passes all others on to papermill's own engine.
Nothing of papermill is imported at the top, because papermill may be half loaded at that moment.
"""

import functools
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from rdrepro.runs.explain import dead_kernel, explain

OURS = re.compile(r"^\s*(from rdrepro\b|import .*\brdrepro\b)", re.MULTILINE)
DEAD_KERNEL_EXIT = 138  # papermill's own exit code for it


class Engine:
    """papermill's interface of an engine. `serves` decides which notebooks it executes."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **options: Any) -> Any:
        """Execute a notebook, and return it with its outputs."""
        from nbclient.exceptions import DeadKernelError
        from papermill.engines import NBClientEngine

        if not serves(nb):
            _report_by_traceback()
            return NBClientEngine.execute_notebook(nb, kernel_name, **options)
        from rdrepro.runs.client import ShowingEngine

        output = nb.metadata.papermill["output_path"]
        _report_by_sentence(output)
        _check_folder(output)
        try:
            return ShowingEngine.execute_notebook(nb, kernel_name, **options)
        except DeadKernelError as error:
            if not is_command():
                raise
            # papermill would print the traceback itself.
            sys.stderr.write(f"Error: {dead_kernel(error)}\n")
            raise SystemExit(DEAD_KERNEL_EXIT) from None

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """The kernel of a notebook, unless another name is given."""
        from papermill.utils import nb_kernel_name

        return nb_kernel_name(nb, name)

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """The language of a notebook, unless another one is given."""
        from papermill.utils import nb_language

        return nb_language(nb, language)


def serves(nb: Any) -> bool:
    """Whether a notebook imports rdrepro."""
    return any(cell.cell_type == "code" and OURS.search(cell.source) for cell in nb.cells)


def _check_folder(output: str | None) -> None:
    """Raise FileNotFoundError, as papermill would, where an output notebook has no folder."""
    if output is None or "://" in output:
        return
    folder = Path(output).parent
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the output folder {folder} does not exist; make it first: mkdir -p {folder}"
        )


def is_command() -> bool:
    """Whether this process is the command `papermill` or `python -m papermill`."""
    called = Path(sys.argv[0]).stem if sys.argv else ""
    return called == "papermill" or sys.orig_argv[1:3] == ["-m", "papermill"]


def show_error(
    output: str | None,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    """A hook for `sys.excepthook`: it shows one sentence if there is one, else the traceback.

    output: the path of the output notebook; None before a notebook was read.
    """
    sentence = explain(error, output)
    if sentence is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        sys.stderr.write(f"Error: {sentence}\n")


def _report_by_sentence(output: str | None = None) -> None:
    if is_command() and _is_replaceable(sys.excepthook):
        sys.excepthook = functools.partial(show_error, output)


def _report_by_traceback() -> None:
    if _is_replaceable(sys.excepthook):
        sys.excepthook = sys.__excepthook__


def _is_replaceable(hook: Any) -> bool:
    """Whether a hook is Python's own or this module's, and not another program's."""
    return hook is sys.__excepthook__ or getattr(hook, "func", None) is show_error


def _become_default() -> None:
    from papermill.engines import papermill_engines

    papermill_engines.register(None, Engine)


_become_default()
_report_by_sentence()

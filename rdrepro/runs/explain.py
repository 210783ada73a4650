"""The one sentence that a failed `papermill` command shows for an exception."""

import signal
from pathlib import Path

from rdrepro.text import nearest, one_of

# Errors whose messages are sentences. For all others the name is shown as well.
WITH_SENTENCES = (
    *("ValueError", "FileNotFoundError", "RuntimeError", "MemoryError", "PermissionError"),
    *("ConnectionError", "NotADirectoryError", "NoFourthStageError"),
)
LONGEST = 600  # characters of an error's message; the notebook has the rest


def explain(error: BaseException, output: str | None) -> str | None:
    """A sentence that says why papermill failed; None if only the traceback can.

    output: the path of the output notebook; None if no notebook had been read yet.
    """
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError
    from nbformat.reader import NotJSONError
    from papermill.exceptions import PapermillException, PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        place = "the notebook on stdout" if output in (None, "-") else output
        if error.ename == "KeyboardInterrupt":
            return f"interrupted; {place} says where."
        return f"{in_a_cell(error.ename, error.evalue)}\nThe traceback is in {place}."
    if isinstance(error, NoSuchKernel):
        return _unknown_kernel(error.name)
    if isinstance(error, NotJSONError):
        return f"this is not a notebook: {_one_line(str(error))}"
    if isinstance(error, CellTimeoutError):
        return f"{str(error).splitlines()[0].rstrip('.')} (--execution-timeout)."
    if isinstance(error, OSError):
        return _file(error)
    if isinstance(error, PapermillException):
        return _one_line(str(error))
    return None


def in_a_cell(name: str, message: str) -> str:
    """The message of an error that a cell raised, with the error's name if that is needed."""
    message = _one_line(message)
    if name in WITH_SENTENCES and message:
        return message
    return f"{name}: {message}" if message else name


def dead_kernel(error: BaseException) -> str:
    """A sentence on a kernel that died.

    error: its attribute `returncode`, if any, is the process's exit code, or minus a signal's
    number.
    """
    code = getattr(error, "returncode", None)
    if code == -signal.SIGKILL:
        return (
            "the notebook's kernel was killed, most likely because memory ran out; lower "
            "batch_size, image_size or RDREPRO_CACHE_GB, or end other programs."
        )
    why = "" if code is None else f" with exit code {code}"
    return f"the notebook's kernel died{why}; what it printed before stands above."


def _unknown_kernel(name: str) -> str:
    from jupyter_client.kernelspec import KernelSpecManager

    known = sorted(KernelSpecManager().find_kernel_specs())
    there = f"there is {one_of(known)}; choose with -k NAME" if known else "install ipykernel"
    return f"no kernel has the name {name!r}; {there}.{nearest(name, known)}"


def _file(error: OSError) -> str:
    """A sentence on a file or folder that cannot be read or written."""
    if not isinstance(error.filename, str):
        return _one_line(str(error))
    path = Path(error.filename)
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist.{_like(path)}"
    return f"{path}: {error.strerror}."


def _like(path: Path) -> str:
    """A question that suggests a notebook of a similar name, there or in `notebooks/`."""
    if path.suffix != ".ipynb":
        return ""
    files = [*path.parent.glob("*.ipynb"), *Path("notebooks").glob("*.ipynb")]
    same = [file for file in files if file.name == path.name]
    return nearest(path, same or files)


def _one_line(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."

"""`make lab`: JupyterLab on copies of the notebooks, so that the originals stay as they are.

An edited copy is never overwritten. Only changes of cells are edits. JupyterLab saves outputs and
metadata by itself, so these do not count.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat

from rdrepro import paths
from rdrepro.files import replacing, sweep

RECORD = ".originals.json"  # the hash of the original of each copy


def update_copies(originals: Path, folder: Path) -> list[str]:
    """Copy every notebook of a folder into another, except over copies that somebody edited.

    Returns sentences about the copies that are older than their originals. A copy is written before
    it is recorded, so an interrupted start is repaired by the next one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    said = []
    for original in sorted(originals.glob("*.ipynb")):
        recorded, new = read_record(folder), content_hash(original)
        copy = folder / original.name
        if is_free(copy, recorded, new):
            target = copy
        elif recorded.get(copy.name) == new:
            continue  # edited, and its original has not changed
        else:
            target = _beside(copy, recorded, new)
            said.append(
                f"{copy.name} has a newer original, but you edited your copy, so it stays; "
                f"the new one is {target.name}, beside it."
            )
        if content_hash(target) != new:
            _write(target, original.read_bytes())
        _record(folder, recorded | {copy.name: new, target.name: new})
    return said


def content_hash(path: Path) -> str | None:
    """The hash of a notebook's cells, without outputs and metadata; None if it cannot be read."""
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception:  # nbformat raises many types of errors for other files
        return None
    content = json.dumps([[cell.cell_type, cell.source] for cell in cells])
    return hashlib.sha256(content.encode()).hexdigest()


def is_free(copy: Path, recorded: Mapping[str, str], new: str) -> bool:
    """Whether a copy may be written: it is missing, unedited, or already the same."""
    return not copy.exists() or content_hash(copy) in (recorded.get(copy.name, new), new)


def read_record(folder: Path) -> dict[str, str]:
    """The hashes of the originals by copy; none where the file is missing or broken."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _beside(copy: Path, recorded: Mapping[str, str], new: str) -> Path:
    """The first of NAME.new.ipynb, NAME.new2.ipynb ... that may be written."""
    number = 1
    while True:
        path = copy.with_suffix(f".new{number if number > 1 else ''}.ipynb")
        if is_free(path, recorded, new):
            return path
        number += 1


def _record(folder: Path, record: Mapping[str, str]) -> None:
    _write(folder / RECORD, json.dumps(record, indent=1, sort_keys=True).encode())


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as aside:
        aside.write_bytes(content)


def environment() -> dict[str, str]:
    """The environment of JupyterLab. Paths are absolute, since kernels start in another folder."""
    found = {"RDREPRO_DATA": paths.data_dir, "RDREPRO_RESULTS": paths.results_dir}
    found["RDREPRO_WEIGHTS"] = paths.weights_dir
    absolute = {n: find() for n, find in found.items() if os.environ.get(n)}
    return os.environ | {n: str(path.absolute()) for n, path in absolute.items() if path}


def main() -> None:
    """Bring the copies up to date and become JupyterLab, with the given arguments."""
    folder = paths.results_dir() / "lab"
    for sentence in update_copies(paths.ROOT / "notebooks", folder):
        sys.stdout.write(f"{sentence}\n")
    sys.stdout.write(f"JupyterLab opens copies of the notebooks, in {folder}.\n")
    sys.stdout.flush()
    # Encrypted messages, because kernels print a warning about others.
    command = ["jupyterlab", str(folder), "--KernelManager.transport_encryption=auto"]
    os.execve(sys.executable, [sys.executable, "-m", *command, *sys.argv[1:]], environment())


if __name__ == "__main__":
    main()

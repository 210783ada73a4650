"""The folders of data, weights and results. Environment variables override the project's own."""

import os
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[1]
# The checkout that holds the package; for a package installed elsewhere, the working folder.
ROOT = _SOURCE if (_SOURCE / "pyproject.toml").is_file() else Path.cwd()
PAPER = ROOT / "results" / "paper"


def data_dir() -> Path | None:
    """The data folder: $RDREPRO_DATA, else the project's `data/` where it exists, else None."""
    named = os.environ.get("RDREPRO_DATA")
    if named:
        return existing(named) or Path(named)
    return ROOT / "data" if (ROOT / "data").is_dir() else None


def results_dir() -> Path:
    """The folder of results: $RDREPRO_RESULTS, else the project's `results/`."""
    named = os.environ.get("RDREPRO_RESULTS")
    return Path(named).absolute() if named else ROOT / "results"


def weights_dir() -> Path | None:
    """The folder of weights: $RDREPRO_WEIGHTS; None where it is not set or does not exist."""
    named = os.environ.get("RDREPRO_WEIGHTS")
    return existing(named) if named else None


def existing(path: str | Path) -> Path | None:
    """The absolute path of an existing file or folder; None where there is none.

    A relative path is taken from the working folder or else from the project's root. JupyterLab and
    nbval start a kernel in the notebook's folder, papermill in the caller's.
    """
    path = Path(path).expanduser()
    return next((p.absolute() for p in (path, ROOT / path) if _exists(p)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # an impossible file name
        return False

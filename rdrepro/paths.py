"""Where data, weights and results are; environment variables override the project's folders."""

import os
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[1]
# The checkout that holds the package; for a package installed elsewhere, the working folder.
ROOT = _SOURCE if (_SOURCE / "pyproject.toml").is_file() else Path.cwd()
PAPER = ROOT / "results" / "paper"


def data_dir() -> Path | None:
    """Return $RDREPRO_DATA, else the project's `data/` where it exists, else None."""
    named = os.environ.get("RDREPRO_DATA")
    if named:
        return existing(named) or Path(named)
    return ROOT / "data" if (ROOT / "data").is_dir() else None


def results_dir() -> Path:
    """Return $RDREPRO_RESULTS, else the project's `results/`."""
    named = os.environ.get("RDREPRO_RESULTS")
    return Path(named).absolute() if named else ROOT / "results"


def weights_dir() -> Path | None:
    """Return $RDREPRO_WEIGHTS where it is set."""
    named = os.environ.get("RDREPRO_WEIGHTS")
    return existing(named) if named else None


def existing(path: str | Path) -> Path | None:
    """Return `path`, taken from the working folder or else from the project's root; None if absent.

    JupyterLab and nbval start a kernel in the notebook's folder, papermill in the caller's.
    """
    path = Path(path).expanduser()
    return next((p.absolute() for p in (path, ROOT / path) if p.exists()), None)

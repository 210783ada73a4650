"""Trained students that are saved on disk and found again by the key of their training."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rdrepro.data.splits import ImageData
from rdrepro.detector import Detector
from rdrepro.models.weights import load_strictly


def training_hash(data: ImageData, validation: ImageData | None) -> str:
    """The SHA-256 of all images that decide a student: training and, if any, validation images."""
    if validation is None:
        return data.fingerprint()
    both = f"{data.fingerprint()} {validation.fingerprint()}"
    return hashlib.sha256(both.encode()).hexdigest()


def check_writable(folder: Path) -> None:
    """Raise PermissionError where nothing can be written to a folder.

    It is called before hours of training, so that they are not lost.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PermissionError(
            f"nothing can be written to {folder} ({error.strerror}); give another folder as "
            "results_dir or in RDREPRO_RESULTS"
        ) from None


def save_student(
    model: Detector, history: pd.DataFrame, trainer: dict[str, Any], path: Path
) -> None:
    """Save what training changed, with its history and the environment that trained it.

    trainer: what `provenance.environment` returned after training. The file is written under
    another name and then renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    state = {k: v.contiguous().cpu() for k, v in model.kept().state_dict().items()}
    told = {"history": history.to_json(orient="records"), "trained": json.dumps(trainer)}
    save_file(state, aside, metadata=told)
    aside.replace(path)


def load_student(model: Detector, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Load a saved student into a model; return its history and the environment that trained it.

    Raises ValueError where the file is damaged or does not fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
            history, trainer = (json.loads(file.metadata()[k]) for k in ("history", "trained"))
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"the kept student {path.name} cannot be read ({error}); delete it to train anew"
        ) from None
    load_strictly(model.kept(), state, path.name)
    return pd.DataFrame(history), trainer

"""Trained students and interrupted trainings, kept on disk and found again by their key."""

import errno
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rdrepro.detector import Detector, Saved
from rdrepro.files import replacing
from rdrepro.models.weights import load_strictly
from rdrepro.progress import say

EVERY_SECONDS = 300  # between checkpoints: the most that an interruption costs
DAMAGED = (SafetensorError, OSError, KeyError, TypeError, ValueError)


def training_hash(images: str, held_out: str | None) -> str:
    """The SHA-256 of all images that a student depends on, from the fingerprints of the data sets.

    images, held_out: the fingerprints of the training images and of the validation images, if any.
    """
    return (
        images if held_out is None else hashlib.sha256(f"{images} {held_out}".encode()).hexdigest()
    )


def check_writable(folder: Path) -> None:
    """Raise PermissionError where nothing can be written to a folder.

    It is called before training, so that no hours of training are lost.
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

    trainer: what `provenance.environment` returned after training.
    """
    facts = {"history": history.to_json(orient="records"), "trained": json.dumps(trainer)}
    _save(model.kept().state_dict(), facts, path)


def _save(tensors: Mapping[str, Tensor], facts: dict[str, str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {k: v.contiguous().cpu() for k, v in tensors.items()}
    facts = facts | {"sha256": _digest(whole)}
    with replacing(path) as aside, _full_disk_named(path):
        save_file(whole, aside, metadata=facts)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors with their names; safetensors files contain no checksum."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)} ".encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    """Turn safetensors' own error on a full disk into the usual OSError."""
    try:
        yield
    except SafetensorError as error:
        code = errno.ENOSPC if "os error 28" in str(error) else errno.EIO
        raise OSError(code, f"{path.name} cannot be written ({error})") from None


def load_student(model: Detector, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Load a saved student into a model; return its history and the environment that trained it.

    Raises ValueError where the file is damaged or does not fit.
    """
    try:
        state, facts = _read(path)
        history, trainer = (json.loads(facts[k]) for k in ("history", "trained"))
    except DAMAGED as error:
        raise ValueError(
            f"the kept student {path.name} cannot be read ({error}); delete it to train anew"
        ) from None
    load_strictly(model.kept(), state, path.name)
    return pd.DataFrame(history), trainer


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and facts of a safetensors file, which can hold no code.

    Raises ValueError where its content is not what was written.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
        facts = file.metadata()
    if facts["sha256"] != _digest(tensors):
        raise ValueError("its content was damaged")
    return tensors, facts


class FileCheckpoint:
    """The file that keeps the state of a training. It is written at most every five minutes.

    key: identifies the training, so that the state of another one is not used. here: what
    `provenance.environment` returned before training. Nothing is raised where the disk is full or
    the file is damaged: a sentence says so, and training goes on.
    """

    def __init__(self, path: Path, key: str, here: Mapping[str, Any]):
        self.path, self.key, self.here = path, key, here
        self.dirty = [here["dirty"]]  # of each part of the training
        self.saved = time.monotonic()

    def load(self) -> Saved | None:
        """The state that was saved last; None if none fits."""
        if not self.path.is_file():
            return None
        try:
            tensors, facts = _read(self.path)
            if facts["key"] != self.key:
                say(f"The checkpoint {self.path.name} is another run's; training starts anew.")
                return None
            state, before = json.loads(facts["state"]), json.loads(facts["before"])
        except DAMAGED as error:
            say(f"The checkpoint {self.path.name} cannot be read ({error}); training starts anew.")
            return None
        self.dirty += before["dirty"]
        for name in ("threads", "device"):
            if before[name] != self.here[name]:
                say(
                    f"The training began with {name}={before[name]} and goes on with "
                    f"{name}={self.here[name]}; last digits may differ from those of either."
                )
        return tensors, state

    def due(self) -> bool:
        """Whether five minutes have passed since the start or the last attempt to save."""
        return time.monotonic() - self.saved >= EVERY_SECONDS

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Save a state in place of the one before."""
        self.saved = time.monotonic()
        before = {name: self.here[name] for name in ("threads", "device")} | {"dirty": self.dirty}
        texts = {"key": self.key, "state": json.dumps(facts), "before": json.dumps(before)}
        try:
            _save(tensors, texts, self.path)
        except OSError as error:
            say(f"No checkpoint: {error.strerror}. Training goes on without it.")

    def remove(self) -> None:
        """Remove the file, once the result of the training is safe."""
        self.path.unlink(missing_ok=True)

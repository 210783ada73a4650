"""Which jobs of a study have no row yet, and what those jobs need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro import registry
from rdrepro.config import FIELD_NAMES, RunConfig
from rdrepro.runs.git import git_state
from rdrepro.study.catalogue import identity
from rdrepro.study.jobs import Job
from rdrepro.study.selection import clean
from rdrepro.text import one_of

CLEAN, ANY = "clean", "any"  # which rows count: those of clean working trees, or all


def rows_of(study: str, runs: pd.DataFrame, counted: str = CLEAN) -> list[dict[str, Any]]:
    """The rows of a study that count, as configurations with the hashes of their data.

    A row with impossible settings, for example after editing by hand, is left out.
    """
    if runs.empty:
        return []
    kept = clean(runs, study) if counted == CLEAN else runs[runs["study"] == study]
    # In a mixed column pandas turns whole numbers into floats and null into NaN.
    found = (_as_config(row) for row in kept.to_dict("records"))
    return [row for row in found if row is not None]


def _as_config(row: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        config = asdict(RunConfig(**{name: row[name] for name in FIELD_NAMES}))
    except ValueError:
        return None
    hashes = {f"{part}_data": row[f"provenance.{part}_data_sha256"] for part in ("train", "test")}
    return config | hashes | {"file": row["file"]}


Hashes = Callable[[RunConfig], Sequence[str] | None]


def unknown(config: RunConfig) -> None:
    """The hashes of data that are not on this machine."""


def missing(
    jobs: Sequence[Job], runs: pd.DataFrame, hashes: Hashes = unknown, counted: str = CLEAN
) -> list[Job]:
    """The jobs that have no row; for the parameters see `files`."""
    found = files(jobs, runs, hashes, counted)
    return [job for job in jobs if job not in found]


def files(
    jobs: Sequence[Job], runs: pd.DataFrame, hashes: Hashes = unknown, counted: str = CLEAN
) -> dict[Job, str]:
    """The file of the newest row of each job that has one.

    runs: lines of `load_runs`. hashes: a function from a configuration to the hashes of its
    training and test data, or to None if the data are not on this machine. If the hashes are known,
    rows of other data do not count. counted: CLEAN if only rows of clean working trees count, else
    ANY.
    """
    known: dict[str, dict[tuple[str, ...], list[dict[str, Any]]]] = {}
    newest = {}
    for job in jobs:
        study = job.study.name
        if study not in known:
            known[study] = _by_identity(rows_of(study, runs, counted))
        found = known[study].get(job.identity, [])
        data = hashes(job.config) if found else None
        if data is not None:
            found = [r for r in found if [r["train_data"], r["test_data"]] == list(data)]
        if found:
            newest[job] = found[-1]["file"]
    return newest


def _by_identity(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    known: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        for with_precision in (True, False):
            known.setdefault(identity(row, with_precision), []).append(row)
    return known


def data_hashes(data_root: str | None) -> Hashes:
    """A function from a configuration to the hashes of its training and test data.

    It returns None for real data that are not on this machine. It also returns None for embedded
    data, because the configuration alone identifies them.
    """
    seen: dict[tuple, Sequence[str] | None] = {}

    def hashes(config: RunConfig) -> Sequence[str] | None:
        if registry.DATASETS[config.dataset].embedded:
            return None
        # Only these settings decide which images are read.
        fields = ("dataset", "category", "normal_class", "inlier_categories", "split", "fold")
        fields += ("data_seed", "early_stopping", "validation_fraction", "seed", "rotation")
        stopped = config.early_stopping == "train"
        key = tuple(getattr(config, f) for f in fields if f != "seed" or stopped)
        if key not in seen:
            seen[key] = _hash(config, data_root)
        return seen[key]

    return hashes


def _hash(config: RunConfig, data_root: str | None) -> Sequence[str] | None:
    from rdrepro.data.splits import open_split, open_validation  # loads torch
    from rdrepro.runs.checkpoints import training_hash
    from rdrepro.runs.resolve import find_data

    try:
        root = find_data(config, data_root)
        train, test = (open_split(config, root, split) for split in ("train", "test"))
        held_out = open_validation(config, root)
        marks = train.fingerprint(), held_out.fingerprint() if held_out else None
        return training_hash(*marks), test.fingerprint()
    except (FileNotFoundError, ConnectionError):
        return None


def weights_files(texts: Sequence[str], jobs: Sequence[Job]) -> dict[str, str]:
    """The weights file of each backbone, from texts such as "resnet18=PATH".

    ValueError for a text of another form, a path that is not a file, or a backbone that no run has.
    """
    used = {job.config.backbone for job in jobs}
    files = {}
    for text in texts:
        backbone, equals, path = text.partition("=")
        if not (backbone and equals and Path(path).expanduser().is_file()):
            raise ValueError(f"--weights {text!r} is not BACKBONE=PATH with the path of a file")
        if backbone not in used:
            raise ValueError(
                f"--weights {text!r}: no run here has backbone={backbone!r}, but "
                f"{one_of(sorted(used))}"
            )
        files[backbone] = str(Path(path).expanduser().absolute())
    return files


def caution() -> str:
    """A warning that new rows will count in no table, with the reason; "" if they will count."""
    _, dirty = git_state()
    if dirty is False:
        return ""
    why = "tracked files differ from the last commit" if dirty else "there is no git checkout"
    return (
        f"Rows made now will be marked dirty and will count in no table, since {why}. "
        "Commit first, and run from a checkout."
    )

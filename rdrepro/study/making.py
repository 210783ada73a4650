"""The runs of a study that have no row yet, and how to make their rows."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro import registry
from rdrepro.backbones import PRETRAINED, RANDOM
from rdrepro.config import FIELD_NAMES, RunConfig
from rdrepro.runs.rows import save_row
from rdrepro.study.catalogue import Study, configuration, identity
from rdrepro.study.selection import clean
from rdrepro.text import duration, one_of

Given = Mapping[str, Any]  # parameters of `resolve`


def rows_of(study: Study, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The clean rows of a study, as configurations with the hashes of their data."""
    kept = clean(runs, study.name)
    # In a mixed column pandas turns whole numbers into floats and null into NaN.
    return [_as_config(row) for row in kept.to_dict("records")]


def _as_config(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: row[name] for name in FIELD_NAMES}
    return asdict(RunConfig(**fields)) | {
        f"{part}_data": row[f"provenance.{part}_data_sha256"] for part in ("train", "test")
    }


def missing(
    study: Study, runs: pd.DataFrame, hashes: Callable[[RunConfig], Sequence[str] | None]
) -> list[Given]:
    """The runs of a study that have no clean row.

    runs: lines of `load_runs`. hashes: a function from a configuration to the hashes of its
    training and test data, or to None if the data are not at hand. If the hashes are known, rows of
    other data do not count.
    """
    rows = rows_of(study, runs)
    known: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        for with_precision in (True, False):
            known.setdefault(identity(row, with_precision), []).append(row)
    lacking = []
    for run in study.runs():
        config = configuration(run)
        found = known.get(identity(asdict(config), "precision" in run), [])
        data = hashes(config) if found else None
        if data is not None:
            found = [r for r in found if [r["train_data"], r["test_data"]] == list(data)]
        if not found:
            lacking.append(run)
    return lacking


def data_hashes(data_root: str | None) -> Callable[[RunConfig], Sequence[str] | None]:
    """A function from a configuration to the hashes of its training and test data.

    It gives None where real data are not at hand. It also gives None for embedded data: they are
    drawn from the configuration, which identifies them.
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
        return training_hash(train, open_validation(config, root)), test.fingerprint()
    except (FileNotFoundError, ConnectionError):
        return None


def make(
    study: Study,
    lacking: Sequence[Given],
    weights: Mapping[str, str],
    places: Given,
    say: Callable[[str], None],
) -> list[str]:
    """Make the rows of runs, one after the other; return a sentence for each run that failed.

    weights: the file of each backbone whose weights are not found by name. places: data_root,
    results_dir and device, as in `resolve`. say: called with a line of progress before each run. A
    run that fails does not stop the others.
    """
    import torch

    from rdrepro.runs.execute import carry_out
    from rdrepro.runs.resolve import resolve

    machine = torch.get_num_threads()
    torch.set_num_threads(study.threads or machine)
    failed, started = [], time.monotonic()
    for number, run in enumerate(lacking, 1):
        left = _seconds_left(study, number - 1, len(lacking), time.monotonic() - started)
        about = f", about {duration(left)} left" if left else ""
        say(f"[{number} of {len(lacking)}{about}] {describe(run)}")
        try:
            config = configuration(run)
            file = weights.get(config.backbone) if config.weights != RANDOM else None
            named = {"weights": file} if file else _findable(run)
            # Embedded data need no data root, and refuse one.
            embedded = registry.DATASETS[config.dataset].embedded
            where = {k: v for k, v in places.items() if not (embedded and k == "data_root")}
            resolved = resolve(**{**run, **named, **where, "study": study.name})
            _check_weights(config.weights, resolved.config.weights)
            save_row(carry_out(resolved, study.timed).row, resolved.rows_dir)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            failed.append(f"{describe(run)}: {error}")
            say(f"failed: {error}")
    torch.set_num_threads(machine)
    return failed


def _findable(run: Given) -> Given:
    """The weights to give for a run: none, since they are found by name.

    FileNotFoundError if the run identifies a file by its hash, which cannot be searched for.
    """
    named = run.get("weights")
    if named and named.startswith("sha256:"):
        backbone = configuration(run).backbone
        raise FileNotFoundError(
            f"the weights {named} of {backbone} cannot be found by name; give their file as "
            f"--weights {backbone}=PATH"
        )
    return {}


def _check_weights(wanted: str, found: str) -> None:
    """Raise ValueError if a file has other weights than the rows of the study."""
    tagged = wanted == PRETRAINED and found.startswith(f"{PRETRAINED}:")  # by timm
    if found != wanted and not tagged:
        raise ValueError(f"the file given with --weights is {found}, but the study wants {wanted}")


def _seconds_left(study: Study, made: int, runs: int, passed: float) -> float:
    """The estimated seconds for the remaining runs; 0 if nothing is known.

    The pace is that of the runs made so far. Before the first, it is that of the committed rows.
    """
    each = passed / made if made else 3600 * (study.hours or 0) / len(study.runs())
    return each * (runs - made)


def describe(run: Given) -> str:
    """The parameters of a run in one line."""
    return " ".join(f"{name}={value}" for name, value in run.items())


def weights_files(texts: Sequence[str], studies: Sequence[Study]) -> dict[str, str]:
    """The weights file of each backbone, from texts such as "resnet18=PATH".

    ValueError for a text of another form, a path that is no file, or a backbone of no run.
    """
    used = {configuration(run).backbone for study in studies for run in study.runs()}
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
        files[backbone] = path
    return files


def caution() -> str:
    """A warning that rows made now will count in no table, with the reason; "" where they count."""
    from rdrepro.runs.provenance import git_state

    _, dirty = git_state()
    if dirty is False:
        return ""
    why = "tracked files differ from the last commit" if dirty else "there is no git checkout"
    return (
        f"Rows made now will be marked dirty and will count in no table, since {why}. "
        "Commit first, and run from a checkout."
    )

"""Anomaly maps that are saved next to a row, so that figures can be drawn without a second run."""

import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdrepro.backbones import default_weights, usual_weights
from rdrepro.config import FIELD_NAMES, RunConfig, foreign_fields
from rdrepro.files import replacing

if TYPE_CHECKING:
    from rdrepro.evaluation import Predictions

# The fields of `Predictions` that a file of maps holds as lists and numbers. The last may be
# missing.
AS_LISTS = ("defects", "paths", "data_hash", "seconds", "groups")


def maps_file(row_file: Path) -> Path:
    """The file of a row's maps.

    Rows whose file names differ only by a final number share one file of maps.
    """
    stem = re.sub(r"-\d{1,7}$", "", row_file.stem)  # a key has eight digits, a number fewer
    return row_file.with_name(f"{stem}.maps.npz")


def save_maps(predictions: "Predictions", row_file: Path) -> Path:
    """Save maps (float16), masks, labels and scores beside a row; return the file.

    The file is written under another name and then renamed, so that it is never incomplete.
    """
    p, target = predictions, maps_file(row_file)
    masks = [] if p.gt_masks is None else np.packbits(p.gt_masks)
    content = {**vars(p), "maps": p.maps.astype(np.float16), "gt_masks": masks}
    with replacing(target) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **content)
    return target


def load_maps(row_file: Path) -> "Predictions | None":
    """The predictions that `save_maps` saved for a row; None where there are none.

    Maps have the three digits of float16. Raises ValueError where the file is damaged.
    """
    file = maps_file(row_file)
    if not file.is_file():
        return None
    try:
        with np.load(file) as kept:
            maps = kept["maps"].astype(np.float32)  # (N, H, W)
            bits, masks = kept["gt_masks"], None
            if len(bits):
                masks = np.unpackbits(bits, count=maps.size).reshape(maps.shape) > 0
            scores, labels = kept["scores"], kept["gt_labels"]
            further = [kept[n].tolist() for n in AS_LISTS if n in kept]
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise ValueError(
            f"the kept maps {file.name} cannot be read ({error}); delete the file and make them "
            "anew with keep_maps=true"
        ) from None
    from rdrepro.evaluation import Predictions  # loads torch

    return Predictions(maps, scores, masks, labels, *further)


def keep_maps_command(row: pd.Series) -> str:
    """A sentence with the command that repeats a run and keeps its maps.

    row: a line of `load_runs`.
    """
    try:
        config = RunConfig(**row[list(FIELD_NAMES)])
    except ValueError as error:  # edited by hand
        return f"The row {row['file']} has settings that no run can have: {error}."
    preset, study = row["provenance.preset"], row["provenance.study"]
    given = {"preset": preset, "category": config.category, "seed": config.seed}
    given |= {} if pd.isna(study) else {"study": study}
    given |= {"keep_maps": "true", "overrides": _overrides(config)}
    words = " ".join(f"-p {name} {shlex.quote(str(value))}" for name, value in given.items())
    where = f", with FILE the weights {config.weights}" if "weights=FILE" in words else ""
    return (
        f"The maps of {config.category}, seed {config.seed}, are not kept; this makes them: "
        f"`papermill notebooks/01_mvtec.ipynb out.ipynb {words}`{where}."
    )


def _overrides(config: RunConfig) -> str:
    """All settings that a row's method has, as text for the parameter `overrides`.

    A row names a weights file by its hash, which cannot be given as `weights`. FILE replaces it.
    """
    weights = config.weights.partition(":")[0]
    if config.weights == usual_weights(config.backbone):
        weights = default_weights(config.backbone)
    settings = asdict(config) | {"weights": "FILE" if weights == "sha256" else weights}
    skipped = {"category", "seed", *foreign_fields(config.method)}
    given = {k: v for k, v in settings.items() if k not in skipped and v is not None}
    texts = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in given.items()}
    return " ".join(f"{k}={v}" for k, v in texts.items())

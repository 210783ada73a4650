"""Made-up rows and tables of rows: the one builder that the tests share."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro.config import RunConfig
from rdrepro.runs.rows import load_runs, save_row

ROOT = Path(__file__).parents[1]  # of the checkout: `paths.ROOT` is elsewhere in a test
# A committed row of the demo. Every made-up row is a changed copy of it.
TEMPLATE = json.loads(next((ROOT / "results/runs/readme").glob("*.json")).read_text())
MOMENT = "2026-01-01T00:00:00+00:00"


def make_row(
    *,
    metrics: Mapping[str, float | None] = (),
    scores: Mapping[str, list] | None = None,
    counts: Mapping[str, int] = (),
    cost: Mapping[str, Any] = (),
    provenance: Mapping[str, Any] = (),
    history: Mapping[str, list] | None = None,
    status: str = "complete",
    **config: Any,
) -> dict[str, Any]:
    """A clean, valid row of the paper's protocol, with the given changes.

    Keywords that are not parts of a row are fields of its configuration. The key depends on the
    content only, so the same row always has the same name.
    """
    row = copy.deepcopy(TEMPLATE)
    settings = asdict(RunConfig()) | config
    layers = {name: list(settings[name]) for name in ("train_layers", "map_layers")}
    row["config"], row["status"] = settings | layers, status
    row["metrics"] |= dict(metrics)
    row["counts"] |= dict(counts)
    row["cost"] |= dict(cost)
    row["scores"] = row["scores"] if scores is None else dict(scores)
    row["history"] = row["history"] if history is None else dict(history)
    content = json.dumps([row["config"], row["metrics"], row["scores"]], sort_keys=True)
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    usual = {"dirty": False, "finished": MOMENT, "eval_key": key}
    row["provenance"] |= usual | dict(provenance)
    return row


def load(rows: Iterable[dict[str, Any]], folder: Path, study: str = "made-up") -> pd.DataFrame:
    """Write rows to a study of a folder and read the folder back."""
    for row in rows:
        save_row(row, folder / study)
    return load_runs(folder)


def scores_of(normal: Iterable[float], anomalous: Iterable[float], start: int = 0) -> dict:
    """Scores as a row holds them; normal images are numbered from `start`, as those of a fold."""
    normal, anomalous = list(normal), list(anomalous)
    paths = [f"n{start + i}" for i in range(len(normal))] + [f"a{i}" for i in range(len(anomalous))]
    labels = [0] * len(normal) + [1] * len(anomalous)
    return {"path": paths, "label": labels, "score": [*normal, *anomalous]}

"""Made-up files of benchmarks, as `make bench`, `make bench-peers` and `make gpu` write them."""

import json
from pathlib import Path
from typing import Any

MACHINE = {"processor": "Some CPU", "cores": 2, "memory_gib": 7.8, "bfloat16": "native"}
OURS = {"method": "rdrepro", "precision": "bfloat16", "features": "kept"}
THEIRS = {"method": "official", "precision": "float32", "features": "computed"}


def make_line(**changes: Any) -> dict[str, Any]:
    """A line: our training step of WideResNet-50-2, two seconds."""
    line = {"task": "training step", **OURS, "backbone": "wide_resnet50_2", "image_size": 256}
    line |= {"batch": 16, "images": None, "stage": None, "unit": "s"}
    line |= {"median": 2.0, "q1": 1.9, "q3": 2.25, "runs": 5, "gflop": 300.0}
    return line | {"share_of_limit": 0.625} | changes


def make_ratio(median: float = 5.25, target: float | None = 5.0, **changes: Any) -> dict[str, Any]:
    """A ratio of the official training step to ours."""
    ratio = {"name": "training step, WideResNet-50-2: official / rdrepro"}
    ratio |= {"task": "training step", "backbone": "wide_resnet50_2"}
    ratio |= {"numerator": THEIRS, "denominator": OURS, "median": median, "q1": median - 0.25}
    ratio |= {"q3": median + 0.25, "runs": 5, "target": target}
    return ratio | {"met": None if target is None else median >= target} | changes


def make_part(**changes: Any) -> dict[str, Any]:
    """A valid part with one line and one ratio."""
    part = {"part": "step", "about": "A training step is timed.", "machine": MACHINE}
    part |= {"date": "2026-01-02", "commit": "abc1234", "dirty": False}
    part |= {"libraries": {"torch": "2.9.0"}, "limits": {"bfloat16 GFLOP/s": 240.0}}
    return part | {"lines": [make_line()], "ratios": [make_ratio()]} | changes


def write_parts(folder: Path, **parts: dict[str, Any]) -> Path:
    """Write parts to a folder, with "_" in their names for "-"; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        (folder / f"{name.replace('_', '-')}.json").write_text(json.dumps(part))
    return folder

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


def make_step(**changes: Any) -> dict[str, Any]:
    """A training step of WideResNet-50-2 in the record of `make gpu`: a graph, 8 ms."""
    step = {"backbone": "wide_resnet50_2", "precision": "bfloat16", "deterministic": True}
    step |= {"step": "graph", "ran as": "graph", "why": None, "batch": 16, "image size": 256}
    step |= {"ms": 8.0, "quartiles": [7.9, 8.2], "images/s": 2000.0, "TFLOP/s": 212.0}
    return step | {"share of the matrix product's rate": 0.3, "peak MiB": 4487.0} | changes


def make_protocol(**changes: Any) -> dict[str, Any]:
    """A run of the paper's protocol in that record: 200 epochs in 55 seconds."""
    run = {"backbone": "wide_resnet50_2", "weights": "random", "category": "bottle"}
    run |= {"precision": "bfloat16", "epochs": 200, "images": 209, "test images": 83}
    run |= {"seconds": 66.0, "seconds of training": 58.0, "seconds of test": 6.0}
    return run | {"seconds of metrics": 1.5, "seconds of the epochs": 55.0, "row": False} | changes


def make_record(**changes: Any) -> dict[str, Any]:
    """A record of `make gpu` with one entry of each kind."""
    machine = {"device": "Some Card 80GB HBM", "torch": "2.9.0", "date": "2026-01-02"}
    machine |= {"commit": "abc1234567", "dirty": False}
    machine["matrix product"] = {"size": 8192, "bfloat16 TFLOP/s": 700.0, "float32 TFLOP/s": 50.0}
    tested = {"backbone": "resnet18", "precision": "float32", "deterministic": False, "batch": 64}
    tested |= {"image size": 256, "images/s": 5000.0, "quartiles": [4900.0, 5100.0]}
    tested |= {"TFLOP/s": 40.0, "share of the matrix product's rate": 0.8, "peak MiB": 900.0}
    record = {"about": "Made up.", "machine": machine, "training steps": [make_step()]}
    record |= {"protocol": [make_protocol()], "inference": [tested]}
    record["metrics"] = [{"device": "cuda", "maps": 80, "image size": 256, "seconds": 0.25}]
    record["tests"] = [{"test": "test_maps", "outcome": "passed", "seconds": 1.0}]
    record["steps"] = [{"step": "machine", "outcome": "done", "seconds": 9.0}]
    return record | changes

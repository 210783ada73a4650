"""The files of the benchmarks, results/benchmarks/*.json: their format, reading and checking.

results/benchmarks/README.md describes the format. `make bench` and `make bench-peers` write one
file for each part, and `make gpu` writes gpu.json.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

Part = Mapping[str, Any]
Parts = Mapping[str, Part]

# What each part times, by the name of its file without the ending, in the order of the tables.
PARTS = {
    "cpu-step": "training step",
    "cpu-epoch": "epoch from PNG files",
    "cpu-inference": "inference by stage",
    "cpu-metrics": "metrics of 80 maps",
    "cpu-notebook": "the main notebook",
    "cpu-size": "cost against size",
    "cpu-surfaces": "start, rows and report",
    "cpu-small": "small inputs",
    "peers-step": "training step beside anomalib",
    "peers-inference": "inference beside anomalib",
    "peers-padim": "PaDiM beside anomalib",
}
GROUPS = ("cpu-", "peers-")  # how the names of these files begin
NATIVE, EMULATED = "native", "emulated"  # how a machine computes bfloat16
ABOUT = "results/benchmarks/README.md describes the format"

TEXT, NUMBER, COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 1}
MAY_BE_TEXT, MAY_BE_NUMBER = {"type": ["string", "null"]}, {"type": ["number", "null"]}
MAY_BE_COUNT = {"type": ["integer", "null"], "minimum": 1}
POSITIVE = {"type": "number", "exclusiveMinimum": 0}
SPREAD = {"median": NUMBER, "q1": NUMBER, "q3": NUMBER, "runs": COUNT}
SETTING = {"method": TEXT, "precision": MAY_BE_TEXT, "features": MAY_BE_TEXT}
TARGET = {"target": MAY_BE_NUMBER, "met": {"type": ["boolean", "null"]}}


def _object(properties: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict:
    """The schema of an object that must have `properties` and may have others."""
    known = {**properties, **(optional or {})}
    return {"type": "object", "properties": known, "required": list(properties)}


MACHINE = _object(
    {
        "processor": TEXT,
        "cores": COUNT,
        "memory_gib": POSITIVE,
        "bfloat16": {"enum": [NATIVE, EMULATED]},
    }
)
SIZE = {"image_size": MAY_BE_COUNT, "batch": MAY_BE_COUNT, "images": MAY_BE_COUNT}
LINE = _object(
    {"task": TEXT, **SETTING, "backbone": MAY_BE_TEXT, **SIZE, "stage": MAY_BE_TEXT, "unit": TEXT}
    | {**SPREAD, "gflop": MAY_BE_NUMBER, "share_of_limit": MAY_BE_NUMBER}
)
RATIO = _object(
    {"name": TEXT, "task": TEXT, "backbone": MAY_BE_TEXT}
    | {"numerator": _object(SETTING), "denominator": _object(SETTING)}
    | {**SPREAD, **TARGET},
    SIZE,
)
# How the seconds of a task grow with images or pixels: as a power with this exponent.
GROWTH = _object(
    {"task": TEXT, "against": TEXT, "exponent": MAY_BE_NUMBER, "of whole times": NUMBER}
    | {"target": {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}}
    | {"met": {"type": "boolean"}}
)
PROVENANCE = {
    "date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    "commit": TEXT,
    "dirty": {"type": "boolean"},
}
SCHEMA = _object(
    {"part": TEXT, "about": TEXT, "machine": MACHINE, **PROVENANCE}
    | {"libraries": {"type": "object", "additionalProperties": TEXT}}
    | {"lines": {"type": "array", "items": LINE}, "ratios": {"type": "array", "items": RATIO}},
    {"limits": {"type": "object", "additionalProperties": POSITIVE}}
    | {"growth": {"type": "array", "items": GROWTH}},
)


def folder_of(runs_dir: Path) -> Path:
    """The folder of the benchmarks' files, which lies beside the folder of rows."""
    return runs_dir.parent / "benchmarks"


def read_parts(folder: Path) -> dict[str, Part]:
    """The measured parts by the names of their files without the ending; {} without files.

    Parts that PARTS names come first, in its order. Raises ValueError, which names the file and
    the entry, where a file does not have the format.
    """
    found = {path.stem: path for group in GROUPS for path in sorted(folder.glob(f"{group}*.json"))}
    order = [*(name for name in PARTS if name in found), *(n for n in found if n not in PARTS)]
    return {name: read_part(found[name]) for name in order}


def read_part(file: Path) -> Part:
    """One checked part; ValueError, which names the file and the entry, if it has another form."""
    try:
        part = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file.name} is no JSON: {error}; measure that part again") from None
    check_part(part, file.name)
    return part


def check_part(part: Part, name: str) -> None:
    """Raise ValueError where a part does not have the format, with the entry and the rule.

    name: of its file, for the message. Quartiles must enclose their median, and a ratio has an
    outcome exactly if it has a target.
    """
    try:
        _validator()(part)
    except fastjsonschema.JsonSchemaValueException as error:
        raise ValueError(f"{name}: {error.message}; {ABOUT}") from None
    for kind in ("lines", "ratios"):
        for number, entry in enumerate(part[kind]):
            if not entry["q1"] <= entry["median"] <= entry["q3"]:
                values = ", ".join(f"{entry[key]}" for key in ("q1", "median", "q3"))
                raise ValueError(f"{name}: {kind}[{number}] has q1, median, q3 = {values}; {ABOUT}")
    for number, ratio in enumerate(part["ratios"]):
        if (ratio["target"] is None) != (ratio["met"] is None):
            said = f"target {ratio['target']} and met {ratio['met']}"
            raise ValueError(f"{name}: ratios[{number}] has {said}; {ABOUT}")


@cache
def _validator():
    return fastjsonschema.compile(SCHEMA)

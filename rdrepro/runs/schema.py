"""The JSON schema of a row, generated from RunConfig's fields and the table of metrics.

`python -m rdrepro.runs.schema` writes it to schema.json, for readers in other languages.
"""

import json
from pathlib import Path
from typing import Any

from rdrepro.config import FIELDS, LATER_FIELDS
from rdrepro.fields import schema_entry
from rdrepro.metric_names import METRICS

SCHEMA_VERSION = 1
MIB = 2**20  # bytes; the unit of sizes in a row
FILE = Path(__file__).with_name("schema.json")
TEXT, OPTIONAL_TEXT = {"type": "string"}, {"type": ["string", "null"]}
TIME = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}"}
FRACTION = {"minimum": 0, "maximum": 1}
STAGES = {
    "image": "the whole of testing one image",
    "teacher": "teacher",
    "student": "bottleneck and student, or MKD's cloner",
    "map": "map, smoothing and score, with MKD's gradient",
    "search": "search of a memory bank",
}
SIZES = {
    "trained_mib": "weights that training changes",
    "checkpoint_mib": "the same with the layer that the official checkpoint saves but never uses "
    "(D3)",
    "weights_mib": "all weights that testing needs",
    "bank_mib": "features or statistics of training images that testing needs",
    "peak_mib": "peak resident memory, or the GPU's",
}
FEATURE_SOURCES = ("memory", "file", "recomputed")  # `features.SOURCES`, which loads torch
ENVIRONMENT = {
    "rdrepro": TEXT,
    "git_commit": OPTIONAL_TEXT,
    "dirty": {
        "type": ["boolean", "null"],
        "description": "a tracked file outside results/ differed from HEAD, in training or in "
        "testing; null without git",
    },
    "python": TEXT,
    "libraries": {"type": "object", "additionalProperties": TEXT},
    "device": TEXT,
    "threads": {"type": "integer", "minimum": 1},
    "finished": TIME,
}


def row_schema() -> dict[str, Any]:
    """The schema of a whole row."""
    parts = {
        "schema": {"const": SCHEMA_VERSION, "description": "version of this schema"},
        "status": {
            "enum": ["complete", "collapsed"],
            "description": "collapsed: the image scores have no spread",
        },
        "config": _config(),
        "metrics": _metrics(),
        "counts": _counts(),
        "cost": _cost(),
        "provenance": _provenance(),
        "history": {
            "type": "object",
            "required": ["epoch", "loss", "seconds"],
            "additionalProperties": {"type": "array", "items": {"type": ["number", "null"]}},
            "description": "per epoch; further columns where eval_every or eval_last asked for a "
            "curve, which selects nothing",
        },
        "scores": _scores(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A result row of rdrepro",
        "description": "One run: its configuration, metrics (fractions), counts, cost, provenance, "
        "loss curve and image scores. It contains no path of a machine.",
        **_object(parts, list(parts)),
    }


def _object(properties: dict[str, Any], required: list[str], about: str = "") -> dict[str, Any]:
    """An object that has these properties and no others."""
    entry = {"type": "object", "additionalProperties": False, "required": required}
    return entry | {"properties": properties} | ({"description": about} if about else {})


def _config() -> dict[str, Any]:
    entries = {name: schema_entry(declared) for name, declared in FIELDS.items()}
    required = [name for name in FIELDS if name not in LATER_FIELDS]
    return _object(entries, required, "every field of RunConfig, resolved")


def _metrics() -> dict[str, Any]:
    entries = {
        metric.name: {
            "type": "number" if metric.required else ["number", "null"],
            **FRACTION,
            "description": metric.about,
        }
        for metric in METRICS
    }
    return _object(entries, [metric.name for metric in METRICS if metric.required])


def _counts() -> dict[str, Any]:
    names = ("train", "test_normal", "test_anomalous")
    entries = {name: {"type": "integer", "minimum": 1} for name in names}
    entries["trainable_parameters"] = {"type": "integer", "minimum": 0}
    return _object(entries, list(entries))


def _cost() -> dict[str, Any]:
    number = {"type": "number", "minimum": 0}
    entries = {
        "train_seconds": number
        | {
            "description": "epochs only, without decoding and the teacher's features, of the run "
            "that trained; of a baseline that only remembers, filling its memory bank"
        },
        "predict_seconds": number
        | {"description": "networks, maps and scores of the test set, without decoding"},
    }
    required = list(entries)
    quartiles = "first quartile, median, third quartile, in seconds per image at batch 1"
    for name, what in STAGES.items():
        entries[f"{name}_seconds"] = {
            "type": "array",
            "items": number,
            "minItems": 3,
            "maxItems": 3,
            "description": f"{what}: {quartiles}",
        }
    entries["timed_images"] = {"type": "integer", "minimum": 1, "description": "after warm-up"}
    for name, what in SIZES.items():
        entries[name] = number | {"description": f"MiB: {what}"}
    return _object(entries, required)


def _provenance() -> dict[str, Any]:
    entries = {
        **ENVIRONMENT,
        "study": OPTIONAL_TEXT,
        "preset": TEXT,
        "selection": TEXT
        | {
            "description": "the images that the settings were chosen by, if validation chose them; "
            "such a row enters no verdict"
        },
        "trained": _object(
            {**ENVIRONMENT, "features": _features()},
            list(ENVIRONMENT),
            "code, libraries and machine that trained the student, perhaps in an earlier run",
        ),
        "weights_sha256": OPTIONAL_TEXT,
        **dict.fromkeys(("train_data_sha256", "test_data_sha256", "train_key", "eval_key"), TEXT),
        "student_reused": {"type": "boolean"},
        "started": TIME,
    }
    return _object(entries, [name for name in entries if name != "selection"])


def _features() -> dict[str, Any]:
    return {
        "enum": list(FEATURE_SOURCES),
        "description": "where the teacher's features came from during training; if its parts "
        "differ, the last of memory, file, recomputed. memory and file give the same result to the "
        "bit, recomputed does not. Absent where no features are kept, and in older rows",
    }


def _scores() -> dict[str, Any]:
    def array(items: dict[str, Any], about: str = "") -> dict[str, Any]:
        entry = {"type": "array", "items": items}
        return entry | ({"description": about} if about else {})

    entries = {
        "path": array({"type": "string", "pattern": r"^[^/\\]"}, "relative to the data root"),
        "label": array({"enum": [0, 1]}),
        "score": array({"type": "number"}, "six digits; higher = more anomalous"),
        "group": array({"type": "integer"}, "medical sets: duplicates share a number"),
        "file": TEXT
        | {"description": "above 2,000 images: the compressed file beside the row that holds them"},
    }
    alternatives = [{"required": ["path", "label", "score"]}, {"required": ["file"]}]
    entry = _object(entries, [])
    del entry["required"]
    return entry | {"anyOf": alternatives}


def main() -> None:
    """Write the schema to schema.json."""
    FILE.write_text(json.dumps(row_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

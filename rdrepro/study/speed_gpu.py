"""Speed on a GPU: what `make gpu` measured (results/benchmarks/gpu.json), as tables and sentences.

results/benchmarks/README.md describes the files. gpu-first.json holds older measurements.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro.backbones import RANDOM
from rdrepro.config import RunConfig
from rdrepro.study.formats import markdown_text
from rdrepro.study.speed import MET, MISSED, significant
from rdrepro.study.wording import device, network

Record = Mapping[str, Any]

FILE, FIRST = "gpu.json", "gpu-first.json"
TEACHER = RunConfig.backbone  # the paper's
PRECISION = "bfloat16"  # of a run on a GPU that names none
# What this project aims at on an H100: seconds of 200 epochs of the paper's teacher on a category,
# the step's share of the measured rate of matrix products, and seconds of Tables 1 and 2.
PROTOCOL_SECONDS, STEP_SHARE, TABLES_SECONDS = 60, 0.35, 900
NOT_MEASURED = "Speed on a GPU was not measured; `make gpu` measures it."
# Sources: src/anomalib/pipelines/benchmark/job.py of open-edge-platform/anomalib at commit 09d0025,
# and the README of its model.
ANOMALIB = (
    "We found no published images per second of anomalib's Reverse Distillation to set beside "
    "ours. Its [benchmark](https://github.com/open-edge-platform/anomalib/blob/09d0025/src/anomalib"
    "/pipelines/benchmark/job.py) records seconds of whole trainings and tests, and says that "
    "throughput is still to be restored. On the CPU we measure both (`peers-inference.json`)."
)


def read_record(folder: Path) -> Record:
    """The record of `make gpu`; {} without one. Raises ValueError if it is not of a GPU."""
    file = folder / FILE
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if record and record["machine"]["device"] == "cpu":
        raise ValueError(f"{FILE} was measured on the device 'cpu'; run `make gpu` with a GPU")
    return record


def published(record: Record) -> Record:
    """The record if committed code measured it, or if remarks explain what it was; else {}."""
    known = record and (record.get("remarks") or not record["machine"]["dirty"])
    return record if known else {}


def targets_table(record: Record) -> pd.DataFrame:
    """What this project aims at on an H100 and what was measured, the missed targets first."""
    lines = list(_targets(record))
    return pd.DataFrame(sorted(lines, key=lambda line: line["outcome"] == MET))


def _targets(record: Record) -> Iterator[dict[str, str]]:
    for run in record.get("protocol", ()):
        if run["backbone"] == TEACHER:
            what = f"{_run(run)}: seconds of training"
            yield _aim(what, run["seconds of training"], PROTOCOL_SECONDS)
    for line in _measured(record, "training steps"):
        if (line["backbone"], line["precision"], line["ran as"]) == (TEACHER, PRECISION, "graph"):
            what = f"training step, {network(TEACHER)}, {PRECISION}, {_kind(line)}"
            share = line["share of the matrix product's rate"]
            yield _aim(f"{what}: percent of the limit", 100 * share, 100 * STEP_SHARE, least=True)
    if "extrapolation" in record:
        whole = record["extrapolation"]
        what = f"Tables 1 and 2 with one seed, {network(whole['backbone'])}: seconds (extrapolated)"
        yield _aim(what, whole["seconds"], TABLES_SECONDS)


def _aim(what: str, value: float, target: float, least: bool = False) -> dict[str, str]:
    met = value >= target if least else value <= target
    aim = f"{'at least' if least else 'at most'} {target:.0f}"
    outcome = MET if met else MISSED
    return {"what": what, "measured": significant(value), "target": aim, "outcome": outcome}


def steps_table(record: Record) -> pd.DataFrame:
    """The training step of each network: as a graph, kernel by kernel and compiled."""
    lines = []
    for kind in ("training steps", "compiled steps"):
        for line in record.get(kind, ()):
            mode = f"torch.compile, {line['mode']}" if "mode" in line else line["step"]
            setting = {"network": network(line["backbone"]), "precision": line["precision"]}
            setting |= {"step": mode, "deterministic": _yes(line.get("deterministic", True))}
            remark = f"failed: {line['failed']}" if "failed" in line else line.get("why") or ""
            lines.append(setting | {"ms": significant(line.get("ms"))} | _rates(line))
            lines[-1]["remark"] = remark
    return pd.DataFrame(lines)


def inference_table(record: Record) -> pd.DataFrame:
    """Images per second from images on the GPU to maps and scores on the GPU."""
    lines = [
        {"network": network(line["backbone"]), "precision": line["precision"]}
        | {"deterministic": _yes(line["deterministic"]), "batch": line["batch"]}
        | {"px": line["image size"], **_rates(line)}
        for line in _measured(record, "inference")
    ]
    return pd.DataFrame(lines)


def protocol_table(record: Record) -> pd.DataFrame:
    """The paper's protocol on a category: seconds of each part of a run."""
    parts = ("training", "test", "metrics")
    lines = [
        {"network": network(run["backbone"]), "weights": _weights(run), "category": run["category"]}
        | {"precision": run["precision"], "images": run["images"], "epochs": run["epochs"]}
        | {f"{part}, s": significant(run[f"seconds of {part}"]) for part in parts}
        | {"whole run, s": significant(run["seconds"])}
        for run in record.get("protocol", ())
    ]
    return pd.DataFrame(lines)


def first_table(folder: Path) -> pd.DataFrame:
    """The older measurements of gpu-first.json: training speed before steps were graphs."""
    file = folder / FIRST
    if not file.is_file():
        return pd.DataFrame()
    first = json.loads(file.read_text(encoding="utf-8"))
    lines = []
    for name, found in first["training in the steady state"].items():
        backbone, precision = name.split()
        line = {"network": network(backbone), "precision": precision}
        line |= {key: significant(value) for key, value in found.items()}
        lines.append(line | {"on": device(first["device"]), "commit": first["commit"]})
    return pd.DataFrame(lines)


def in_words(record: Record) -> list[str]:
    """Sentences on where the GPU was measured, on tests, metrics, and what did not run."""
    if not record:
        return [NOT_MEASURED, ANOMALIB]
    shown = published(record)
    if not shown:
        said = f"`{FILE}` is left out, because the code was not committed."
        return [said, ANOMALIB]
    machine = shown["machine"]
    rates = machine["matrix product"]
    limits = ", ".join(
        f"{significant(rates[key])} {key}" for key in rates if key.endswith("TFLOP/s")
    )
    sentences = [f"Measured on one {_place(machine)}, torch {machine['torch']} (limits: {limits})."]
    found = [*_tests(shown), *_metrics(shown), *_skipped(shown)]
    return [*sentences, *found, *shown.get("remarks", ()), ANOMALIB]


def readme_sentences(record: Record) -> list[str]:
    """A sentence on the paper's protocol with its own teacher, if it was measured."""
    shown = published(record)
    return [
        f"**Speed on one {_place(shown['machine'])}**: {_run(run)} take "
        f"{run['seconds of training']:.0f} s of training."
        for run in shown.get("protocol", ())
        if run["backbone"] == TEACHER
    ]


def _run(run: Mapping[str, Any]) -> str:
    return (
        f"{run['epochs']} epochs of {network(run['backbone'])} ({_weights(run)} weights) on the "
        f"{run['images']} images of {run['category']}"
    )


def _weights(run: Mapping[str, Any]) -> str:
    return "random" if run["weights"] == RANDOM else "trained"


def _place(machine: Mapping[str, Any]) -> str:
    name = markdown_text(device(machine["device"]))
    changed = " with changes" if machine["dirty"] else ""
    return f"{name} ({machine['date']}, commit {machine['commit'][:7]}{changed})"


def _tests(record: Record) -> Iterator[str]:
    tests = record.get("tests", ())
    if tests:
        passed = sum(test["outcome"] == "passed" for test in tests)
        others = [f"{t['test']} ({t['outcome']})" for t in tests if t["outcome"] != "passed"]
        said = f" The others: {', '.join(map(markdown_text, others))}." if others else ""
        yield f"{passed} of {len(tests)} tests on the GPU passed.{said}"


def _metrics(record: Record) -> Iterator[str]:
    for line in record.get("metrics", ()):
        where = "its processor" if line["device"] == "cpu" else "the GPU"
        seconds = significant(line["seconds"])
        yield f"All metrics of {line['maps']} maps take {seconds} s on {where}."


def _skipped(record: Record) -> Iterator[str]:
    lost = record.get("skipped", ())
    said = [f"{step['step']} ({step['outcome']}: {step['reason']})" for step in lost]
    if said:
        yield f"Not measured in full: {'; '.join(map(markdown_text, said))}."


def _measured(record: Record, kind: str) -> Iterator[Mapping[str, Any]]:
    return (line for line in record.get(kind, ()) if "failed" not in line)


def _rates(line: Mapping[str, Any]) -> dict[str, str]:
    share = line.get("share of the matrix product's rate")
    return {
        "images/s": significant(line.get("images/s")),
        "TFLOP/s": significant(line.get("TFLOP/s")),
        "share of limit": "" if share is None else f"{100 * share:.0f} %",
        "peak MiB": significant(line.get("peak MiB")),
    }


def _kind(line: Mapping[str, Any]) -> str:
    return f"{line['ran as']}, {'' if line['deterministic'] else 'not '}deterministic"


def _yes(value: bool) -> str:
    return "yes" if value else "no"

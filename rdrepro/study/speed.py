"""Speed: what `make bench` and `make bench-peers` measured, as tables and sentences."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.study.formats import markdown_text
from rdrepro.study.speed_files import EMULATED, PARTS, Part, Parts
from rdrepro.study.wording import network

OURS = "rdrepro"
GOAL = "target"  # the method of a numerator that is a goal, such as 900 MiB, and no measurement
FLOAT32 = "float32"
LIKE_FOR_LIKE = {"precision": FLOAT32, "features": "computed"}  # as the official step
MEMORY = "MiB"  # the unit of lines of memory
SIZE = "cpu-size"  # the part that times other sizes than the paper's
MET, MISSED = "met", "missed"
METHODS = {"official": "the authors' code (restated)"}
PEER = "anomalib"  # a library whose version readers need
NOT_MEASURED = "Speed was not measured on the CPU; `make bench` measures it."


def published(parts: Parts) -> dict[str, Part]:
    """The parts that tables show: those measured with committed code."""
    return {name: part for name, part in parts.items() if not part["dirty"]}


def targets_table(parts: Parts) -> pd.DataFrame:
    """The ratios that have a target, the missed ones first.

    `in float32` is the ratio where ours computes in float32 too, and `teacher in every step` that
    where ours also computes the teacher's features in every step, as the official code does. `at
    the limit` is what the ratio would be if both ran at the machine's rate of matrix products.
    """
    lines = [
        _ratio(ratio)
        | {"in float32": ", ".join(_otherwise(ratio, part, precision=FLOAT32))}
        | {"teacher in every step": ", ".join(_otherwise(ratio, part, **LIKE_FOR_LIKE))}
        | {"at the limit": _bound(ratio, part)}
        | {"target": significant(ratio["target"]), "outcome": MET if ratio["met"] else MISSED}
        for _, part, ratio in _entries(parts, "ratios")
        if ratio["target"] is not None
    ]
    return pd.DataFrame(sorted(lines, key=lambda line: line["outcome"] == MET))


def ratios_table(parts: Parts) -> pd.DataFrame:
    """Every ratio of two methods with its quartiles, and where and when it was measured.

    A ratio above 1 means that the second method of `compared` is faster.
    """
    entries = _entries(parts, "ratios")
    return pd.DataFrame(
        [_ratio(ratio) | _source(name, part, ratio) for name, part, ratio in entries]
    )


def times_table(parts: Parts) -> pd.DataFrame:
    """What every method takes for every task, with its share of the machine's limit in percent.

    Memory and other sizes than the paper's have tables of their own.
    """
    usual = {name: part for name, part in parts.items() if name != SIZE}
    return pd.DataFrame(_lines(usual, memory=False))


def memory_table(parts: Parts) -> pd.DataFrame:
    """The peak memory in MiB of every method, each measured in a process of its own."""
    unused = ["unit", "stage", "quartiles", "GFLOP", "share of limit", "runs"]
    table = pd.DataFrame(_lines(parts, memory=True)).drop(columns=unused, errors="ignore")
    return table.rename(columns={"median": MEMORY})


def size_table(parts: Parts) -> pd.DataFrame:
    """What our tasks take at several numbers of images and resolutions."""
    sizes = {SIZE: parts[SIZE]} if SIZE in parts else {}
    return pd.DataFrame(_lines(sizes, memory=False))


def growth_table(parts: Parts) -> pd.DataFrame:
    """How our seconds grow with images and pixels, the missed targets first."""
    lines = [
        {
            "task": growth["task"],
            "against": growth["against"],
            "exponent": significant(growth["exponent"]),
            "of whole times": significant(growth["of whole times"]),
            "target": _range(growth),
            "outcome": MET if growth["met"] else MISSED,
        }
        for growth in _growths(parts)
    ]
    return pd.DataFrame(sorted(lines, key=lambda line: line["outcome"] == MET))


def parts_table(parts: Parts) -> pd.DataFrame:
    """What each part times, and when and with which code it was measured."""
    lines = [
        {"part": PARTS.get(name, part["part"]), "what is timed": part["about"]}
        | {"date": part["date"], "commit": part["commit"], "file": f"{name}.json"}
        for name, part in parts.items()
    ]
    return pd.DataFrame(lines)


def in_words(parts: Parts) -> list[str]:
    """Sentences on what was measured, where, with which outcome, and on what is missing.

    parts: as of `read_parts`. Those measured with uncommitted code are only named.
    """
    shown = published(parts)
    if not parts:
        return [NOT_MEASURED]
    sentences = [*_targets(shown), *_machines(shown), *_emulated(shown)]
    missing = [f"{what} (`{name}.json`)" for name, what in PARTS.items() if name not in parts]
    if missing and shown:
        sentences.append(f"Not measured: {'; '.join(missing)}.")
    dirty = [f"`{name}.json`" for name in parts if name not in shown]
    if dirty:
        sentences.append(f"Left out, because the code was not committed: {', '.join(dirty)}.")
    return sentences


def readme_sentences(parts: Parts) -> list[str]:
    """A sentence for each method that ours has targets against, with the ratios, missed or met.

    A method that was measured on several days or machines has a sentence for each.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for _, part, ratio in _entries(published(parts), "ratios"):
        if ratio["target"] is not None and ratio["numerator"]["method"] != GOAL:
            where = f"**Speed against {_method(ratio, part)}**, on {_place(part)}"
            tasks = found.setdefault(where, {})
            tasks.setdefault(_task(ratio), []).append(_in_short(ratio, part))
    said = {
        where: "; ".join(
            f"{task.replace(', batch', ' at batch')}: {', '.join(ratios)}"
            for task, ratios in tasks.items()
        )
        for where, tasks in found.items()
    }
    return [f"{where}: {ratios}." for where, ratios in said.items()] or [NOT_MEASURED]


def _bound(ratio: Mapping[str, Any], part: Part) -> str:
    """What a ratio would be with both methods at the machine's limit; "" if it is not counted."""
    theirs, ours = (_counted(part, ratio, ratio[side]) for side in ("numerator", "denominator"))
    return significant(theirs / ours) if theirs and ours else ""


def _counted(part: Part, ratio: Mapping[str, Any], side: Mapping[str, Any]) -> float:
    """The seconds of one side's operations at the machine's limit; 0 where they are not counted."""
    limits = part.get("limits", {})
    for line in part["lines"]:
        same = {name: line[name] for name in side} == side and line["task"] == ratio["task"]
        limit = limits.get(f"{line['precision']} GFLOP/s")
        if same and line["backbone"] == ratio["backbone"] and line["gflop"] and limit:
            return line["gflop"] / limit
    return 0.0


def _in_short(ratio: Mapping[str, Any], part: Part) -> str:
    """A ratio with a target in few words, such as "4.9 times as fast with ResNet-18"."""
    teacher = f" with {_network(ratio)}" if ratio["backbone"] else ""
    notes = [f"{v} in float32" for v in _otherwise(ratio, part, precision=FLOAT32)]
    alike = _otherwise(ratio, part, **LIKE_FOR_LIKE)
    notes += [f"{v} in float32 with the teacher in every step" for v in alike]
    if not ratio["met"]:
        notes.append(f"the target of {significant(ratio['target'])} is missed")
    remark = f" ({'; '.join(notes)})" if notes else ""
    return f"{significant(ratio['median'])} times as fast{teacher}{remark}"


def _otherwise(ratio: Mapping[str, Any], part: Part, **changed: str) -> list[str]:
    """The same ratio where ours differs in these settings, if it was measured.

    Empty where ours has none of these settings, or has these values already.
    """
    ours = ratio["denominator"]
    if any(ours[name] in (None, value) for name, value in changed.items()):
        return []
    wanted = (_task(ratio), ratio["backbone"], ratio["numerator"], ours | changed)
    return [
        significant(other["median"])
        for other in part["ratios"]
        if (_task(other), other["backbone"], other["numerator"], other["denominator"]) == wanted
    ]


def _method(ratio: Mapping[str, Any], part: Part) -> str:
    """The method that ours is compared with, in words, with the version of a library."""
    name = ratio["numerator"]["method"]
    version = part["libraries"].get(PEER, "") if name == PEER else ""
    return f"{METHODS.get(name, name)} {version}".strip()


def _place(part: Part) -> str:
    machine = part["machine"]
    cores = f"{machine['cores']} core{'s' * (machine['cores'] > 1)}"
    measured = f"{part['date']}, commit {part['commit']}"
    return f"{cores} of {markdown_text(machine['processor'])} ({measured})"


def _targets(parts: Parts) -> Iterator[str]:
    """How many targets are met, and which are missed; nothing if there are none."""
    aimed = [ratio for _, _, ratio in _entries(parts, "ratios") if ratio["target"] is not None]
    missed = [
        f"{ratio['name']} ({significant(ratio['median'])} for {significant(ratio['target'])})"
        for ratio in aimed
        if not ratio["met"]
    ]
    growths = list(_growths(parts))
    missed += [
        f"{growth['task']} against {growth['against']} "
        f"(exponent {significant(growth['exponent']) or 'unknown'} for {_range(growth)})"
        for growth in growths
        if not growth["met"]
    ]
    number = len(aimed) + len(growths)
    if number:
        said = f" Missed: {'; '.join(missed)}." if missed else ""
        yield f"{number - len(missed)} of {number} targets are met.{said}"


def _growths(parts: Parts) -> Iterator[Mapping[str, Any]]:
    return (growth for part in parts.values() for growth in part.get("growth", ()))


def _range(growth: Mapping[str, Any]) -> str:
    low, high = growth["target"]
    return f"{low} to {high}"


def _machines(parts: Parts) -> Iterator[str]:
    """A sentence for each machine, date, commit and set of libraries, with the measured parts."""
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        memory = f"{part['machine']['memory_gib']:.0f} GiB of memory"
        libraries = ", ".join(f"{key} {version}" for key, version in part["libraries"].items())
        said = f"on {_place(part)}, with {memory} and {libraries}{_limits(part)}"
        groups.setdefault(said, []).append(PARTS.get(name, part["part"]))
    for said, names in groups.items():
        yield f"Measured {said}: {'; '.join(names)}."


def _limits(part: Part) -> str:
    """The measured rates of a machine, which are its limits."""
    rates = [f"{rate:.0f} {name}" for name, rate in part.get("limits", {}).items()]
    return f" (limits: {', '.join(rates)})" if rates else ""


def _emulated(parts: Parts) -> Iterator[str]:
    """A warning where a machine does not compute bfloat16 itself."""
    slow = [name for name, part in parts.items() if part["machine"]["bfloat16"] == EMULATED]
    if slow:
        files = ", ".join(f"`{name}.json`" for name in slow)
        yield (
            f"The machine of {files} emulates bfloat16, so its times in bfloat16 say nothing about "
            "other machines."
        )


def _entries(parts: Parts, kind: str) -> Iterator[tuple[str, Part, Mapping[str, Any]]]:
    for name, part in parts.items():
        for entry in part[kind]:
            yield name, part, entry


def _lines(parts: Parts, memory: bool) -> list[dict[str, Any]]:
    """The lines of memory, or all others."""
    found = ((name, line) for name, _, line in _entries(parts, "lines"))
    return [_line(name, line) for name, line in found if (line["unit"] == MEMORY) == memory]


def _line(name: str, line: Mapping[str, Any]) -> dict[str, Any]:
    share = line["share_of_limit"]
    return {
        "task": line["task"],
        "method": line["method"],
        "network": _network(line),
        "precision": line["precision"] or "",
        "features": line["features"] or "",
        "px": line["image_size"],
        "batch": line["batch"],
        "images": line["images"],
        "stage": line["stage"] or "",
        "median": significant(line["median"]),
        "quartiles": _quartiles(line),
        "unit": line["unit"],
        "GFLOP": significant(line["gflop"]),
        "share of limit": "" if share is None else f"{100 * share:.0f} %",
        "runs": line["runs"],
        "file": f"{name}.json",
    }


def _source(name: str, part: Part, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that say how, where and when an entry was measured."""
    machine = f"{part['machine']['processor']}, {part['machine']['cores']} cores"
    when = {"date": part["date"], "commit": part["commit"], "file": f"{name}.json"}
    return {"runs": entry["runs"], "machine": machine, **when}


def _ratio(ratio: Mapping[str, Any]) -> dict[str, Any]:
    """What was compared, and the ratio with its quartiles."""
    numerator, denominator = ratio["numerator"], ratio["denominator"]
    goal = numerator["method"] == GOAL
    other = _sides(ratio).partition(" / ")[0] if goal else _setting(numerator)
    return {
        "task": _task(ratio),
        "network": _network(ratio),
        "compared": f"{other} / {_setting(denominator)}",
        "ratio": significant(ratio["median"]),
        "quartiles": _quartiles(ratio),
    }


def _task(ratio: Mapping[str, Any]) -> str:
    """A ratio's task without the network, such as "inference, batch 16".

    Its name is the task, then ": " and both sides.
    """
    return ratio["name"].partition(": ")[0].replace(f", {_network(ratio)}", "")


def _sides(ratio: Mapping[str, Any]) -> str:
    return ratio["name"].partition(": ")[2]


def _network(entry: Mapping[str, Any]) -> str:
    return network(entry["backbone"]) if entry["backbone"] else ""


def _setting(setting: Mapping[str, Any]) -> str:
    """A method with its settings, such as "rdrepro (bfloat16, features kept)"."""
    features = f"features {setting['features']}" if setting["features"] else ""
    details = ", ".join(filter(None, (setting["precision"], features)))
    return f"{setting['method']} ({details})" if details else setting["method"]


def _quartiles(entry: Mapping[str, Any]) -> str:
    return f"[{significant(entry['q1'])}, {significant(entry['q3'])}]"


def significant(value: float | None, digits: int = 3) -> str:
    """A number as text, with three significant digits but no digit before the point left out.

    Empty for None and NaN.
    """
    if value is None or np.isnan(value):
        return ""
    places = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, places)}f}"

"""Result rows: one JSON file per run, written whole or not at all, and read back as a table."""

import hashlib
import itertools
import json
import lzma
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import pandas as pd

from rdrepro import paths, registry
from rdrepro.config import LATER_FIELDS
from rdrepro.files import one_at_a_time, replacing
from rdrepro.meaning import normalised
from rdrepro.progress import say
from rdrepro.runs.schema import row_schema

MOST_SCORES = 2000  # stored in the row itself; more go to a compressed file beside it


@cache
def _validate() -> Callable[[dict[str, Any]], Any]:
    """The function that raises if a row does not fit the schema. It is generated once."""
    return fastjsonschema.compile(row_schema())


def check_row(row: dict[str, Any]) -> None:
    """Raise ValueError where a row does not fit the schema."""
    try:
        _validate()(row)
    except fastjsonschema.JsonSchemaValueException:
        raise ValueError(f"the row does not fit schema.json: {_best_reason(row)}") from None


def _best_reason(row: dict[str, Any]) -> str:
    """What is wrong with a row, in the words of jsonschema.

    jsonschema is thirty times as slow as fastjsonschema, so it is used only to word errors.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(row_schema()).iter_errors(row))
    place = ".".join(map(str, error.absolute_path)) or "the row"
    return f"{place}: {error.message}"


def save_row(row: dict[str, Any], folder: Path) -> Path:
    """Write a row to a file of `folder`, whole or not at all; return the file.

    No row is overwritten. If a second run of the same configuration has another result, its file
    gets a number. If the result is the same, the existing file is returned. Raises ValueError where
    the row does not fit the schema, and OSError where the disk is full.
    """
    check_row(row)
    folder.mkdir(parents=True, exist_ok=True)
    stem = _stem(row)
    content = row
    if len(row["scores"].get("score", ())) > MOST_SCORES:
        content = row | {"scores": {"file": _save_scores(row["scores"], folder, stem)}}
    with one_at_a_time(folder / "rows"):
        for number in itertools.count(1):
            target = folder / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
            if not target.exists():
                with replacing(target) as aside:
                    aside.write_text(_to_json(content), encoding="utf-8")
                return target
            if _repeats(content, target):
                target.touch()
                return target
    raise AssertionError("unreachable")


def _stem(row: dict[str, Any]) -> str:
    """The name of a row's file, without its ending and number."""
    c, key = row["config"], row["provenance"]["eval_key"][:8]
    stem = f"{c['category']}-{c['backbone'].replace('/', '-')}-s{c['seed']}-{key}"
    if c.get("normal_class") is not None:
        stem = f"{c['dataset']}-{stem}"
    if c["dataset"] in registry.of_family(registry.MEDICAL):
        part = c["split"] if c["fold"] is None else f"{c['split']}{c['fold']}"
        stem = f"{c['dataset']}-{part}-{stem.removeprefix(registry.NORMAL + '-')}"
    return stem


def result_of(row: dict[str, Any]) -> dict[str, Any]:
    """The part of a row that a repetition of its run must reproduce: all but times and provenance.

    Settings without a meaning for the run have their normal values.
    """
    parts = {k: row[k] for k in ("status", "metrics", "counts", "scores")}
    history = {k: v for k, v in row["history"].items() if k != "seconds"}
    # A row that is older than a setting lacks it.
    return {**parts, "config": normalised(LATER_FIELDS | row["config"]), "history": history}


def _repeats(row: dict[str, Any], file: Path) -> bool:
    """Whether a file has the same result as a row and counts in at least as many tables.

    A row whose cost was measured is never a repetition, since times are part of its result.
    """
    try:
        other = read_row(file)
    except (ValueError, OSError):
        return False
    costed = any("image_seconds" in r["cost"] for r in (row, other))
    counts = other["provenance"]["dirty"] in (False, row["provenance"]["dirty"])
    return not costed and counts and result_of(row) == result_of(other)


def _save_scores(scores: dict[str, list], folder: Path, stem: str) -> str:
    """Write scores to a compressed file; return its name, which includes a hash of its content."""
    content = lzma.compress(json.dumps(scores).encode(), preset=9)
    name = f"{stem}.scores-{hashlib.sha256(content).hexdigest()[:8]}.json.xz"
    with replacing(folder / name) as aside:
        aside.write_bytes(content)
    return name


def read_scores(row: dict[str, Any] | pd.Series, folder: Path | None = None) -> dict[str, list]:
    """The path, label and score of each test image of a run.

    row: a line of `load_runs`. folder: the folder given to `load_runs`. Raises ValueError where the
    scores are in a file of their own that is missing or damaged.
    """
    scores = row["scores"]
    if "file" not in scores:
        return scores
    folder = folder or paths.results_dir() / "runs"
    try:
        file = (folder / row["file"]).with_name(scores["file"])
        return json.loads(lzma.decompress(file.read_bytes()))
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"the scores {scores['file']} cannot be read ({error})") from None


def _to_json(row: dict[str, Any]) -> str:
    """A row as JSON with one line per top-level entry, readable in a diff."""
    lines = (f'"{key}": {json.dumps(value, allow_nan=False)}' for key, value in row.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_row(file: Path) -> dict[str, Any]:
    """The row of a file; ValueError if the file is not a result row.

    A row that was edited by hand may fit the schema and still hold a time that does not exist.
    """
    row = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    check_row(row)
    datetime.fromisoformat(row["provenance"]["finished"])
    return row


def load_runs(folder: Path | None = None) -> pd.DataFrame:
    """All result rows below `folder` (default: results/runs) as a table, the newest last.

    Columns are the configuration's fields, the metrics, and `counts.*`, `cost.*`, `provenance.*`.
    Settings without a meaning for a run have their normal values, whatever the file says, so that
    equal rows compare as equal. The keys in `provenance.*` are those of the file. `history` and
    `scores` hold each run's own dict. `file` is relative to the folder, and `study` is its first
    part. `sender` is its second part, if there are three: it says whose row this is. Files that are
    not rows are left out with a message; `attrs["unreadable"]` of the table gives the reason by
    file name.
    """
    folder = folder or paths.results_dir() / "runs"
    rows, unreadable = [], {}
    for path in sorted(folder.rglob("*.json")):
        file = path.relative_to(folder)
        try:
            row = read_row(path)
        except (ValueError, TypeError, OSError, RecursionError) as error:
            unreadable[file.as_posix()] = f"not a result row: {error}"
            say(f"{path.name} is not a result row and is left out: {error}")
            continue
        study = file.parts[0] if len(file.parts) > 1 else row["provenance"]["study"] or ""
        sender = file.parts[1] if len(file.parts) > 2 else ""
        rows.append(_flat(row) | {"file": file.as_posix(), "study": study, "sender": sender})
    table = _with_plain_texts(pd.DataFrame(rows))
    if rows:
        order = pd.to_datetime(table["provenance.finished"], utc=True, format="ISO8601")
        table = table.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    table.attrs["unreadable"] = unreadable
    return table


def _with_plain_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its texts as Python objects, as in pandas 2.

    pandas 3 keeps each column of texts in a block of its own, and selecting rows takes time for
    each block.
    """
    texts = [name for name in table if isinstance(table[name].dtype, pd.StringDtype)]
    return table.astype(dict.fromkeys(texts, object)).copy()  # a copy has one block per type


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number; an undefined metric is null")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    config = normalised(LATER_FIELDS | row["config"])
    flat = {"status": row["status"], **config, **row["metrics"]}
    for part in ("counts", "cost", "provenance"):
        flat |= {f"{part}.{k}": v for k, v in row[part].items()}
    return flat | {"history": row["history"], "scores": row["scores"]}

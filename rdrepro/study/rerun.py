"""Repeat the run of a row: is the result the same?"""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdrepro import paths
from rdrepro.backbones import PRETRAINED, RANDOM, default_weights, usual_weights
from rdrepro.meaning import meaningless
from rdrepro.metric_names import METRICS
from rdrepro.runs.rows import read_row, read_scores, result_of

if TYPE_CHECKING:
    from rdrepro.runs.execute import Outcome

# How far metrics (fractions) and losses (relative) may lie apart where the machine or the libraries
# differ. Training amplifies the last digits of float32 and bfloat16.
METRIC_TOLERANCE, LOSS_TOLERANCE = 0.01, 0.05
# What two results must share to be equal to the bit, besides the processor itself.
CONDITIONS = ("device", "threads", "python", "libraries")


def rerun(
    file: str | None,
    weights: Sequence[str],
    data_root: str | None,
    device: str | None,
    say: Callable[[str], None],
) -> int:
    """Run the configuration of a row again and say whether the result is the same.

    weights: texts such as "resnet18=PATH". Nothing is kept. Returns 0 where the result is the same
    to the bit or within the tolerance for another machine, else 1. Raises ValueError if the file is
    not a row.
    """
    path = paths.existing(file) if file else None
    if path is None:
        raise ValueError(f"rerun needs the file of a row; {file!r} is not a file")
    try:
        old = read_row(path)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a result row: {error}") from None
    if "file" in old["scores"]:
        old = old | {"scores": read_scores(old | {"file": path.name}, path.parent)}
    with tempfile.TemporaryDirectory(prefix="rdrepro-rerun-") as folder:
        new = repeat(old, folder, weights, data_root, device).row
    code, sentence = judge(old, new)
    say(sentence)
    return code


def repeat(
    old: Mapping[str, Any],
    results: str,
    weights: Sequence[str] = (),
    data_root: str | None = None,
    device: str | None = None,
) -> "Outcome":
    """Run the configuration of a row again and return the finished run. No row is kept.

    results: the folder of the student and of embedded images. Raises ValueError or OSError, with a
    message of one sentence, where the weights or the images of the row are not here.
    """
    import torch

    from rdrepro.runs.execute import carry_out
    from rdrepro.runs.resolve import resolve

    torch.set_num_threads(old["provenance"]["threads"])
    config = old["config"]
    without = meaningless(config)
    settings = {k: v for k, v in config.items() if k not in without and v is not None}
    settings |= {"weights": _file_of(old, weights), "preset": "paper", "results_dir": results}
    settings |= {"data_root": data_root, "device": device}
    return carry_out(resolve(**settings))


def _file_of(old: Mapping[str, Any], texts: Sequence[str]) -> str:
    """The name or file by which the weights of a row are found."""
    backbone, named = old["config"]["backbone"], old["config"]["weights"]
    files = dict(text.partition("=")[::2] for text in texts)
    if named == RANDOM:
        return RANDOM
    if backbone in files:
        return files[backbone]
    if named == usual_weights(backbone) or named.startswith(f"{PRETRAINED}:"):  # timm's, by tag
        return default_weights(backbone)
    if named.startswith("sha256:"):
        raise ValueError(f"the row has the weights {named}; give --weights {backbone}=PATH")
    return named


def judge(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[int, str]:
    """An exit code, 0 if two rows have the same result, and a sentence about their difference."""
    for part in ("train", "test"):
        key = f"{part}_data_sha256"
        if old["provenance"][key] != new["provenance"][key]:
            return 1, f"The {part} images differ from those of the row; nothing is compared."
    if result_of(old) == result_of(new):
        return 0, "The result is the same, to the bit."
    where = [name for name in CONDITIONS if old["provenance"][name] != new["provenance"][name]]
    kept = [row["provenance"].get("trained", {}).get("features") for row in (old, new)]
    if "recomputed" in kept:
        where.append("the batches of the teacher's features")
    metric, loss = largest_differences(old, new)
    found = f"Metrics differ by up to {100 * metric:.2f} points, losses by up to {loss:.1%}"
    if metric > METRIC_TOLERANCE or loss > LOSS_TOLERANCE:
        return 1, f"{found}: this is a different result."
    why = f"{', '.join(where)} differ" if where else "the processor may be another"
    return 0, (
        f"{found}: the same within the tolerance for another machine "
        f"({100 * METRIC_TOLERANCE:g} points, {LOSS_TOLERANCE:.0%}), since {why}. On the machine "
        "of the row, with features kept, it should be the same to the bit."
    )


def largest_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[float, float]:
    """The largest difference of a metric and the largest relative one of an epoch's loss."""
    names = [m.name for m in METRICS if m.name in old["metrics"]]
    metric = max((_apart(old["metrics"][n], new["metrics"].get(n)) for n in names), default=0.0)
    pairs = zip(old["history"].get("loss", ()), new["history"].get("loss", ()), strict=False)
    loss = max((abs(a - b) / max(abs(a), 1e-12) for a, b in pairs), default=0.0)
    other_epochs = len(old["history"].get("loss", ())) != len(new["history"].get("loss", ()))
    return metric, math.inf if other_epochs else loss


def _apart(a: float | None, b: float | None) -> float:
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    return abs(a - b)

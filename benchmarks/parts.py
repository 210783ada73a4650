"""The parts of a benchmark: how one is measured, and the file that it becomes."""

import datetime
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import Others, describe
from benchmarks.rounds import Method, Ratio, lines_of, ratio_of, significant, take_turns
from rdrepro.files import replacing
from rdrepro.runs.git import git_state
from rdrepro.text import duration

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "scikit-image")
COMMIT_DIGITS = 7
ROUNDS = 5
LIMITS = {"float32": "float32 GFLOP/s", "bfloat16": "bfloat16 GFLOP/s"}


@dataclass
class Findings:
    """Lines and ratios of a part's file, and its other entries, if any."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    others: dict[str, Any] = field(default_factory=dict)

    def __add__(self, more: "Findings") -> "Findings":
        others = dict(self.others)
        for name, entries in more.others.items():  # a list or a dictionary
            before = others.get(name, type(entries)())
            others[name] = before | entries if isinstance(entries, dict) else before + entries
        return Findings(self.lines + more.lines, self.ratios + more.ratios, others)


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    name: of its file, without the ending, such as cpu-step. about: one sentence, what is timed.
    minutes: what it takes with ROUNDS rounds on two idle cores. measure: does it.
    """

    name: str
    about: str
    minutes: float
    measure: Callable[["Session"], Findings]


class Session:
    """One run of the benchmark.

    rounds: how often each method has its turn. small: everything in the smallest size, to try the
    benchmark itself. anyway: measure on a busy machine too. minutes_after: what the parts after the
    present one take.
    """

    def __init__(self, rounds: int = ROUNDS, small: bool = False, anyway: bool = False):
        self.rounds, self.small, self.anyway = rounds, small, anyway
        self.others, self.machine, self.minutes_after = Others(), describe(), 0.0
        self.code = git_state()  # that the methods load
        self._limits: dict[str, float] | None = None

    @property
    def native_bfloat16(self) -> bool:
        """Whether this machine computes bfloat16 natively, so that it is rdrepro's default."""
        return self.machine["bfloat16"] == "native"

    def compare(
        self,
        task: str,
        methods: Mapping[str, Method],
        ratios: Sequence[Ratio] = (),
        about: str = "",
        rounds: int | None = None,
        limits: bool = False,
    ) -> Findings:
        """Let methods take turns.

        task: what the lines say. about: which comparison of the part this is. rounds: others than
        the session's. limits: whether to add the share of the machine's GFLOP/s. Raises BusyError
        where others use the machine.
        """
        known = self.limits() if limits else {}
        where = f"{task}, {about}" if about else task
        later = f", and {duration(60 * self.minutes_after)} for later parts"

        def tell(sentence: str, left: float) -> None:
            rest = later if self.minutes_after else ""
            sys.stderr.write(f"{where}: {sentence}; {duration(left)} left{rest}\n")

        measured = take_turns(methods, rounds or self.rounds, self.others, self.anyway, tell)
        return Findings(
            lines_of(task, methods, measured, known),
            [ratio_of(task, ratio, methods, measured) for ratio in ratios],
            {"limits": {LIMITS[k]: significant(v) for k, v in known.items()}} if known else {},
        )

    def limits(self) -> dict[str, float]:
        """GFLOP/s of the machine's matrix products by precision; measured once in a session."""
        if self._limits is None:
            names = LIMITS if self.native_bfloat16 else ["float32"]
            size = {"side": 256} if self.small else {}
            task = "benchmarks.limits:matrix_product"
            methods = {name: Method(task, {"precision": name} | size) for name in names}
            measured = take_turns(methods, self.rounds, self.others, self.anyway)
            self._limits = {
                name: m.facts["gflop"] / median(m.seconds) for name, m in measured.items()
            }
        return self._limits


def document(part: Part, findings: Findings, session: Session) -> dict[str, Any]:
    """A part's file.

    It counts as dirty where the code is no longer that with which the session began.
    """
    commit, dirty = session.code
    dirty = dirty or git_state() != session.code
    return {
        "part": part.name,
        "about": part.about,
        "machine": dict(session.machine),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": (commit or "unknown")[:COMMIT_DIGITS],
        "dirty": bool(dirty),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        **findings.others,
        "lines": findings.lines,
        "ratios": findings.ratios,
    }


def write(content: Mapping[str, Any], folder: Path) -> Path:
    """Write a part's file, whole or not at all; return its path."""
    target = folder / f"{content['part']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(target) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return target


def shown(findings: Findings) -> str:
    """Lines and ratios as text, with units, for whoever waits at the terminal."""
    rows = []
    for line in findings.lines:
        says = (line[k] for k in ("method", "backbone", "precision", "features", "stage"))
        size = [f"{k.replace('_', ' ')} {line[k]}" for k in ("batch", "image_size") if line[k]]
        share = line["share_of_limit"]
        rows.append(
            f"  {line['median']:>10g} {line['unit']:<4} ({line['q1']:g} to {line['q3']:g})  "
            + ", ".join(str(s) for s in (*says, *size) if s)
            + (f", {share:.0%} of the limit" if share else "")
        )
    for ratio in findings.ratios:
        target = ratio["target"]
        verdict = {True: "met", False: "MISSED", None: ""}[ratio["met"]]
        rows.append(
            f"  {ratio['median']:>10g} times ({ratio['q1']:g} to {ratio['q3']:g})  {ratio['name']}"
            + (f"; target {target:g}: {verdict}" if target is not None else "")
        )
    return "\n".join(rows)

"""The jobs of a study or table: one run each, with the notebook that makes its row."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rdrepro import paths, registry
from rdrepro.backbones import RANDOM
from rdrepro.config import FIELD_NAMES, RunConfig, parse_overrides
from rdrepro.meaning import meaningless
from rdrepro.runs.configure import PLACES
from rdrepro.study.catalogue import STUDIES, TABLES, Study, configuration, identity, studies_of
from rdrepro.text import one_of

Given = Mapping[str, Any]  # parameters of `resolve`
EVERYTHING = "everything"
# Each family's notebook, and the parameter that selects a single run in it.
NOTEBOOKS = {registry.MVTEC: "01_mvtec", registry.ONE_CLASS: "03_novelty"}
NOTEBOOKS |= {registry.MEDICAL: "07_medical"}
TIMED_NOTEBOOK = "02_complexity"
KEY_DIGITS = 8
MKD = "mkd"  # the method with a teacher of its own, whatever the changes


@dataclass(frozen=True, eq=False)
class Job:
    """One run of a study.

    declared: its parameters in the catalogue. given: these with the user's changes.
    """

    study: Study
    declared: Given
    given: Given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[str, ...]:
        return self.study.name, *self.identity

    @cached_property
    def config(self) -> RunConfig:
        """The configuration, without looking for data or weights."""
        return configuration(self.given)

    @property
    def identity(self) -> tuple[str, ...]:
        """A key that is equal for the job and for the rows of its run."""
        return identity(vars(self.config), "precision" in self.given)

    @cached_property
    def name(self) -> str:
        """A name for files: a readable part, and a key that no other run has."""
        c = self.config
        key = hashlib.sha256("|".join(self.identity).encode()).hexdigest()[:KEY_DIGITS]
        parts = [c.dataset, c.category, c.method, c.backbone, f"s{c.seed}", key]
        return re.sub(r"[^A-Za-z0-9_.-]", "-", "-".join(parts))

    @property
    def notebook(self) -> str:
        """The name of the notebook that makes the row."""
        if self.study.timed:
            return TIMED_NOTEBOOK
        return NOTEBOOKS[registry.DATASETS[self.config.dataset].family]

    def text(self) -> str:
        """The parameters in one line."""
        return " ".join(f"{name}={value}" for name, value in self.given.items())


def targets() -> list[str]:
    """Every name that `jobs_of` takes: the printed tables, the studies, and everything."""
    return list(dict.fromkeys([*TABLES, *(study.name for study in STUDIES), EVERYTHING]))


def jobs_of(
    name: str,
    seeds: int | None = None,
    changes: Given | None = None,
    only: Mapping[str, Sequence[str]] | None = None,
) -> list[Job]:
    """The jobs of a study, of all studies of a printed table, or of everything.

    seeds: how many seeds the studies with several run, 1 to this number; by default as declared.
    changes: settings that replace the declared ones. only: the values of settings to which the jobs
    are limited. Raises ValueError for an unknown name or where no job is left.
    """
    studies = list(STUDIES) if name == EVERYTHING else studies_of(name)
    jobs = [job for study in studies for job in _jobs(study, seeds, changes or {})]
    for setting, values in (only or {}).items():
        there = {str(getattr(job.config, setting)) for job in jobs}
        strange = [value for value in values if value not in there]
        if strange:
            raise ValueError(
                f"{name} has no run with {setting}={strange[0]}, only with {one_of(sorted(there))}"
            )
        jobs = [job for job in jobs if str(getattr(job.config, setting)) in values]
    return jobs


def _jobs(study: Study, seeds: int | None, changes: Given) -> list[Job]:
    distinct: dict[tuple[str, ...], Job] = {}
    for declared in _with_seeds(study.runs(), seeds):
        config = vars(configuration(declared)) | changes
        without = meaningless(config).keys() | ({"backbone"} if config["method"] == MKD else set())
        kept = {k: v for k, v in declared.items() if not (changes and k in without)}
        fitting = {k: v for k, v in changes.items() if k not in without}
        job = Job(study, declared, {**kept, **fitting})
        distinct.setdefault(job.identity, job)
    return list(distinct.values())


def _with_seeds(runs: Sequence[Given], seeds: int | None) -> list[Given]:
    """Runs with other seeds if the study has several seeds; otherwise unchanged."""
    if seeds is None:
        return list(runs)
    groups: dict[str, list[Given]] = {}
    for run in runs:
        rest = {k: v for k, v in run.items() if k != "seed"}
        groups.setdefault(json.dumps(rest, default=str), []).append(run)
    numbers = range(1, seeds + 1)
    several = [[{**g[0], "seed": n} for n in numbers] if len(g) > 1 else g for g in groups.values()]
    return [run for group in several for run in group]


def parse_changes(text: str) -> dict[str, Any]:
    """The settings of a text such as "epochs=2 weights=random"; ValueError where it is wrong."""
    try:
        changes = parse_overrides(text)
    except ValueError as error:
        raise ValueError(str(error).replace("overrides", "SET")) from None
    if "/" in str(changes.get("weights", "")):
        raise ValueError(
            f"SET: weights={changes['weights']!r} is a path; name the weights as rows do, as in "
            "weights=random or weights=sha256:..., and give the file as WEIGHTS"
        )
    return changes


def parse_only(text: str) -> dict[str, list[str]]:
    """The values of a text such as "category=wood,bottle seed=1", by setting."""
    only = {}
    for word in text.split():
        name, equals, values = word.partition("=")
        if not equals or name not in FIELD_NAMES:
            raise ValueError(f"ONLY: {word!r} is not SETTING=VALUE,VALUE with a setting of a run")
        only[name] = values.split(",")
    return only


def parameters(job: Job, weights: Mapping[str, str], places: Given) -> dict[str, Any]:
    """The parameters with which papermill runs the job's notebook.

    weights: the file of each backbone whose weights are not found by name. Settings without a
    parameter in the notebook go into `overrides`.
    """
    config, given = job.config, dict(job.given)
    file = weights.get(config.backbone)
    if file and config.weights != RANDOM:
        given["weights"] = str(file)
    elif str(given.get("weights", "")).startswith("sha256:"):
        raise FileNotFoundError(
            f"the weights {given['weights']} of {config.backbone} cannot be found by name; give "
            f"their file as --weights {config.backbone}=PATH"
        )
    embedded = registry.DATASETS[config.dataset].embedded
    where = {k: v for k, v in places.items() if not (embedded and k == "data_root")}
    given |= {"study": job.study.name, **where}
    if job.study.timed:
        given["methods"] = config.method
        given["image_sizes"] = str(config.image_size)
        given = {k: v for k, v in given.items() if k not in ("method", "image_size")}
    return _fitting(job.notebook, given)


def _fitting(notebook: str, given: Given) -> dict[str, Any]:
    """The notebook's own parameters, and all other settings in `overrides`.

    Weights are always given by name, since blanks in a path would end an entry of `overrides`.
    """
    known = {*notebook_parameters(notebook), *PLACES, "weights"}
    fitting = {k: v for k, v in given.items() if k in known}
    others = {k: v for k, v in given.items() if k not in fitting}
    if others:
        fitting["overrides"] = " ".join(f"{k}={_plain(v)}" for k, v in others.items())
    return {k: _plain(v) for k, v in fitting.items()}


def _plain(value: Any) -> Any:
    """A value that papermill can pass on and the notebook can parse."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else value


def notebook_file(name: str) -> Path:
    """The path of a notebook."""
    return paths.ROOT / "notebooks" / f"{name}.ipynb"


def notebook_parameters(name: str) -> list[str]:
    """The names of a notebook's parameters."""
    cells = json.loads(notebook_file(name).read_text(encoding="utf-8"))["cells"]
    tagged = next(c for c in cells if "parameters" in c["metadata"].get("tags", ()))
    return re.findall(r"^(\w+)\s*(?::[^=]*)?=", "".join(tagged["source"]), re.MULTILINE)

"""What the workflow needs from the catalogue: markers, specifications and resources of jobs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rdrepro import paths
from rdrepro.backbones import has_bottleneck_blocks
from rdrepro.config import RunConfig
from rdrepro.runs.git import git_state
from rdrepro.runs.rows import load_runs
from rdrepro.study.catalogue import BY_NAME
from rdrepro.study.job import specification
from rdrepro.study.jobs import Job, jobs_of, parameters, parse_changes, parse_only, targets
from rdrepro.study.making import ANY, CLEAN, Hashes, data_hashes, missing, weights_files

TARGETS = tuple(targets())
# MiB reserved for a run at 256 px; they grow with the area of an image. For the largest training
# set of MVTec AD (391 images) the teacher's features take 0.7 GiB with basic blocks and 2.7 GiB
# with bottleneck blocks. The rest is for networks, gradients and libraries. If less is free,
# features are not kept in memory, so a run with too little memory still ends.
MEMORY = {"basic blocks": 4000, "bottleneck blocks": 8000}
LEAST_MEMORY, PIXELS = 2000, 256
MOST = 1000  # seeds or GPUs


@dataclass(frozen=True)
class Plan:
    """The settings with which a study is run.

    seeds, changes, only: as in `jobs_of`. With changes the runs are trials: their results folder is
    `results/scratch/NAME`, where NAME is the target. gpus: how many there are for jobs; 0: none.
    """

    target: str
    results: Path
    seeds: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)  # data_root and device, as in `resolve`
    gpus: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Plan":
        """The plan of Snakemake's `--config` or of the command line; ValueError where it is wrong.

        given: target, results, seeds, set, only, weights (a list), data_root, device, gpus; or
        plan, with all of these as `packed` returns them.
        """
        given = {**given, **(unpacked(given["plan"]) if given.get("plan") else {})}
        given = {k: v for k, v in given.items() if v not in (None, "")}
        changes = parse_changes(str(given.get("set", "")))
        target = str(given.get("target", "everything"))
        named = given.get("results")
        results = Path(str(named)).expanduser().absolute() if named else paths.results_dir()
        if changes:
            results = results / "scratch" / target
        plan = cls(
            target,
            results,
            _whole_number("seeds", given.get("seeds")),
            changes,
            parse_only(str(given.get("only", ""))),
            places=_places(given),
            gpus=_whole_number("gpus", given.get("gpus")) or 0,
        )
        texts = given.get("weights", ())
        texts = texts.split() if isinstance(texts, str) else texts
        files = weights_files(texts, plan.jobs()) if texts else {}
        return replace(plan, weights=files)

    @property
    def folder(self) -> Path:
        """The folder of markers, logs and executed notebooks."""
        return self.results / "jobs"

    @cached_property
    def counted(self) -> str:
        """Which rows count as existing.

        If new rows would be dirty, dirty rows count too, so that an interrupted study can continue.
        """
        return CLEAN if not self.changes and git_state()[1] is False else ANY

    def jobs(self, target: str | None = None) -> list[Job]:
        """The jobs of a target, by default the plan's own."""
        return jobs_of(target or self.target, self.seeds, self.changes, self.only)

    def lacking(self, target: str | None = None) -> list[Job]:
        """The jobs that have no row."""
        runs = load_runs(self.results / "runs")
        return missing(self.jobs(target), runs, self._hashes, self.counted)

    @cached_property
    def _hashes(self) -> Hashes:
        """The hashes of the data, each computed once."""
        return data_hashes(self.places.get("data_root"))

    def lacking_markers(self, target: str) -> list[str]:
        """The markers of the jobs that have no row. Old markers of these jobs are removed."""
        lacking = self.lacking(target)
        self.sweep(lacking)
        return [str(self.marker(job)) for job in lacking]

    def sweep(self, lacking: Sequence[Job]) -> None:
        """Remove the markers of jobs that have no row."""
        for job in lacking:
            for ending in (".done", ".failed"):
                self.marker(job).with_suffix(ending).unlink(missing_ok=True)

    def marker(self, job: Job) -> Path:
        """The file that marks a job as done."""
        return self.folder / job.study.name / f"{job.name}.done"

    def parameters(self, job: Job) -> dict[str, Any]:
        """The parameters of a job's notebook; FileNotFoundError where weights are missing."""
        return parameters(job, self.weights, {**self.places, "results_dir": str(self.results)})

    def specification(self, study: str, name: str) -> str:
        """Everything that the job's process needs, as JSON."""
        job = self._named(study)[name]
        values = specification(job, self.parameters(job), self.results, self.counted)
        return json.dumps(values)

    @cached_property
    def _jobs_by_study(self) -> dict[str, dict[str, Job]]:
        return {}

    def _named(self, study: str) -> dict[str, Job]:
        if study not in self._jobs_by_study:
            jobs = jobs_of(study, self.seeds, self.changes)
            self._jobs_by_study[study] = {job.name: job for job in jobs}
        return self._jobs_by_study[study]

    def torch_threads(self, study: str, cores: int | None) -> int:
        """The number of torch's threads. Last digits depend on it, so most studies set it.

        The other studies use one thread or, with GPUs, an equal share of the cores for each GPU.
        """
        share = max(1, (cores or 1) // self.gpus) if self.gpus else 1
        return BY_NAME[study].threads or share

    def cores(self, study: str, cores: int | None) -> int:
        """The cores of a job. If it measures times, it has the machine to itself."""
        if BY_NAME[study].timed:
            return cores or 1
        return self.torch_threads(study, cores)

    def memory(self, study: str, name: str) -> int:
        """The MiB that a job may take."""
        return memory_of(self._named(study)[name].config)


def memory_of(config: RunConfig) -> int:
    """The MiB that a run may take."""
    kind = "bottleneck blocks" if has_bottleneck_blocks(config.backbone) else "basic blocks"
    share = (config.image_size / PIXELS) ** 2
    return max(LEAST_MEMORY, round(MEMORY[kind] * share))


def packed(given: Mapping[str, Any]) -> str:
    """Values as one word that shells, YAML and Snakemake leave unchanged."""
    return json.dumps(given).encode().hex()


def unpacked(word: str) -> dict[str, Any]:
    """The values of a word that `packed` returned."""
    return json.loads(bytes.fromhex(word))


def row_files() -> list[str]:
    """The files of all rows; the report depends on them."""
    return sorted(str(file) for file in (paths.results_dir() / "runs").rglob("*.json"))


def _places(given: Mapping[str, Any]) -> dict[str, str]:
    places = {name: str(given[name]) for name in ("data_root", "device") if given.get(name)}
    root = places.get("data_root")
    if root and not Path(root).expanduser().is_dir():
        raise ValueError(f"the data root {root!r} is not a folder")
    if root:
        places["data_root"] = str(Path(root).expanduser().absolute())
    return places


def _whole_number(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if not str(value).isdecimal() or not 1 <= int(value) <= MOST:
        raise ValueError(f"{name}={value!r} must be a whole number from 1 to {MOST}")
    return int(value)

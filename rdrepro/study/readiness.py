"""One check of what all jobs of a study need, before the first of them starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rdrepro.backbones import PRETRAINED, RANDOM, default_weights, usual_weights
from rdrepro.config import RunConfig
from rdrepro.progress import progress
from rdrepro.study.jobs import Job
from rdrepro.study.plan import Plan

# The settings that decide what a run needs. Runs with equal values are checked once.
NEEDED = ("dataset", "category", "normal_class", "inlier_categories", "split", "fold", "data_seed")
NEEDED += ("backbone", "weights", "method")


@dataclass(frozen=True)
class Readiness:
    """The jobs that can start, those that cannot, with the reason, and notes about the data."""

    ready: list[Job]
    blocked: dict[Job, str]
    notes: list[str]


def check(plan: Plan, jobs: Sequence[Job]) -> Readiness:
    """Check what jobs need. Published weights are not fetched; `fetch_weights` does that."""
    ready, blocked, notes, checked = [], {}, {}, {}
    for job in progress(jobs, "checking", leave=False):
        key = tuple(getattr(job.config, name) for name in NEEDED)
        if key not in checked:
            checked[key] = _problem(lambda job=job: _check(plan, job))
        reason, found = checked[key]
        notes |= dict.fromkeys(found)
        if reason:
            blocked[job] = reason
        else:
            ready.append(job)
    return Readiness(ready, blocked, list(notes))


def fetch_weights(plan: Plan, found: Readiness) -> Readiness:
    """Fetch the weights of the jobs that can start, each once. Jobs without weights are blocked."""
    reasons: dict[tuple[str, str], str] = {}
    blocked = dict(found.blocked)
    for job in found.ready:
        key = job.config.backbone, _findable(plan, job.config)
        if key not in reasons:
            reasons[key] = _problem(lambda job=job, key=key: _fetch(job, *key))[0]
        if reasons[key]:
            blocked[job] = reasons[key]
    return Readiness([job for job in found.ready if job not in blocked], blocked, found.notes)


def _fetch(job: Job, backbone: str, weights: str) -> Sequence[str]:
    from rdrepro.runs.weights import find_weights  # loads torch

    check_weights(job.config.weights, find_weights(backbone, weights).name)
    return ()


def _problem(step: Callable[[], Sequence[str]]) -> tuple[str, Sequence[str]]:
    """A sentence about what is wrong, or "", and the notes that a check returns."""
    try:
        return "", step()
    except (ValueError, OSError) as error:
        return " ".join(str(error).split()), ()


def _check(plan: Plan, job: Job) -> Sequence[str]:
    """Notes about a job's data; raises ValueError or OSError for what the job lacks."""
    from rdrepro.runs.needs import check_needs  # loads torch
    from rdrepro.runs.resolve import find_data

    root = plan.parameters(job).get("data_root")
    config = replace(job.config, weights=_findable(plan, job.config))
    needs = check_needs(
        config,
        plan.places.get("device"),
        lambda: find_data(config, root, plan.results),
        plan.results,
    )
    needs.raise_if_lacking()
    if config.backbone in plan.weights and config.weights != RANDOM:
        _fetch(job, config.backbone, config.weights)  # a file, which is only read
    return needs.notes


def _findable(plan: Plan, config: RunConfig) -> str:
    """The file or name by which a run's weights are found."""
    if config.weights == RANDOM:
        return RANDOM
    if config.backbone in plan.weights:
        return plan.weights[config.backbone]
    usual = config.weights == usual_weights(config.backbone)
    return default_weights(config.backbone) if usual else config.weights


def check_weights(wanted: str, found: str) -> None:
    """Raise ValueError if a file has other weights than the rows of the study."""
    tagged = wanted == PRETRAINED and found.startswith(f"{PRETRAINED}:")  # by timm
    if found != wanted and not tagged:
        raise ValueError(f"the file given with --weights is {found}, but the study needs {wanted}")

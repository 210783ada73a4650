"""How long the jobs of a study will take, estimated from rows of similar runs."""

import os
from collections.abc import Sequence

import pandas as pd

from rdrepro.study.jobs import Job
from rdrepro.study.plan import Plan

OVERHEAD = 40.0  # seconds beside training and testing, measured on two slow cores
ALIKE = ("backbone", "method", "image_size")


def estimate_seconds(jobs: Sequence[Job], rows: pd.DataFrame, at_once: int) -> float | None:
    """The seconds that jobs will take if some run at the same time; None if no row helps.

    rows: lines of `load_runs`. The time of an epoch is the median over rows of the same backbone,
    method and image size, whatever their number of images.
    """
    known = [seconds for job in jobs if (seconds := _seconds(job, rows)) is not None]
    if not known:
        return None
    return sum(known) / len(known) * len(jobs) / at_once


def _seconds(job: Job, rows: pd.DataFrame) -> float | None:
    if rows.empty:
        return None
    alike = rows
    for name in ALIKE:
        alike = alike[alike[name] == getattr(job.config, name)]
    trained = alike[~alike["provenance.student_reused"].astype(bool)]
    if trained.empty:
        return None
    steps = trained["epochs"].fillna(1).astype(float).clip(lower=1)
    pace = (trained["cost.train_seconds"] / steps).median()
    return (
        pace * max(job.config.epochs or 1, 1) + trained["cost.predict_seconds"].median() + OVERHEAD
    )


def at_once(plan: Plan, jobs: Sequence[Job], options: Sequence[str]) -> int:
    """How many of the jobs run at the same time."""
    named = options[options.index("--cores") + 1] if "--cores" in options else "1"
    cores = (os.cpu_count() or 1) if named == "all" else int(named)
    each = max(plan.cores(job.study.name, cores) for job in jobs)
    return max(1, plan.gpus or cores // each)

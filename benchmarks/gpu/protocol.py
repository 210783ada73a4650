"""The paper's protocol on one category: 200 epochs, test and metrics, with the time of each."""

import tarfile
import time
from pathlib import Path

import rdrepro as rd
from rdrepro.backbones import RANDOM
from rdrepro.files import replacing
from rdrepro.runs.run import Run

from .settings import Settings

STUDY = "gpu-first"  # the study of the catalogue that these rows belong to
SEED = 1
METRICS = ("image_auroc", "pixel_auroc", "pixel_aupro_official")


def run(settings: Settings, backbone: str) -> None:
    """Carry out a run and record its metrics and times; keep its row where weights were found.

    A run with random weights is only timed.
    """
    began = time.perf_counter()
    run = resolve(settings, backbone)
    data, started = run.dataset("train"), rd.now()
    seconds = {"checks": time.perf_counter() - began}
    trained = _timed(seconds, "training", lambda: rd.train(run, data))
    test = run.dataset("test")
    predictions = _timed(
        seconds, "test", lambda: rd.predict(trained.model, test, run.config, run.device)
    )
    metrics = _timed(seconds, "metrics", lambda: rd.evaluate(predictions, run.device))
    row = rd.make_row(run, trained, predictions, metrics, started)
    if run.study:
        rd.save_row(row, run.rows_dir)
        pack(run.results_dir / "runs", settings.archive)
    epochs = trained.history["seconds"]
    line = {
        "backbone": backbone,
        "weights": run.config.weights,
        "category": run.config.category,
        "precision": run.config.precision,
        "epochs": len(epochs),
        "images": trained.images,
        "test images": len(test),
        "seconds": sum(seconds.values()),
        **{f"seconds of {part}": taken for part, taken in seconds.items()},
        "seconds of the epochs": float(epochs.sum()),
        "seconds of an epoch": float(epochs.median()),
        "row": bool(run.study),
    }
    if run.study:
        line |= {name: metrics[name] for name in METRICS}
    settings.record.add("protocol", line)


def resolve(settings: Settings, backbone: str) -> Run:
    """The run of a backbone. With random weights it belongs to no study."""
    weights = settings.weights_file(backbone)
    given = {"preset": "paper", "data_root": settings.data}
    if settings.small:
        given = {"preset": "demo", "image_size": settings.image_size, "epochs": 2}
    return rd.resolve(
        **given,
        category=settings.category,
        backbone=backbone,
        weights=str(weights) if weights else RANDOM,
        seed=SEED,
        study=STUDY if weights or settings.small else None,
        results_dir=settings.work,
        device=settings.device,
    )


def pack(folder: Path, target: Path) -> None:
    """Write a folder of rows to a compressed archive, whole or not at all."""
    with replacing(target) as aside, tarfile.open(aside, "w:gz") as archive:
        archive.add(folder, folder.name, filter=_is_row)


def _is_row(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name.startswith(".") else member


def _timed(seconds: dict[str, float], name: str, call):
    started = time.perf_counter()
    result = call()
    seconds[name] = time.perf_counter() - started
    return result

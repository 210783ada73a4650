"""Training of bottleneck and student on normal images (Sec. 4.1; official main.py)."""

import copy
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from rdrepro.baselines import MKD, MemoryDetector, build_baseline
from rdrepro.config import BASELINES, REMEMBERING, RunConfig, train_key
from rdrepro.data import ImageData
from rdrepro.features import (
    TeacherFeatures,
    autocast,
    full_precision_kernels,
    layout,
    memory_errors_explained,
    stack_images,
)
from rdrepro.kernels import fast_kernels
from rdrepro.losses import kd_loss, mkd_loss, mkd_loss_coded
from rdrepro.models.reverse_distillation import (
    ReverseDistillation,
    build_model,
    load_strictly,
)
from rdrepro.presets import PRESETS
from rdrepro.progress import progress, say
from rdrepro.provenance import environment
from rdrepro.resolve import Run

LONG = 3600  # seconds of training from which a cheaper preset is named
HISTORY = ["epoch", "loss", "seconds"]
VALIDATION = "validation_loss"  # in the history, where training stops by it
WARM_UP_STEPS, TIMED_STEPS = 2, 2


class EarlyStopping:
    """Stops training once the validation loss has not fallen for `patience` epochs (E9, O19)."""

    def __init__(self, features: TeacherFeatures, config: RunConfig):
        self.features, self.config = features, config
        self.best, self.epoch, self.state = math.inf, 0, {}

    def validate(self, model: ReverseDistillation, epoch: int) -> float:
        """Return the mean loss of the images held out, in eval mode; remember the lowest."""
        model.eval()
        total = 0.0
        with torch.no_grad():
            for indices in torch.arange(len(self.features)).split(self.config.batch_size):
                f_e = self.features[indices]
                with autocast(self.config, f_e[0].device):
                    f_d = model.restore(f_e)
                total += training_loss(f_e, f_d, self.config).item() * len(indices)
        model.train()
        loss = total / len(self.features)
        if loss < self.best:
            self.best, self.epoch = loss, epoch
            self.state = copy.deepcopy(model.kept().state_dict())
        return loss

    def over(self, epoch: int) -> bool:
        """Return whether the patience is used up."""
        return epoch - self.epoch >= self.config.patience

    def restore(self, model: ReverseDistillation) -> None:
        """Give the model back what it was in the epoch of the lowest validation loss."""
        if self.state:
            model.kept().load_state_dict(self.state)


def training_loss(f_e: list[Tensor], f_d: list[Tensor], config: RunConfig) -> Tensor:
    """Return the scalar that the configuration minimises, over its `train_layers`."""
    f_e, f_d = ([f[k - 1] for k in config.train_layers] for f in (f_e, f_d))
    if config.loss == "mkd":
        return mkd_loss(f_e, f_d, config.mkd_weight, config.loss_reduction)
    if config.loss == "mkd_coded":
        return mkd_loss_coded(f_e, f_d, config.mkd_weight, config.loss_reduction)
    return kd_loss(f_e, f_d, config.loss_reduction)


def fit(
    model: ReverseDistillation,
    data: ImageData,
    config: RunConfig,
    device: torch.device | str = "cpu",
    look: Callable[[ReverseDistillation], dict[str, float]] | None = None,
    validation: ImageData | None = None,
) -> pd.DataFrame:
    """Train bottleneck and student; return the history, one row per epoch: epoch, loss, seconds.

    `look` is given the model every `eval_every` epochs; its answer goes into the history, and
    nothing is selected by it. validation: images to stop early by, with `early_stopping`; the epoch
    of their lowest loss then counts, not the last. RuntimeError when the loss is not finite,
    MemoryError when memory runs out.
    """
    device = torch.device(device)
    with memory_errors_explained(config, device), full_precision_kernels():
        model.to(device, memory_format=layout(config)).train()
        features = TeacherFeatures(model.teacher, data, config, device)
        code_cells = config.image_size // model.teacher.strides[-1] // 2  # of phi, per side
        _check_last_batch(len(features), config, code_cells)
        stopping = None
        if validation is not None:
            seen = TeacherFeatures(model.teacher, validation, config, device)
            stopping = EarlyStopping(seen, config)
        with fast_kernels(model.bottleneck, code_cells):
            return _train(model, features, config, look, stopping)


def _train(
    model: ReverseDistillation,
    features: TeacherFeatures,
    config: RunConfig,
    look: Callable[[ReverseDistillation], dict[str, float]] | None,
    stopping: EarlyStopping | None,
) -> pd.DataFrame:
    seconds = _estimate(model, features, config)
    _announce(config, features, seconds)
    optimiser = _adam(model, config)
    shuffle = torch.Generator().manual_seed(config.seed)
    history = []
    images = config.epochs * len(features)
    with progress(None, "training", seconds, total=images, unit=" images") as bar:
        for epoch in range(1, config.epochs + 1):
            started = time.perf_counter()
            order = torch.randperm(len(features), generator=shuffle)
            loss = _epoch(model, features, order, optimiser, config, bar)
            if not math.isfinite(loss):
                raise RuntimeError(
                    f"the loss is {loss} in epoch {epoch}; lower lr (now {config.lr}) or use "
                    f"precision=float32 (now {config.precision})"
                )
            history.append({"epoch": epoch, "loss": loss, "seconds": time.perf_counter() - started})
            if look and config.eval_every and epoch % config.eval_every == 0:
                history[-1] |= look(model)
                model.train()
            if stopping:
                history[-1][VALIDATION] = stopping.validate(model, epoch)
                if stopping.over(epoch):
                    break
    if stopping:
        stopping.restore(model)
    return pd.DataFrame(history)


def _announce(config: RunConfig, features: TeacherFeatures, seconds: float) -> None:
    cheaper = any(getattr(config, k) != v for k, v in PRESETS["quick"].items())
    advice = "; preset=quick takes minutes" if cheaper and seconds > LONG else ""
    steps = config.epochs * math.ceil(len(features) / config.batch_size)
    say(
        f"Training {config.epochs} epochs ({steps} gradient steps) takes about {duration(seconds)} "
        f"on {features.device} in {config.precision}{advice}."
    )


def _epoch(
    model: ReverseDistillation,
    features: TeacherFeatures,
    order: Tensor,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
    bar: tqdm,
) -> float:
    """Take a step per batch of images in this order; return the mean loss, or one not finite."""
    total = 0.0
    for indices in order.split(config.batch_size):
        loss = _step(model, features[indices], optimiser, config)
        if not math.isfinite(loss):
            return loss
        total += loss * len(indices)
        bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        bar.update(len(indices))
    return total / len(features)


def _adam(model: ReverseDistillation, config: RunConfig) -> torch.optim.Adam:
    betas = (config.beta1, config.beta2)
    # The fused kernel takes a sixth off a step on a CPU.
    return torch.optim.Adam(model.trainable().parameters(), lr=config.lr, betas=betas, fused=True)


def _step(
    model: ReverseDistillation,
    f_e: list[Tensor],
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
) -> float:
    """Take one step of gradient descent; return the batch's loss."""
    with autocast(config, f_e[0].device):
        f_d = model.restore(f_e)
    loss = training_loss(f_e, f_d, config)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()


def _check_last_batch(n: int, config: RunConfig, code_cells: int) -> None:
    """Refuse a batch that batch norm cannot train on: one image whose code phi is one cell."""
    last = n % config.batch_size or config.batch_size
    if last == 1 and code_cells == 1:
        raise ValueError(
            f"batch_size={config.batch_size} leaves a last batch of one image, whose code is one "
            f"cell at image_size={config.image_size}, and batch norm needs more; "
            "use another batch_size"
        )


def _estimate(model: ReverseDistillation, features: TeacherFeatures, config: RunConfig) -> float:
    """Return the seconds that training will take, from a few steps on a throw-away copy."""
    trial = copy.deepcopy(model)
    optimiser = _adam(trial, config)
    indices = torch.arange(min(config.batch_size, len(features)))
    times, statistics = [], copy.deepcopy(model.teacher.state_dict())
    for _ in range(WARM_UP_STEPS + TIMED_STEPS):
        started = time.perf_counter()
        _step(trial, features[indices], optimiser, config)
        times.append(time.perf_counter() - started)
    model.teacher.load_state_dict(statistics)  # trials move no batch norm
    return config.epochs * math.ceil(len(features) / config.batch_size) * min(times[WARM_UP_STEPS:])


def duration(seconds: float) -> str:
    """Return a length of time in the unit that people would use."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < LONG else f"{seconds / 3600:.1f} h"


@dataclass(frozen=True)
class Trained:
    """A trained model, and what a row says of its training."""

    model: ReverseDistillation | MemoryDetector | MKD
    history: pd.DataFrame  # empty where nothing is trained
    environment: dict[str, Any]  # code, libraries and machine that trained it
    images: int
    data_hash: str  # of the training data
    reused: bool  # whether the student was kept by an earlier run
    seconds: float  # of the epochs, or of filling a memory bank


def train(
    run: Run,
    data: ImageData,
    look: Callable[[ReverseDistillation], dict[str, float]] | None = None,
) -> Trained:
    """Train the run's model, or find its student where an earlier run has kept it.

    `look` is given the model every `eval_every` epochs, and its answer goes into the history: such
    a curve needs training, whatever is kept. PermissionError where no result can be written.
    PaDiM and SPADE fill a memory bank, which is not kept: it takes one look at each image.
    """
    if run.config.method in REMEMBERING:
        return _remember(run, data)
    build = build_baseline if run.config.method in BASELINES else build_model
    model = build(run.config, run.weights)
    validation = run.validation()
    data_hash = training_hash(data, validation)
    kept = run.results_dir / "models" / f"{train_key(run.config, data_hash)}.safetensors"
    for folder in (kept.parent, run.rows_dir):
        _check_writable(folder)
    if kept.is_file() and not run.config.eval_every:
        history, trainer = load_student(model, kept)
        model.to(run.device)
        seconds = history["seconds"].sum()
        return Trained(model, history, trainer, len(data), data_hash, True, seconds)
    if isinstance(model, MKD):
        history = _clone(model, data, run)
    else:
        history = fit(model, data, run.config, run.device, look, validation)
    trainer = environment(run.device)
    columns = [*HISTORY, VALIDATION] if validation else HISTORY
    save_student(model, history[columns], trainer, kept)
    seconds = history["seconds"].sum()
    return Trained(model, history, trainer, len(data), data_hash, False, seconds)


def training_hash(data: ImageData, validation: ImageData | None) -> str:
    """Return the SHA-256 of all images that decide a student: training and, if any, validation."""
    if validation is None:
        return data.fingerprint()
    both = f"{data.fingerprint()} {validation.fingerprint()}"
    return hashlib.sha256(both.encode()).hexdigest()


def _remember(run: Run, data: ImageData) -> Trained:
    """Fill the memory bank of a baseline with the training images."""
    config, device = run.config, run.device
    _check_writable(run.rows_dir)
    detector = build_baseline(config, run.weights).to(device, memory_format=torch.channels_last)
    images = stack_images(data)
    started = time.perf_counter()
    with memory_errors_explained(config, device), full_precision_kernels(), torch.no_grad():
        batches = progress(images.split(config.batch_size), "remembering", leave=False)
        detector.fit(batch.to(device).float() / 255 for batch in batches)
    seconds, nothing = time.perf_counter() - started, pd.DataFrame(columns=HISTORY, dtype=float)
    trainer = environment(device)
    return Trained(detector, nothing, trainer, len(data), data.fingerprint(), False, seconds)


def _clone(model: MKD, data: ImageData, run: Run) -> pd.DataFrame:
    """Train MKD's cloner on the training images; return its history."""
    config, device = run.config, run.device
    model.to(device, memory_format=layout(config))
    batches = stack_images(data).split(config.batch_size)
    with memory_errors_explained(config, device), full_precision_kernels():
        return model.fit(batch.float() / 255 for batch in batches)


def _check_writable(folder: Path) -> None:
    """Raise PermissionError before hours of training, not after, where nothing can be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PermissionError(
            f"nothing can be written to {folder} ({error.strerror}); give another folder as "
            "results_dir or in RDREPRO_RESULTS"
        ) from None


def save_student(
    model: ReverseDistillation | MKD, history: pd.DataFrame, trainer: dict[str, Any], path: Path
) -> None:
    """Keep what training changed, history and what trained them; written aside and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    state = {k: v.contiguous().cpu() for k, v in model.kept().state_dict().items()}
    told = {"history": history.to_json(orient="records"), "trained": json.dumps(trainer)}
    save_file(state, aside, metadata=told)
    aside.replace(path)


def load_student(
    model: ReverseDistillation | MKD, path: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Load what training changed; return its history and what trained it.

    ValueError if the file does not fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
            history, trainer = (json.loads(file.metadata()[k]) for k in ("history", "trained"))
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"the kept student {path.name} cannot be read ({error}); delete it to train anew"
        ) from None
    load_strictly(model.kept(), state, path.name)
    return pd.DataFrame(history), trainer

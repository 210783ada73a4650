"""Training by gradient descent on normal images (Sec. 4.1; official main.py)."""

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

from rdrepro.averaging import WeightAverage, is_averaged
from rdrepro.config import RunConfig
from rdrepro.detector import Checkpoint, Detector, Look
from rdrepro.early_stopping import EarlyStopping
from rdrepro.features import TeacherFeatures
from rdrepro.memory import memory_errors_explained
from rdrepro.optimisers import MUON
from rdrepro.precision import convolution_kernels, layout
from rdrepro.presets import PRESETS
from rdrepro.progress import progress, say
from rdrepro.resuming import TrainingState, capture, restore
from rdrepro.schedule import learning_rate, varies
from rdrepro.stepping import Stepper
from rdrepro.text import LONG, duration

if TYPE_CHECKING:  # slow to load, and not needed to build a model
    import pandas as pd

    from rdrepro.data.splits import ImageData

HISTORY = ["epoch", "loss", "seconds"]
VALIDATION = "validation_loss"  # a column of the history with early stopping


def fit(
    model: Detector,
    data: "ImageData",
    config: RunConfig,
    device: torch.device | str = "cpu",
    look: Look | None = None,
    validation: "ImageData | None" = None,
    checkpoint: Checkpoint | None = None,
) -> "pd.DataFrame":
    """Minimise a detector's `batch_loss`; return the history, one row per epoch.

    One seed gives one history and one model, to the bit, on one device (processor or GPU), with one
    number of threads, the same versions of the libraries and the same batches. Free memory makes no
    difference as long as features are kept, in memory or in a file. The history's
    `attrs["features"]` says where they were kept (`TeacherFeatures.source`).

    Its columns are epoch, loss (mean over images) and seconds. `look` is called with the model
    every `eval_every` epochs and after each of the `eval_last` last ones; its metrics go into the
    history and select nothing. With `weight_averaging`, it sees the average so far. validation:
    images for early stopping; needed if the setting `early_stopping` is on. The model then keeps
    the state of the epoch in which their loss was lowest, not of the last epoch. checkpoint: holds
    the state of an interrupted training, and receives the state of this one. A resumed training
    ends as it would have without the interruption, to the bit. Raises RuntimeError when the loss is
    not finite and MemoryError when memory runs out.
    """
    device = torch.device(device)
    with memory_errors_explained(config, device), convolution_kernels(config):
        model.to(device, memory_format=layout(config)).train()
        features = TeacherFeatures(model.teacher, data, config, device)
        stopping = None
        if validation is not None:
            held_out = TeacherFeatures(model.teacher, validation, config, device)
            features.note_source(held_out.source)
            stopping = EarlyStopping(held_out, config)
        with model.while_training(len(features), config):
            history = _run_epochs(model, features, config, look, stopping, checkpoint)
    history.attrs["features"] = features.source
    model.fit_seconds = history["seconds"].sum()
    return history


def _run_epochs(
    model: Detector,
    features: TeacherFeatures,
    config: RunConfig,
    look: Look | None,
    stopping: "EarlyStopping | None",
    checkpoint: Checkpoint | None,
) -> "pd.DataFrame":
    import pandas as pd

    step = Stepper(model, features, config)
    if step.why:
        say(f"The GPU trains kernel by kernel, which is slower than graphs: {step.why}.")
    seconds = _estimate(step, config)
    shuffle = torch.Generator().manual_seed(config.seed)
    average = WeightAverage(model.trainable()) if config.weight_averaging else None
    state = TrainingState(model, step.optimiser, shuffle, stopping, average=average)
    saved = checkpoint.load() if checkpoint else None
    if saved:
        try:
            restore(state, saved)
        except ValueError as error:
            say(f"The checkpoint does not fit, since {error}; training starts anew.")
        else:
            features.note_source(saved[1].get("features"))  # from before the interruption
    trained = len(state.history) * len(features) + state.done
    images = config.epochs * len(features)
    seconds *= 1 - trained / images
    _announce(config, features, seconds, len(state.history) + 1 if trained else None)
    options = {"total": images, "initial": trained, "unit": " images"}
    with progress(None, "training", seconds, **options) as bar:
        while not _over(state, config):
            _epoch(state, step, config, bar, checkpoint)
            epoch = _finish_epoch(state, len(features))
            if look and is_looked_at(epoch, config):
                _note_look(state, look)
            if stopping:
                state.history[-1][VALIDATION] = stopping.validate(model, epoch)
    if stopping:
        stopping.restore(model)
    if average:
        average.apply()
    return pd.DataFrame(state.history)


def has_curve(config: RunConfig) -> bool:
    """Whether the test set is looked at during training."""
    return config.eval_every > 0 or config.eval_last > 0


def is_looked_at(epoch: int, config: RunConfig) -> bool:
    """Whether the test set is looked at after this epoch, which selects nothing."""
    regular = config.eval_every and epoch % config.eval_every == 0
    return bool(regular or epoch > config.epochs - config.eval_last)


def _note_look(state: TrainingState, look: Look) -> None:
    """Add the metrics of the model, with averaged weights if there are any, to the history."""
    with state.average.applied() if state.average else nullcontext():
        state.history[-1] |= look(state.model)
    state.model.train()


def _over(state: TrainingState, config: RunConfig) -> bool:
    """Whether all epochs are done, or early stopping has ended them."""
    epoch = len(state.history)
    return epoch == config.epochs or (state.stopping is not None and state.stopping.over(epoch))


def _epoch(
    state: TrainingState,
    step: Stepper,
    config: RunConfig,
    bar: tqdm,
    checkpoint: Checkpoint | None,
) -> None:
    """Train for one epoch, or for what is left of it, with one step per batch.

    The losses are summed on the device, so that it never waits for the host within an epoch, but
    for a checkpoint. Raises RuntimeError where the loss is not finite.
    """
    features, last = step.features, state.history[-1:]
    if not state.done:
        state.order = torch.randperm(len(features), generator=state.shuffle)
    reached = "".join(f", loss {entry['loss']:.4f}" for entry in last)
    said = f"epoch {len(state.history) + 1} of {config.epochs}{reached}"
    bar.set_postfix_str(said, refresh=False)  # shown when the bar is due, not at every epoch
    started = time.perf_counter()
    order = state.order.to(features.place)
    total = torch.float32 if features.device.type == "mps" else torch.float64  # it has no float64
    while state.done < len(order):
        indices = order[state.done : state.done + config.batch_size]
        loss = _take_step(state, step, config, indices)
        state.loss = state.loss + loss.to(total) * len(indices)
        state.done += len(indices)
        bar.update(len(indices))
        if checkpoint and checkpoint.due():
            state.loss = float(state.loss)  # waits for the device, which counts as training
            state.seconds += time.perf_counter() - started
            _check_finite(state, config)
            tensors, facts = capture(state)
            checkpoint.save(tensors, facts | {"features": features.source})
            started = time.perf_counter()
    state.loss = float(state.loss)
    state.seconds += time.perf_counter() - started
    _check_finite(state, config)


def _take_step(state: TrainingState, step: Stepper, config: RunConfig, indices: Tensor) -> Tensor:
    """Take one step at its learning rate, and average the weights after it; return its loss."""
    each = _steps_per_epoch(len(step.features), config)
    number = len(state.history) * each + state.done // config.batch_size  # from 0
    steps = config.epochs * each
    if varies(config):
        step.set_learning_rate(learning_rate(number, steps, config))
    loss = step(indices)
    if state.average and is_averaged(number, steps, config.weight_averaging):
        state.average.update()
    return loss


def _steps_per_epoch(images: int, config: RunConfig) -> int:
    return math.ceil(images / config.batch_size)


def _check_finite(state: TrainingState, config: RunConfig) -> None:
    """Raise RuntimeError where a loss of this epoch was not finite."""
    if not math.isfinite(state.loss):
        rate = "muon_lr" if config.optimiser == MUON else "lr"
        raise RuntimeError(
            f"the loss is {state.loss} in epoch {len(state.history) + 1}; lower {rate} (now "
            f"{getattr(config, rate)}) or use precision=float32 (now {config.precision})"
        )


def _finish_epoch(state: TrainingState, images: int) -> int:
    """Add a finished epoch to the history; return its number."""
    epoch, loss = len(state.history) + 1, state.loss / images
    state.history.append({"epoch": epoch, "loss": loss, "seconds": state.seconds})
    state.done, state.loss, state.seconds = 0, 0.0, 0.0
    return epoch


def _announce(
    config: RunConfig, features: TeacherFeatures, seconds: float, first: int | None
) -> None:
    """Say how long training will take. first: the epoch in which it resumes, if any."""
    cheaper = any(getattr(config, k) != v for k, v in PRESETS["quick"].items())
    advice = "; preset=quick takes minutes" if cheaper and seconds > LONG else ""
    steps = config.epochs * _steps_per_epoch(len(features), config)
    resumed = f", resumed in epoch {first}," if first else ""
    say(
        f"Training {config.epochs} epochs ({steps} gradient steps){resumed} takes about "
        f"{duration(seconds)} on {features.device} in {config.precision}{advice}."
    )


def _estimate(step: Stepper, config: RunConfig) -> float:
    """Estimate the seconds that training will take, from a few steps that are undone."""
    images = len(step.features)
    batch = torch.arange(min(config.batch_size, images), device=step.features.place)
    return config.epochs * _steps_per_epoch(images, config) * step.rehearse(batch)

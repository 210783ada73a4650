"""Training by gradient descent on normal images (Sec. 4.1; official main.py)."""

import copy
import math
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

from rdrepro.config import RunConfig
from rdrepro.detector import Detector, Look
from rdrepro.features import TeacherFeatures
from rdrepro.memory import memory_errors_explained
from rdrepro.precision import full_precision_kernels, layout
from rdrepro.presets import PRESETS
from rdrepro.progress import progress, say
from rdrepro.text import LONG, duration

if TYPE_CHECKING:  # slow to load, and not needed to build a model
    import pandas as pd

    from rdrepro.data.splits import ImageData

HISTORY = ["epoch", "loss", "seconds"]
VALIDATION = "validation_loss"  # a column of the history with early stopping
WARM_UP_STEPS, TIMED_STEPS = 2, 2


def fit(
    model: Detector,
    data: "ImageData",
    config: RunConfig,
    device: torch.device | str = "cpu",
    look: Look | None = None,
    validation: "ImageData | None" = None,
) -> "pd.DataFrame":
    """Minimise a detector's `batch_loss`; return the history, one row per epoch.

    Its columns are epoch, loss (mean over images) and seconds. `look` is called with the model
    every `eval_every` epochs; its metrics go into the history and select nothing. validation:
    images for early stopping; needed if the setting `early_stopping` is on. The model then keeps
    the state of the epoch in which their loss was lowest, not of the last epoch. Raises
    RuntimeError when the loss is not finite and MemoryError when memory runs out.
    """
    device = torch.device(device)
    with memory_errors_explained(config, device), full_precision_kernels():
        model.to(device, memory_format=layout(config)).train()
        features = TeacherFeatures(model.teacher, data, config, device)
        stopping = None
        if validation is not None:
            held_out = TeacherFeatures(model.teacher, validation, config, device)
            stopping = EarlyStopping(held_out, config)
        with model.while_training(len(features), config):
            history = _run_epochs(model, features, config, look, stopping)
    model.fit_seconds = history["seconds"].sum()
    return history


def _run_epochs(
    model: Detector,
    features: TeacherFeatures,
    config: RunConfig,
    look: Look | None,
    stopping: "EarlyStopping | None",
) -> "pd.DataFrame":
    import pandas as pd

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


def _epoch(
    model: Detector,
    features: TeacherFeatures,
    order: Tensor,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
    bar: tqdm,
) -> float:
    """Train for one epoch, with images in this order; return the mean loss.

    There is one step per batch. A loss that is not finite is returned at once.
    """
    total = 0.0
    for indices in order.split(config.batch_size):
        loss = _step(model, features, indices, optimiser, config)
        if not math.isfinite(loss):
            return loss
        total += loss * len(indices)
        bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        bar.update(len(indices))
    return total / len(features)


def _step(
    model: Detector,
    features: TeacherFeatures,
    indices: Tensor,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
) -> float:
    """Take one step of gradient descent; return the batch's loss."""
    loss = model.batch_loss(features, indices, config)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()


def _adam(model: Detector, config: RunConfig) -> torch.optim.Adam:
    betas = (config.beta1, config.beta2)
    # The fused kernel saves a sixth of a step's time on a CPU.
    return torch.optim.Adam(model.trainable().parameters(), lr=config.lr, betas=betas, fused=True)


class EarlyStopping:
    """Stops training once the validation loss has not fallen for `patience` epochs (E9, O19)."""

    def __init__(self, features: TeacherFeatures, config: RunConfig):
        self.features, self.config = features, config
        self.best, self.epoch, self.state = math.inf, 0, {}

    def validate(self, model: Detector, epoch: int) -> float:
        """With the model in eval mode, compute the mean loss of the held-out images.

        The state of the model is kept if this is the lowest loss so far.
        """
        model.eval()
        total = 0.0
        with torch.no_grad():
            for indices in torch.arange(len(self.features)).split(self.config.batch_size):
                loss = model.batch_loss(self.features, indices, self.config)
                total += loss.item() * len(indices)
        model.train()
        loss = total / len(self.features)
        if loss < self.best:
            self.best, self.epoch = loss, epoch
            self.state = copy.deepcopy(model.kept().state_dict())
        return loss

    def over(self, epoch: int) -> bool:
        """Whether the loss has not fallen for `patience` epochs."""
        return epoch - self.epoch >= self.config.patience

    def restore(self, model: Detector) -> None:
        """Load the state of the epoch with the lowest validation loss into the model."""
        if self.state:
            model.kept().load_state_dict(self.state)


def _announce(config: RunConfig, features: TeacherFeatures, seconds: float) -> None:
    cheaper = any(getattr(config, k) != v for k, v in PRESETS["quick"].items())
    advice = "; preset=quick takes minutes" if cheaper and seconds > LONG else ""
    steps = config.epochs * math.ceil(len(features) / config.batch_size)
    say(
        f"Training {config.epochs} epochs ({steps} gradient steps) takes about {duration(seconds)} "
        f"on {features.device} in {config.precision}{advice}."
    )


def _estimate(model: Detector, features: TeacherFeatures, config: RunConfig) -> float:
    """Estimate the seconds that training will take, from a few steps on a throw-away copy."""
    trial = copy.deepcopy(model)
    optimiser = _adam(trial, config)
    indices = torch.arange(min(config.batch_size, len(features)))
    times, statistics = [], copy.deepcopy(model.teacher.state_dict())
    for _ in range(WARM_UP_STEPS + TIMED_STEPS):
        started = time.perf_counter()
        _step(trial, features, indices, optimiser, config)
        times.append(time.perf_counter() - started)
    model.teacher.load_state_dict(statistics)  # undo what trial steps did to batch norms
    return config.epochs * math.ceil(len(features) / config.batch_size) * min(times[WARM_UP_STEPS:])

"""Floating-point operations of a training step and of a test, counted by torch, not estimated."""

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from rdrepro.config import RunConfig
from rdrepro.distillation import DistillationDetector, training_loss

BATCH = 2  # images that are counted together: batch norm refuses a single one of small size


def step_gflop(model: DistillationDetector, config: RunConfig) -> float:
    """GFLOP per image of a training step whose teacher's features are kept.

    Convolutions and matrix products count, forward and backward, with two operations per
    multiplication. Nothing is computed, since tensors on the device "meta" have only a shape.
    """
    model, images = _shapes(model, config)
    f_e = model.train().teacher(images)
    with FlopCounterMode(display=False) as counter:
        training_loss(f_e, model.restore(f_e), config).backward()
    return counter.get_total_flops() / BATCH / 1e9


def testing_gflop(model: DistillationDetector, config: RunConfig) -> float:
    """GFLOP per image of testing: teacher, bottleneck and student, without the map."""
    model, images = _shapes(model, config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(images)
    return counter.get_total_flops() / BATCH / 1e9


def _shapes(
    model: DistillationDetector, config: RunConfig
) -> tuple[DistillationDetector, torch.Tensor]:
    images = torch.empty(BATCH, 3, config.image_size, config.image_size, device="meta")
    return copy.deepcopy(model).to("meta"), images

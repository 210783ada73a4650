"""What the paper compares with (Table 3): detectors that keep features of normal images."""

import torch

from rdrepro.baselines.memory import MemoryDetector
from rdrepro.baselines.padim import PaDiM
from rdrepro.baselines.spade import SPADE
from rdrepro.config import RunConfig
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.weights import Weights

__all__ = ["SPADE", "MemoryDetector", "PaDiM", "build_baseline"]


def build_baseline(config: RunConfig, weights: Weights) -> MemoryDetector:
    """Build the detector that `method` names, its bank empty; the seed decides random weights."""
    torch.manual_seed(config.seed)
    teacher = Teacher(config.backbone, weights, normalise=config.normalise, stem=config.stem)
    if config.method == "padim":
        return PaDiM(teacher, config)
    fourth = FourthStage(config.backbone, weights) if config.pooled_layer == 4 else None
    return SPADE(teacher, config, fourth)

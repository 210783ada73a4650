"""What the papers compare with: PaDiM and SPADE (Table 3), MKD (the extension's Tables 1-3)."""

import torch

from rdrepro.baselines.memory import MemoryDetector
from rdrepro.baselines.mkd import MKD, VGG16, build_cloner
from rdrepro.baselines.padim import PaDiM
from rdrepro.baselines.spade import SPADE
from rdrepro.config import RunConfig
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.weights import Weights

__all__ = ["MKD", "SPADE", "MemoryDetector", "PaDiM", "build_baseline"]


def build_baseline(config: RunConfig, weights: Weights) -> MemoryDetector | MKD:
    """Build the detector that `method` names, not yet fitted; the seed decides random weights."""
    torch.manual_seed(config.seed)
    if config.method == "mkd":
        return MKD(VGG16(weights, config.normalise), build_cloner(), config)
    teacher = Teacher(config.backbone, weights, normalise=config.normalise, stem=config.stem)
    if config.method == "padim":
        return PaDiM(teacher, config)
    fourth = FourthStage(config.backbone, weights) if config.pooled_layer == 4 else None
    return SPADE(teacher, config, fourth)

"""The methods by name: the only module that knows all detectors."""

from collections.abc import Callable

import torch

from rdrepro.baselines.mkd import MKD
from rdrepro.baselines.padim import PaDiM
from rdrepro.baselines.spade import SPADE
from rdrepro.config import METHODS, OURS, RunConfig
from rdrepro.detector import Detector
from rdrepro.distillation import DistillationDetector
from rdrepro.models.weights import Weights

DETECTORS: dict[str, type[Detector]] = {
    OURS: DistillationDetector,
    "padim": PaDiM,
    "spade": SPADE,
    "mkd": MKD,
}


def register(name: str) -> Callable[[type[Detector]], type[Detector]]:
    """Class decorator that makes a detector available as `method=name`."""

    def add(kind: type[Detector]) -> type[Detector]:
        if not name or name in DETECTORS:
            raise ValueError(f"method={name!r} is taken or empty; give the detector another name")
        if not issubclass(kind, Detector):
            raise TypeError(f"{kind.__name__} is not a Detector; derive it from rdrepro.Detector")
        DETECTORS[name] = kind
        if name not in METHODS:
            METHODS.append(name)
        return kind

    return add


def build_model(config: RunConfig, weights: Weights) -> Detector:
    """Build the detector of a configuration, not yet fitted. `seed` decides random weights."""
    torch.manual_seed(config.seed)
    return DETECTORS[config.method].build(config, weights)

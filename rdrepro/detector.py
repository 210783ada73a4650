"""What every method offers, so that nothing else has to ask which one it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.models.weights import Weights

if TYPE_CHECKING:  # slow to load, and only named here
    import pandas as pd

    from rdrepro.data.splits import ImageData
    from rdrepro.features import TeacherFeatures

# How many pixels are tested at once, whatever the training batch: sixteen images of 256 pixels.
BATCH_PIXELS = 16 * 256**2
Look = Callable[["Detector"], dict[str, float]]


class Detector(nn.Module, ABC):
    """A method that learns from normal images and then scores others.

    A subclass builds itself from a configuration, fits, and says by which stages an image becomes a
    map and a score. The rest has defaults, which suit a method that keeps nothing and trains
    nothing by gradients.
    """

    fit_seconds = 0.0  # of the epochs, or of filling a memory bank; without decoding images

    @classmethod
    @abstractmethod
    def build(cls, config: RunConfig, weights: Weights) -> "Detector":
        """The detector of a configuration, not yet fitted. The caller has set the seed."""

    @classmethod
    def settle(cls, config: RunConfig, weights: Weights, chosen: Mapping[str, Any]) -> RunConfig:
        """The configuration, adapted to what the weights have.

        chosen: the settings that somebody named. ValueError where the weights do not allow them.
        """
        return config

    @abstractmethod
    def fit(
        self,
        data: "ImageData",
        config: RunConfig,
        device: torch.device | str = "cpu",
        look: Look | None = None,
        validation: "ImageData | None" = None,
    ) -> "pd.DataFrame":
        """Learn from normal images and set `fit_seconds`.

        Returns the history, one row per epoch with columns epoch, loss and seconds; empty where
        nothing is trained. look, validation: see `training.fit`; ignored where there are no epochs.
        """

    @abstractmethod
    def stages(self, config: RunConfig, size: Sequence[int]) -> dict[str, Callable]:
        """The steps from images (B, 3, H, W) in [0, 1] to maps (B, H, W) and scores (B,).

        Each step takes what the one before returns; their names are those of a row's cost. Maps and
        scores are higher where more anomalous. size: (H, W) of the maps.
        """

    def trainable(self) -> nn.ModuleDict:
        """What training changes by gradients."""
        return nn.ModuleDict()

    def kept(self) -> nn.ModuleDict | None:
        """What is kept of training for later runs; None where fitting again is as good."""
        return None

    def batch_loss(self, features: "TeacherFeatures", indices: Tensor, config: RunConfig) -> Tensor:
        """The loss of a batch, a scalar to minimise, for methods that `training.fit` trains."""
        raise NotImplementedError(f"{type(self).__name__} is not trained by gradients")

    def while_training(self, images: int, config: RunConfig) -> AbstractContextManager:
        """The context that surrounds the epochs. ValueError where so many images cannot train."""
        return nullcontext()

    def test_batch(self, config: RunConfig) -> int:
        """How many images are tested at once; no result depends on it."""
        return max(config.batch_size, BATCH_PIXELS // config.image_size**2)

    def trained_parameters(self) -> int:
        """How many parameters training changes."""
        return sum(p.numel() for p in self.trainable().parameters())

    def sizes(self, config: RunConfig) -> dict[str, int]:
        """Bytes of what a row's cost names: at least trained weights and all weights."""
        return {
            "trained": 4 * self.trained_parameters(),
            "weights": sum(p.nbytes for p in self.parameters()),
        }

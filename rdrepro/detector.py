"""The interface that every method implements. Other code uses methods only through it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.models.weights import Weights

if TYPE_CHECKING:  # slow to load, and only named here
    import pandas as pd

    from rdrepro.data.splits import ImageData
    from rdrepro.features import TeacherFeatures

# Pixels tested at once, whatever the training batch: sixteen images of 256 x 256.
BATCH_PIXELS = 16 * 256**2
Look = Callable[["Detector"], dict[str, float]]
Saved = tuple[dict[str, Tensor], dict[str, Any]]  # tensors by name, and values that JSON can hold


class Checkpoint(Protocol):
    """Where the state of a training is kept, so that it can continue after an interruption."""

    def load(self) -> Saved | None:
        """The state that was saved last; None where there is none."""

    def due(self) -> bool:
        """Whether it is time to save the state again."""

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Save a state in place of the one before."""


class Detector(nn.Module, ABC):
    """A method that learns from normal images and then scores test images.

    A subclass must define `build`, `fit` and `stages`. The defaults of all other methods suit a
    detector that is not trained by gradients and saves nothing for later runs.
    """

    fit_seconds = 0.0  # the time of the epochs or of filling a memory bank, without decoding images

    @classmethod
    @abstractmethod
    def build(cls, config: RunConfig, weights: Weights) -> "Detector":
        """Build the detector of a configuration, not yet fitted. The caller sets the seed."""

    @classmethod
    def settle(cls, config: RunConfig, weights: Weights, chosen: Mapping[str, Any]) -> RunConfig:
        """The configuration, adapted to the weights that were found.

        chosen: the settings that the user gave. Raises ValueError where the weights do not allow
        them.
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
        checkpoint: Checkpoint | None = None,
    ) -> "pd.DataFrame":
        """Learn from normal images and set `fit_seconds`; return the history.

        The history has one row per epoch with the columns epoch, loss and seconds. It is empty
        where nothing is trained by gradients. look, validation and checkpoint have the meaning that
        they have in `training.fit`. A method without the settings `eval_every` and `early_stopping`
        ignores look and validation. Only a method that has `kept()` receives a checkpoint.
        """

    @abstractmethod
    def stages(self, config: RunConfig, size: Sequence[int]) -> dict[str, Callable]:
        """The steps from images (B, 3, H, W) in [0, 1] to maps (B, H, W) and scores (B,).

        Each step takes what the previous one returns. A row's cost lists the steps under these
        names. Maps and scores are higher where more anomalous. size: (H, W) of the maps.
        """

    def trainable(self) -> nn.ModuleDict:
        """The modules that training changes by gradients; none by default."""
        return nn.ModuleDict()

    def kept(self) -> nn.ModuleDict | None:
        """The modules whose state is saved for later runs; None where nothing is saved."""
        return None

    def batch_loss(self, features: "TeacherFeatures", indices: Tensor, config: RunConfig) -> Tensor:
        """The loss of a batch of images, a scalar to minimise.

        indices: which images of `features` form the batch. A method that `training.fit` trains must
        define this function, `trainable()` and `self.teacher`, the frozen network whose features
        are kept. With early stopping it must also define `kept()`. NotImplementedError for any
        other method.
        """
        raise NotImplementedError(f"{type(self).__name__} is not trained by gradients")

    def while_training(self, images: int, config: RunConfig) -> AbstractContextManager:
        """The context in which the epochs run.

        images: how many there are to train on. Raises ValueError where training is impossible with
        that number.
        """
        return nullcontext()

    def test_batch(self, config: RunConfig) -> int:
        """How many images are tested at once; no result depends on it."""
        return max(config.batch_size, BATCH_PIXELS // config.image_size**2)

    def trained_parameters(self) -> int:
        """The number of parameters that training changes."""
        return sum(p.numel() for p in self.trainable().parameters())

    def sizes(self, config: RunConfig) -> dict[str, int]:
        """The sizes in bytes that a row's cost lists, by name.

        At least "trained", the weights that training changes, and "weights", all weights.
        """
        return {
            "trained": 4 * self.trained_parameters(),
            "weights": sum(p.nbytes for p in self.parameters()),
        }

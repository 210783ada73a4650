"""Early stopping by the loss of held-out normal images (extension, Sec. 4.3; E9, O19)."""

import copy
import math

import torch

from rdrepro.config import RunConfig
from rdrepro.detector import Detector
from rdrepro.features import TeacherFeatures


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

"""Early stopping: the student of the lowest validation loss, measured on images held out."""

import pytest
import torch

import rdrepro as rd
from rdrepro import distillation
from rdrepro.kernels import reached
from rdrepro.models.weights import Weights
from rdrepro.study.medical import best_epoch
from rdrepro.training import VALIDATION, fit


def config(**changes):
    settings = {"dataset": "scans", "category": "normal", "split": "kfold", "fold": 0}
    settings |= {"backbone": "efficientnet_lite0", "weights": "random", "oce_width": 64}
    settings |= {"early_stopping": "train", "patience": 2, "validation_fraction": 0.25}
    return rd.RunConfig(**settings | {"loss_reduction": "pointwise"} | changes)


def items(count, size, seed):
    """So many random images, as a data set's items."""
    generator = torch.Generator().manual_seed(seed)
    return [{"image": torch.rand(3, size, size, generator=generator)} for _ in range(count)]


@pytest.mark.parametrize("image_size", [32, 96])  # 32: the OCE trains by the cells it reaches
def test_early_stopping_keeps_the_epoch_of_the_lowest_validation_loss(image_size, monkeypatch):
    chosen = config(image_size=image_size, seed=3, epochs=50)
    losses = iter([3.0, 1.0, 2.0, 1.5, 0.5])
    seen, loss_of, trained = [], distillation.training_loss, []

    def validation_loss(f_e, f_d, config):
        """The real training loss, and while validating the next of the losses above."""
        trained.append(model.student.training)
        if torch.is_grad_enabled():
            return loss_of(f_e, f_d, config)
        seen.append({k: v.clone() for k, v in model.kept().state_dict().items()})
        return torch.tensor(next(losses))

    monkeypatch.setattr(distillation, "training_loss", validation_loss)
    model = rd.build_model(chosen, Weights("random"))
    held = items(3, image_size, seed=1)  # no more than a batch: a validation is one call
    history = fit(model, items(6, image_size, seed=0), chosen, "cpu", None, held)
    assert list(history[VALIDATION]) == [3.0, 1.0, 2.0, 1.5]  # patience 2 after epoch 2
    assert trained.count(False) == len(history) and not trained[-1]  # validated in eval mode alone
    for name, value in model.kept().state_dict().items():
        cells = seen[1][name]
        if value.shape != cells.shape:
            conv = model.get_submodule(name.removesuffix(".weight"))
            value = reached(conv)
        assert torch.equal(value, cells)
    assert best_epoch(history.to_dict("list")) == 2


def test_the_validation_loss_is_the_loss_of_the_images_held_out():
    chosen = config(image_size=32, epochs=1, batch_size=4)
    model, held = rd.build_model(chosen, Weights("random")), items(7, 32, seed=1)
    history = fit(model, items(6, 32, seed=0), chosen, "cpu", None, held)
    images = torch.stack([item["image"] for item in held])
    with torch.no_grad():
        f_e, f_d = model.eval()((images * 255).round() / 255)
    expected = rd.kd_loss(f_e, f_d, "pointwise").item()
    assert history[VALIDATION].item() == pytest.approx(expected, rel=1e-4)

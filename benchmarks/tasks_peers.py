"""What anomalib 2.7 does in the benchmark, in an environment of its own: `make bench-peers`.

Nothing of rdrepro is imported here. Whatever can, favours the peer: its networks, losses and
optimisers run without Lightning, images arrive normalised, and its bottleneck for WideResNet-50-2
has half the width of the official one. Its weights are random, since pre-trained ones would be
downloaded; no time depends on them.
"""

import torch
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
from anomalib.models.image.reverse_distillation.loss import ReverseDistillationLoss
from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel
from torch import Tensor, nn

from benchmarks.limits import count_gflop
from benchmarks.worker import Task

LAYERS = ("layer1", "layer2", "layer3")
# What anomalib's Lightning module sets (reverse_distillation/lightning_model.py).
LR, BETAS = 0.005, (0.5, 0.99)


def training_step(backbone: str, image_size: int, batch: int) -> Task:
    """A training step of Reverse Distillation, which computes the teacher."""
    model = reverse_distillation(backbone, image_size).train()
    trained = [*model.decoder.parameters(), *model.bottleneck.parameters()]
    optimiser = torch.optim.Adam(trained, lr=LR, betas=BETAS)
    loss_of, images = ReverseDistillationLoss(), random_images(batch, image_size)

    def run() -> None:
        loss = loss_of(*model(images))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # anomalib logs the loss of every step

    return Task(run, lambda: {"gflop": count_gflop(run)})


def inference(backbone: str, image_size: int, batch: int) -> Task:
    """Maps and scores of a batch by Reverse Distillation."""
    return test(reverse_distillation(backbone, image_size), batch, image_size)


def padim_fit(backbone: str, image_size: int, batch: int, images: int) -> Task:
    """PaDiM's memory bank of so many images."""
    model = PadimModel(backbone, list(LAYERS), pre_trained=False)
    batches = random_images(images, image_size).split(batch)
    return Task(lambda: fit_padim(model, batches))


def padim_inference(backbone: str, image_size: int, batch: int, images: int) -> Task:
    """Maps and scores of a batch by PaDiM, with a memory bank of so many images."""
    model = PadimModel(backbone, list(LAYERS), pre_trained=False)
    fit_padim(model, random_images(images, image_size).split(batch))
    return test(model, batch, image_size)


def random_images(images: int, image_size: int) -> Tensor:
    """Images (N, 3, H, W) of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(images, 3, image_size, image_size, generator=generator)


def reverse_distillation(backbone: str, image_size: int) -> ReverseDistillationModel:
    """anomalib's networks, with the sum of layers that its Lightning module chooses for maps."""
    mode, size = AnomalyMapGenerationMode.ADD, (image_size, image_size)
    return ReverseDistillationModel(backbone, size, LAYERS, mode, pre_trained=False)


def fit_padim(model: PadimModel, batches: tuple[Tensor, ...]) -> None:
    """Fill PaDiM's memory bank, which empties itself at the end of a fit."""
    model.train()
    for batch in batches:
        model(batch)
    model.fit()


def test(model: nn.Module, batch: int, image_size: int) -> Task:
    """Maps and scores of a batch by a model."""
    model.eval()
    images = random_images(batch, image_size)

    def run() -> None:
        with torch.inference_mode():
            model(images)

    return Task(run, lambda: {"gflop": count_gflop(run)})

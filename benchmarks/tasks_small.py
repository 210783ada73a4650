"""Training steps on small images, as in Table 4, by matrix products and by plain convolutions."""

from itertools import cycle
from typing import Any

import torch

from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import Method, Ratio
from benchmarks.tasks_networks import (
    BATCH,
    CONTEXTS,
    CPU,
    KEPT_IMAGES,
    OURS,
    configuration,
    precisions,
    random_images,
)
from benchmarks.worker import Task
from rdrepro.features import TeacherFeatures
from rdrepro.methods import build_model
from rdrepro.models.weights import Weights
from rdrepro.stepping import Stepper

BACKBONE = "resnet18"
IMAGE_SIZE = 32  # of the official loader (D10)
PLAIN = "rdrepro, plain convolutions"


def step(image_size: int, precision: str, plain: bool) -> Task:
    """A training step with one thread, as the study of Table 4 has it."""
    torch.set_num_threads(1)
    config = configuration(BACKBONE, image_size, precision)
    model = build_model(config, Weights("random")).train()
    features = TeacherFeatures(model.teacher, random_images(KEPT_IMAGES, image_size), config, CPU)
    if not plain:
        CONTEXTS.enter_context(model.while_training(KEPT_IMAGES, config))
    stepper = Stepper(model, features, config)
    batches = cycle(torch.arange(KEPT_IMAGES).split(BATCH))

    def run() -> None:
        stepper(next(batches)).item()

    return Task(run)


def method(name: str, precision: str) -> Method:
    """One way of taking a step, with what its lines say."""
    given: dict[str, Any] = {"image_size": IMAGE_SIZE, "precision": precision}
    says = given | {"method": name, "backbone": BACKBONE, "features": "kept", "batch": BATCH}
    return Method("benchmarks.tasks_small:step", given | {"plain": name == PLAIN}, says)


def measure(session: Session) -> Findings:
    """Steps in every precision."""
    found = Findings()
    for precision in precisions(session):
        methods = {name: method(name, precision) for name in (PLAIN, OURS)}
        title = f"ResNet-18, {IMAGE_SIZE} px, {precision}"
        ratio = Ratio(PLAIN, OURS, f"training step, {title}: plain / matrix products")
        found += session.compare("training step", methods, [ratio], title)
    return found


PARTS = [
    Part(
        "cpu-small",
        "One training step of ResNet-18 on 16 small images, with one thread.",
        2,
        measure,
    )
]

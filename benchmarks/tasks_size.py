"""Cost against size: how the time of rdrepro's tasks grows with images and with pixels.

Each task is timed at three sizes, each four times the one before. A time is a fixed part plus a
part that grows as a power of the size. The fixed part is the same at all sizes, so it vanishes from
differences: the exponent is log4((t3 - t2) / (t2 - t1)).
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.epochs import CPU, epoch, model_in_training
from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import Method, significant
from benchmarks.tasks_networks import BATCH, OURS, precisions, random_images
from benchmarks.worker import Task
from rdrepro.evaluation import score_images
from rdrepro.features import TeacherFeatures
from rdrepro.stepping import Stepper

HERE = "benchmarks.tasks_size"
BACKBONE = "resnet18"
FACTOR = 4  # between sizes; twice as wide an image has four times the pixels
IMAGES, IMAGES_AT = (60, 240, 960), 128  # pixels wide, so that 960 images take seconds
WIDTHS, IMAGES_OF_WIDTH, MAPS_OF_WIDTH = (128, 256, 512), BATCH, 80
SMALL_IMAGES, SMALL_WIDTHS, SMALL_AT = (4, 16, 64), (32, 64, 128), 32
LINEAR = (0.9, 1.1)  # the target of exponents
ROUNDS = 3  # as nothing is compared, fewer are enough
METRICS = "metrics"


def train(backbone: str, image_size: int, images: int, precision: str) -> Task:
    """An epoch of training with features kept."""
    model, config = model_in_training(backbone, image_size, images, precision)
    drawn = random_images(images, image_size)
    stepper = Stepper(model, TeacherFeatures(model.teacher, drawn, config, CPU), config)

    def run() -> None:
        epoch(stepper)

    return Task(run)


def features(backbone: str, image_size: int, images: int, precision: str) -> Task:
    """The teacher's features of all images."""
    model, config = model_in_training(backbone, image_size, images, precision)
    drawn = random_images(images, image_size)

    def run() -> None:
        TeacherFeatures(model.teacher, drawn, config, CPU)

    return Task(run)


def inference(backbone: str, image_size: int, images: int, precision: str) -> Task:
    """Maps and scores of all images, in batches."""
    model, config = model_in_training(backbone, image_size, images, precision)
    model.eval()
    drawn = random_images(images, image_size)

    def run() -> None:
        with torch.inference_mode():
            for batch in drawn.split(BATCH):
                score_images(model, batch.float() / 255, config)

    return Task(run)


TASKS = {"epoch of training": train, "features": features, "inference": inference}


def measure_sizes(session: Session) -> Findings:
    """Every task at three numbers of images, and at three resolutions."""
    images, at, widths = (
        (SMALL_IMAGES, SMALL_AT, SMALL_WIDTHS) if session.small else (IMAGES, IMAGES_AT, WIDTHS)
    )
    found = Findings()
    for task in (*TASKS, METRICS):
        found += grow(session, task, "images", [(at, number) for number in images])
    for task in (*TASKS, METRICS):
        number = MAPS_OF_WIDTH if task == METRICS and not session.small else IMAGES_OF_WIDTH
        found += grow(session, task, "pixels", [(width, number) for width in widths])
    return found


def grow(session: Session, task: str, against: str, sizes: Sequence[tuple[int, int]]) -> Findings:
    """Time a task at these sizes, (image size, number of images), and find the exponent."""
    precision = precisions(session)[0]
    methods = {}
    for image_size, images in sizes:
        options: dict[str, Any] = {"image_size": image_size, "images": images}
        says = options | {"method": OURS, "precision": None}
        function = f"benchmarks.tasks_networks:{METRICS}"
        if task != METRICS:
            options |= {"backbone": BACKBONE, "precision": precision}
            says = options | {"method": OURS, "batch": min(BATCH, images)}
            function = f"{HERE}:{TASKS[task].__name__}"
        methods[f"{image_size} px, {images} images"] = Method(function, options, says)
    rounds = min(session.rounds, ROUNDS)
    found = session.compare(task, methods, about=f"against {against}", rounds=rounds)
    seconds = [line["median"] for line in found.lines if line["unit"] == "s"]
    growth = {"task": task, "against": against} | growth_of(seconds)
    sys.stdout.write(f"{task} against {against}: exponent {growth['exponent']}\n")
    return found + Findings(others={"growth": [growth]})


def growth_of(seconds: Sequence[float]) -> dict[str, Any]:
    """The exponent of the growing part of three times, and that of the whole times.

    The first is None where the times do not grow.
    """
    first, second, third = seconds
    grows = second > first and third > second
    exponent = math.log((third - second) / (second - first), FACTOR) if grows else None
    return {
        "exponent": significant(exponent) if grows else None,
        "of whole times": significant(math.log(third / first, FACTOR**2)),
        "target": list(LINEAR),
        "met": grows and LINEAR[0] <= exponent <= LINEAR[1],
    }


PARTS = [
    Part(
        "cpu-size",
        f"Tasks of rdrepro with ResNet-18 on {IMAGES[0]} to {IMAGES[-1]} images of {IMAGES_AT} px, "
        f"and on images of {WIDTHS[0]} to {WIDTHS[-1]} px.",
        5,
        measure_sizes,
    ),
]

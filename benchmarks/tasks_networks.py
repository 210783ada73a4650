"""Training step, inference and metrics: rdrepro beside the official code and the machine's limits.

Weights, images and maps are random or drawn by formula; no time depends on their values.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmarks import official
from benchmarks.limits import count_gflop
from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import Method, Ratio
from benchmarks.worker import Task
from rdrepro.backbones import IMAGENET_MEAN, IMAGENET_STD
from rdrepro.config import RunConfig
from rdrepro.evaluation import Predictions
from rdrepro.evaluation import evaluate as evaluate_predictions
from rdrepro.features import MEMORY, TeacherFeatures
from rdrepro.methods import build_model
from rdrepro.models.reverse_distillation import residual_design
from rdrepro.models.weights import Weights
from rdrepro.precision import convolution_kernels, layout
from rdrepro.stepping import Stepper

HERE = "benchmarks.tasks_networks"
CONTEXTS = ExitStack()  # of training; they last as long as a worker's process
CPU = torch.device("cpu")
NAMES = {"wide_resnet50_2": "WideResNet-50-2", "resnet18": "ResNet-18"}
IMAGE_SIZE, BATCH = 256, 16
KEPT_IMAGES = 32  # whose features a training step draws from
SMALL = {"backbone": "resnet18", "image_size": 64}
OURS, OFFICIAL, SORT = "rdrepro", "official", "np.argsort"

# The targets of these ratios, and of memory, at 256 px on two idle cores.
STEP_TARGETS = {"wide_resnet50_2": 5.0, "resnet18": 4.5}
METRICS_TARGET = 20.0
MEMORY_TARGET = 900  # MiB beyond the libraries, of inference at batch 1
MEMORY_BACKBONE = "wide_resnet50_2"

# A test set: maps of which a quarter are normal, as a category of MVTec AD has them.
MAPS, NORMAL_MAPS = 80, 20
RADII = (12, 32)  # pixels, of the round defects, one or two an image


def random_images(number: int, image_size: int) -> Tensor:
    """Images as bytes (N, 3, H, W)."""
    generator = torch.Generator().manual_seed(0)
    shape = (number, 3, image_size, image_size)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def normalised(images: Tensor) -> Tensor:
    """Bytes as the official code gives them to its teacher."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (images.float() / 255 - mean) / std


def configuration(backbone: str, image_size: int, precision: str = "float32") -> RunConfig:
    """The paper's protocol with this network, size and precision."""
    return RunConfig(
        backbone=backbone,
        oce_width=residual_design(backbone)[2],
        image_size=image_size,
        precision=precision,
        weights="random",
    )


class ComputedFeatures(TeacherFeatures):
    """The teacher's features, computed anew for every batch."""

    def _keep(self) -> None:
        """Keep nothing."""


def official_step(backbone: str, image_size: int, batch: int) -> Task:
    """A training step of the official code."""
    torch.manual_seed(0)
    networks = official.Networks.random(backbone).train()
    images = normalised(random_images(batch, image_size))

    def run() -> None:
        official.training_step(networks, images)

    return Task(run, lambda: {"gflop": count_gflop(run)})


def step(backbone: str, image_size: int, batch: int, precision: str, kept: bool) -> Task:
    """A training step of rdrepro. kept: whether the teacher's features are kept."""
    config = configuration(backbone, image_size, precision)
    model = build_model(config, Weights("random")).to(memory_format=layout(config)).train()
    images = random_images(KEPT_IMAGES, image_size)
    features = (TeacherFeatures if kept else ComputedFeatures)(model.teacher, images, config, CPU)
    if kept and features.source != MEMORY:
        raise MemoryError(
            f"the features of {KEPT_IMAGES} images do not fit in memory (now: {features.source}); "
            "free some, or raise RDREPRO_CACHE_GB"
        )
    order = torch.randperm(KEPT_IMAGES, generator=torch.Generator().manual_seed(0))
    batches = cycle(order.split(batch))
    CONTEXTS.enter_context(convolution_kernels(config))
    CONTEXTS.enter_context(model.while_training(KEPT_IMAGES, config))
    stepper = Stepper(model, features, config)

    def run() -> None:
        stepper(next(batches)).item()

    return Task(run, lambda: {"gflop": count_gflop(run)})


@contextmanager
def timing(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """The context whose seconds are noted under the name of a stage."""
    started = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - started


def official_inference(backbone: str, image_size: int, batch: int) -> Task:
    """Maps and scores by the official networks; maps are smoothed image by image, as there."""
    torch.manual_seed(0)
    networks = official.Networks.random(backbone).train(False)
    images = normalised(random_images(batch, image_size))

    def run() -> dict[str, float]:
        seconds: dict[str, float] = {}
        with torch.no_grad():
            with timing(seconds, "teacher"):
                f_e = networks.teacher(images)
            with timing(seconds, "student"):
                f_d = networks.student(networks.bottleneck(f_e))
            with timing(seconds, "map"):
                for i in range(batch):
                    each = ([f[i : i + 1] for f in maps] for maps in (f_e, f_d))
                    official.anomaly_map(*each, image_size).max()
        return seconds

    return Task(run, lambda: {"gflop": count_gflop(run)})


def inference(backbone: str, image_size: int, batch: int, precision: str) -> Task:
    """Maps and scores by rdrepro."""
    config = configuration(backbone, image_size, precision)
    model = build_model(config, Weights("random")).to(memory_format=layout(config)).eval()
    images = random_images(batch, image_size).float() / 255
    stages = model.stages(config, images.shape[-2:])

    def run() -> dict[str, float]:
        result, seconds = images, {}
        with convolution_kernels(config), torch.inference_mode():
            for name, stage in stages.items():
                with timing(seconds, name):
                    result = stage(result)
        return seconds

    return Task(run, lambda: {"gflop": count_gflop(run)})


def test_set(image_size: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, H, W), in float64, and masks of round defects; the first quarter is normal."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:image_size, :image_size]
    masks = np.zeros((number, image_size, image_size), bool)
    for mask in masks[number * NORMAL_MAPS // MAPS :]:
        for _ in range(rng.integers(1, 3)):
            radius = rng.integers(*RADII) * image_size / IMAGE_SIZE
            row, column = rng.integers(image_size, size=2)
            mask |= (y - row) ** 2 + (x - column) ** 2 <= radius**2
    smooth = (0, official.SIGMA, official.SIGMA)
    maps = gaussian_filter(rng.random(masks.shape) + 0.1 * masks, smooth)
    return maps, masks


def official_metrics(image_size: int, images: int) -> Task:
    """The three metrics of the official evaluation."""
    maps, masks = test_set(image_size, images)

    def run() -> None:
        found = official.Evaluation()
        for amap, mask in zip(maps, masks, strict=True):
            found.add(amap, mask.astype(np.float32), mask.any())
        found.metrics()

    return Task(run)


def metrics(image_size: int, images: int) -> Task:
    """All metrics of rdrepro."""
    maps, masks = test_set(image_size, images)
    labels = masks.any((1, 2)).astype(int)
    unnamed = [""] * images
    scores = maps.max((1, 2)).astype(np.float32)
    predictions = Predictions(
        maps.astype(np.float32), scores, masks, labels, unnamed, unnamed, "", 0.0
    )

    def run() -> None:
        evaluate_predictions(predictions)

    return Task(run)


def method(
    function: Callable[..., Task], name: str, features: str | None, **options: Any
) -> Method:
    """A method of this module; its options are also what its lines say."""
    says = {"precision": "float32"} | options | {"method": name, "features": features}
    if function is step:
        options["kept"] = features == "kept"
    return Method(f"{HERE}:{function.__name__}", options, says)


def measure_steps(session: Session) -> Findings:
    """Training steps of both networks."""
    found = Findings()
    for backbone in [SMALL["backbone"]] if session.small else NAMES:
        size = {"image_size": SMALL["image_size"] if session.small else IMAGE_SIZE, "batch": BATCH}
        methods = {OFFICIAL: method(official_step, OFFICIAL, "computed", backbone=backbone, **size)}
        for features in ("kept", "computed"):
            for precision in precisions(session):
                given = {"backbone": backbone, "precision": precision} | size
                methods[f"{precision}, features {features}"] = method(step, OURS, features, **given)
        # The machine's default is the first of ours.
        targets = {list(methods)[1]: STEP_TARGETS[backbone]}
        found += compare(session, "training step", NAMES[backbone], methods, targets)
    return found


def measure_inference(session: Session) -> Findings:
    """Inference of both networks at both batch sizes, by stage."""
    found = Findings()
    for backbone in [SMALL["backbone"]] if session.small else NAMES:
        for batch in (1, BATCH):
            given = {
                "backbone": backbone,
                "image_size": SMALL["image_size"] if session.small else IMAGE_SIZE,
                "batch": batch,
            }
            methods = {OFFICIAL: method(official_inference, OFFICIAL, None, **given)}
            for precision in precisions(session):
                methods[precision] = method(inference, OURS, None, precision=precision, **given)
            title = f"{NAMES[backbone]}, batch {batch}"
            part = compare(session, "inference", title, methods, {})
            if batch == 1 and backbone == MEMORY_BACKBONE:
                part.ratios.append(memory_ratio(part, title))
            found += part
    return found


def precisions(session: Session) -> list[str]:
    """The precisions of rdrepro on this machine, its default first."""
    return [*(["bfloat16"] if session.native_bfloat16 else []), "float32"]


def compare(
    session: Session,
    task: str,
    title: str,
    methods: dict[str, Method],
    targets: dict[str, float],
) -> Findings:
    """Let the official code and each of ours take turns; give the ratio of each to it."""
    ratios = [
        Ratio(OFFICIAL, key, f"{task}, {title}: official / rdrepro, {key}", targets.get(key))
        for key in methods
        if key != OFFICIAL
    ]
    return session.compare(task, methods, ratios, title, limits=True)


def memory_ratio(found: Findings, title: str) -> dict[str, Any]:
    """How often the memory of rdrepro's default fits into MEMORY_TARGET, as a ratio."""
    line = next(e for e in found.lines if e["method"] == OURS and e["unit"] == "MiB")
    value = float(f"{MEMORY_TARGET / line['median']:.4g}")
    side = {k: line[k] for k in ("method", "precision", "features")}
    size = {k: line[k] for k in ("backbone", "image_size", "batch", "images")}
    return {
        "name": f"peak memory, {title}: {MEMORY_TARGET} MiB / rdrepro",
        "task": line["task"],
        **size,
        "numerator": {"method": "target", "precision": None, "features": None},
        "denominator": side,
        **{"median": value, "q1": value, "q3": value, "runs": line["runs"]},
        **{"target": 1.0, "met": value >= 1},
    }


def measure_metrics(session: Session) -> Findings:
    """All metrics of a test set, beside the official ones and one sort."""
    size, number = (SMALL["image_size"], 8) if session.small else (IMAGE_SIZE, MAPS)
    given = {"image_size": size, "images": number}
    says = given | {"precision": None}
    methods = {
        OFFICIAL: Method(f"{HERE}:official_metrics", given, says | {"method": OFFICIAL}),
        OURS: Method(f"{HERE}:metrics", given, says | {"method": OURS}),
        "np.argsort": Method(
            "benchmarks.limits:argsort",
            {"pixels": number * size**2},
            says | {"method": "np.argsort"},
        ),
    }
    ratios = [
        Ratio(OFFICIAL, OURS, "metrics: official / rdrepro", METRICS_TARGET),
        Ratio("np.argsort", OURS, "metrics: one np.argsort of all pixels / rdrepro"),
    ]
    return session.compare("metrics", methods, ratios, f"{number} maps")


PARTS = [
    Part(
        "cpu-step",
        "One training step on 16 images of 256 px, with random weights.",
        9,
        measure_steps,
    ),
    Part(
        "cpu-inference",
        "From images in memory to maps and scores; the official networks get batches too, though "
        "the official code tests image by image.",
        4,
        measure_inference,
    ),
    Part(
        "cpu-metrics",
        f"All metrics of {MAPS} maps of 256 px; the official code computes three of them.",
        2,
        measure_metrics,
    ),
]

"""How fast a training step is: as a graph or kernel by kernel, deterministic or not."""

import gc
import os
from itertools import cycle
from typing import Any

from rdrepro.precision import convolution_kernels
from rdrepro.stepping import EAGER, GRAPH, VARIABLE, Stepper

from .flops import step_gflop
from .machine import PRECISIONS, share_of_limit
from .networks import batches, configuration, kept_features, network
from .settings import Settings
from .timing import forget_peak, peak_mib, quartiles

STEPS = 10  # in each of the blocks that are timed
WARM_UP = 6  # a graph is recorded in the first step; cuDNN searches in the first ones


def run(settings: Settings, backbone: str) -> None:
    """Record the speed of a network's training step in every combination of settings.

    bfloat16, the precision of the protocol on a GPU, comes first, in case time runs out. In float32
    a step is bound by arithmetic, so that only graphs are timed. A combination that fails is
    recorded with its error, and the next one follows.
    """
    gflop = step_gflop(network(settings, backbone), configuration(settings, backbone))
    kinds = {"bfloat16": (GRAPH, EAGER), "float32": (GRAPH,)}
    asked_for = [
        (precision, deterministic, kind)
        for precision in PRECISIONS
        for deterministic in (True, False)
        for kind in ((EAGER,) if settings.small else kinds[precision])
    ]
    for precision, deterministic, kind in asked_for:
        asked = {"precision": precision, "deterministic": deterministic, "step": kind}
        line = {"backbone": backbone, **asked}
        try:
            line |= _measure(settings, backbone, precision, deterministic, kind, gflop)
        except RuntimeError as error:  # of CUDA
            line["failed"] = str(error).partition("\n")[0]
        settings.record.add("training steps", line)


def _measure(
    settings: Settings, backbone: str, precision: str, deterministic: bool, kind: str, gflop: float
) -> dict[str, Any]:
    os.environ[VARIABLE] = kind
    gc.collect()  # the last combination's graph
    forget_peak(settings.device)
    model = network(settings, backbone)
    config = configuration(settings, backbone, precision=precision, deterministic=deterministic)
    with convolution_kernels(config):
        features = kept_features(settings, model, config)
        with model.while_training(len(features), config):
            stepper = Stepper(model, features, config)
            order = cycle(batches(features, config))
            small = settings.small
            times = quartiles(
                lambda: stepper(next(order)),
                settings.device,
                calls=1 if small else STEPS,
                warm_up=1 if small else WARM_UP,
            )
    return {
        "ran as": stepper.kind,  # not as asked where no graph could be recorded
        "why": stepper.why or None,
        **speed_line(settings, config.batch_size, times, gflop, precision),
    }


def speed_line(
    settings: Settings, batch: int, times: list[float], gflop: float, precision: str
) -> dict[str, Any]:
    """The measurements of a step as the record holds them. times: quartiles of its seconds."""
    q1, median, q3 = times
    tflops = gflop * batch / median / 1e3
    return {
        "batch": batch,
        "image size": settings.image_size,
        "ms": 1e3 * median,
        "quartiles": [1e3 * q1, 1e3 * q3],
        "images/s": batch / median,
        "GFLOP an image": gflop,
        "TFLOP/s": tflops,
        "share of the matrix product's rate": share_of_limit(settings, tflops, precision),
        "peak MiB": peak_mib(settings.device),
    }

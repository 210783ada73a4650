"""How fast a training step is whose networks and loss torch.compile has compiled."""

import os
import time
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

import rdrepro as rd
from rdrepro.distillation import DistillationDetector, training_loss
from rdrepro.precision import autocast, convolution_kernels
from rdrepro.stepping import GRAPH, VARIABLE, Stepper

from .flops import step_gflop
from .networks import batches, configuration, kept_features, network
from .settings import Settings
from .speed import STEPS, WARM_UP, speed_line
from .timing import forget_peak, quartiles

# Not "reduce-overhead", whose own graphs of the networks ours of the whole step would replace.
MODE = "default"


def run(settings: Settings, backbone: str) -> None:
    """Record the speed of a network's compiled step in bfloat16, and how long compiling takes.

    The compiled step is recorded as a graph, as any other. A failure is recorded with its error.
    """
    line: dict[str, Any] = {"backbone": backbone, "precision": "bfloat16", "mode": MODE}
    try:
        line |= _measure(settings, backbone)
    except Exception as error:  # the compiler's errors have no common class
        line["failed"] = f"{type(error).__name__}: {error}".partition("\n")[0]
    settings.record.add("compiled steps", line)


def _measure(settings: Settings, backbone: str) -> dict[str, Any]:
    os.environ[VARIABLE] = GRAPH
    torch.compiler.reset()
    forget_peak(settings.device)
    model = network(settings, backbone)
    config = configuration(settings, backbone, precision="bfloat16")
    gflop = step_gflop(model, config)
    with convolution_kernels(config):
        features = kept_features(settings, model, config)
        order = batches(features, config)
        expected = float(model.batch_loss(features, order[0], config).detach())
        # An attribute hides the method of the same name, so that the step calls it.
        model.batch_loss = compiled_loss(model, settings.small)
        try:
            stepper = Stepper(model, features, config)
            started = time.perf_counter()
            loss = float(stepper(order[0]))
            first = time.perf_counter() - started
            order = cycle(order)
            times = quartiles(
                lambda: stepper(next(order)),
                settings.device,
                calls=1 if settings.small else STEPS,
                warm_up=1 if settings.small else WARM_UP,
            )
        finally:
            del model.batch_loss
    return {
        "ran as": stepper.kind,
        "why": stepper.why or None,
        "seconds to the first step": first,
        "relative difference of its loss": abs(loss - expected) / expected,
        **speed_line(settings, config.batch_size, times, gflop, config.precision),
    }


def compiled_loss(model: DistillationDetector, small: bool) -> object:
    """`batch_loss` with everything after the look-up of features compiled.

    small: keep the graph that torch.compile traces as it is, which needs no C++ compiler.
    """
    options = {"backend": "eager"} if small else {"mode": MODE}

    @torch.compile(**options)
    def loss_of(f_e: list[Tensor], config: rd.RunConfig) -> Tensor:
        with autocast(config, f_e[0].device):
            f_d = model.restore(f_e)
        return training_loss(f_e, f_d, config)

    return lambda features, indices, config: loss_of(features[indices], config)

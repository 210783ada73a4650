"""Everything that the rest of a training depends on, so that resuming it changes no bit."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rdrepro.averaging import WeightAverage
from rdrepro.detector import Detector, Saved
from rdrepro.early_stopping import EarlyStopping
from rdrepro.optimisers import moments_of

FACTS = ("history", "done", "loss", "seconds")


@dataclass
class TrainingState:
    """The state of a training after a step: everything that the later steps depend on."""

    model: Detector
    optimiser: torch.optim.Optimizer
    shuffle: torch.Generator  # draws the order of each epoch's images
    stopping: EarlyStopping | None = None
    history: list[dict[str, float]] = field(default_factory=list)  # one entry per finished epoch
    order: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))  # (N,)
    done: int = 0  # images of this epoch seen so far
    loss: float | Tensor = 0.0  # summed over these images
    seconds: float = 0.0  # that these images took
    average: WeightAverage | None = None

    def modules(self) -> torch.nn.ModuleDict:
        """The modules that training changes."""
        kept = self.model.kept()
        return self.model.trainable() if kept is None else kept

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return next(self.modules().parameters()).device


def capture(state: TrainingState) -> Saved:
    """The tensors and the plain values of a training's state."""
    tensors = {f"model.{k}": v for k, v in state.modules().state_dict().items()}
    for number, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in moments.items()}
    tensors |= {"shuffle": state.shuffle.get_state(), "random": torch.get_rng_state()}
    tensors |= {"order": state.order}
    facts: dict[str, Any] = {name: getattr(state, name) for name in FACTS}
    facts["loss"] = float(state.loss)
    if state.average:
        facts["averaged"] = state.average.count
        tensors |= {f"average.{n}": t for n, t in enumerate(state.average.mean)}
    if state.stopping:
        facts["best"], facts["best_epoch"] = state.stopping.best, state.stopping.epoch
        tensors |= {f"best.{k}": v for k, v in state.stopping.state.items()}
    return tensors, facts


def restore(state: TrainingState, saved: Saved) -> None:
    """Bring a training to the state that `capture` returned.

    Raises ValueError, and changes nothing, if the state belongs to another training.
    """
    tensors, facts = saved
    _check(state, tensors, facts)
    state.modules().load_state_dict(_part(tensors, "model"))
    _restore_moments(state.optimiser, _part(tensors, "optimiser"))
    state.shuffle.set_state(tensors["shuffle"])
    torch.set_rng_state(tensors["random"])
    state.order = tensors["order"]
    for name in FACTS:
        setattr(state, name, facts[name])
    if state.average:
        state.average.count = facts["averaged"]
        means = _part(tensors, "average")
        for number, mean in enumerate(state.average.mean):
            mean.copy_(means[str(number)])
    if state.stopping:
        state.stopping.best, state.stopping.epoch = facts["best"], facts["best_epoch"]
        best = _part(tensors, "best")
        state.stopping.state = {k: v.to(state.device) for k, v in best.items()}


def _check(state: TrainingState, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Raise ValueError where a saved state lacks something or does not fit the training."""
    if _shapes(_part(tensors, "model")) != _shapes(state.modules().state_dict()):
        raise ValueError("its weights are those of another model")
    parameters = [p for group in state.optimiser.param_groups for p in group["params"]]
    kept = _part(tensors, "optimiser")
    # Parameters of layers that are not trained have none.
    moved = {int(name.partition(".")[0]) for name in kept}
    names = {n: moments_of(p, state.optimiser) for n, p in enumerate(parameters) if n in moved}
    whole = {f"{n}.{m}": parameters[n].shape for n, moments in names.items() for m in moments}
    if not moved or {k: s for k, s in _shapes(kept).items() if not k.endswith(".step")} != whole:
        raise ValueError("its optimiser's moments are incomplete")
    means = {str(n): mean for n, mean in enumerate(state.average.mean)} if state.average else {}
    if _shapes(_part(tensors, "average")) != _shapes(means):
        raise ValueError("its averaged weights are incomplete")
    needed = {*FACTS, *(("best", "best_epoch") if state.stopping else ())}
    needed |= {"averaged"} if state.average else set()
    lacking = sorted((needed - set(facts)) | ({"shuffle", "random", "order"} - set(tensors)))
    if lacking:
        raise ValueError(f"it has no {lacking[0]}")


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _restore_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser its moments, each in the memory layout of its parameter, as Adam does.

    Moments that exist are changed in place, since recorded steps know them by their addresses.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for name, value in tensors.items():
        number, moment = name.split(".")
        parameter = parameters[int(number)]
        state = optimiser.state[parameter]
        if moment not in state:
            like = parameter if value.shape == parameter.shape else value
            state[moment] = torch.empty_like(like, device=parameter.device, requires_grad=False)
        state[moment].copy_(value)

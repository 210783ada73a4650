"""The optimisers: Adam as in the official code, and Muon, which needs fewer steps."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from rdrepro.config import RunConfig
from rdrepro.schedule import varies

ADAM, MUON = "adam", "muon"
# Jordan et al. 2024 (Muon): five steps of a quintic iteration bring singular values to about 1.
ITERATIONS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315
TINY = 1e-7


def build_optimiser(
    modules: nn.Module, config: RunConfig, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of a training, for all parameters of some modules.

    A group of parameters may have a `scale`; its learning rate is the schedule's times this number.
    """
    gpu = device.type == "cuda"
    tensor = gpu and varies(config)  # a recorded graph can read a changing rate only from a tensor
    options: dict[str, Any] = {
        "lr": torch.tensor(config.lr, device=device) if tensor else config.lr,
        "betas": (config.beta1, config.beta2),
        "fused": True,  # one kernel for all parameters; on a CPU it saves a sixth of a step's time
        "capturable": gpu,
    }
    if config.optimiser == ADAM:
        return torch.optim.Adam(modules.parameters(), **options)
    low = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    scale = config.muon_lr / config.lr
    return Muon(list(modules.parameters()), scale=scale, dtype=low, **options)


class Muon(torch.optim.Adam):
    """Muon for the kernels of convolutions, Adam for all other parameters (Jordan et al. 2024).

    A kernel is a matrix with a row for each of its first channels. It moves by its momentum with
    all singular values set to about 1, times the learning rate, `scale` and, where it has more rows
    than columns, the root of their ratio. torch.optim.Muon takes no kernels and cannot be recorded
    as a graph. scale: the kernels' learning rate as a multiple of Adam's. dtype: in which momentum
    is orthogonalised. The first of Adam's betas is the momentum.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        lr: float | Tensor,
        scale: float,
        dtype: torch.dtype,
        **options: Any,
    ):
        kernels = [p for p in parameters if p.ndim == 4]
        others = [p for p in parameters if p.ndim != 4]
        groups = [{"params": others}, {"params": kernels, "lr": scale * lr, "scale": scale}]
        super().__init__(groups, lr=lr, **options)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take one step; the gradients must be there."""
        adams, kernels = self.param_groups
        self.param_groups = [adams]
        try:
            super().step()
        finally:  # the step after one that failed must find both
            self.param_groups = [adams, kernels]
        self._move_kernels(kernels)

    def _move_kernels(self, group: dict[str, Any]) -> None:
        alike = defaultdict(list)  # of one shape, so that they are handled at once
        for kernel in group["params"]:
            if kernel.grad is not None:
                alike[kernel.shape].append(kernel)
        momentum, rate = group["betas"][0], group["lr"]
        for shape, kernels in alike.items():
            mean = torch.stack([self._momentum(kernel, momentum) for kernel in kernels])
            rows = shape[0]
            directions = orthogonalised(mean.reshape(len(kernels), rows, -1).to(self.dtype))
            tall = max(1.0, rows / (shape.numel() / rows)) ** 0.5
            for kernel, direction in zip(kernels, directions.to(mean.dtype), strict=True):
                kernel.sub_(direction.reshape(shape) * (rate * tall))

    def _momentum(self, kernel: Tensor, momentum: float) -> Tensor:
        """Nesterov's momentum of a kernel, after its gradient was added."""
        state = self.state[kernel]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(kernel)
        state["momentum"].mul_(momentum).add_(kernel.grad)
        return kernel.grad + momentum * state["momentum"]


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (N, R, C) with the same singular vectors, and singular values of about 1."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.mT).mT
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + TINY)
    for _ in range(ITERATIONS):
        gram = x @ x.mT  # (N, R, R)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def moments_of(parameter: Tensor, optimiser: torch.optim.Optimizer) -> tuple[str, ...]:
    """The names of the moments that an optimiser keeps of a parameter, each of its shape."""
    if isinstance(optimiser, Muon) and parameter.ndim == 4:
        return ("momentum",)
    return "exp_avg", "exp_avg_sq"

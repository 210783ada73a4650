"""The device that runs are computed on, and the precision that is fast there."""

import torch

from rdrepro.presets import AUTO


def find_device(name: str | None) -> torch.device:
    """The device of that name; by default a CUDA GPU where there is one, else the CPU.

    Raises ValueError for a device that this machine does not have.
    """
    if name is None or name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(
            f"device={name!r} is not on this machine; use cpu or leave it out"
        ) from None
    return device


def fast_precision(device: torch.device) -> str:
    """The precision that is fast on a device.

    "bfloat16" where the device computes it natively, else "float32".
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
        fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return "bfloat16" if fast else "float32"

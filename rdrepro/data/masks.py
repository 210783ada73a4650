"""Ground-truth masks: white (255) where a defect is, black elsewhere. Loads no torch."""

import numpy as np
from PIL import Image

DARKEST_DEFECT = 128  # masks must reach it; a mask of zeros and ones would lose its defects
# The least white that an inverted mask has. MVTec AD's masks cover up to half of their image and
# hardly any of its border.
INSIDE, BORDER = 0.4, 0.5


def mask_misfit(mask: Image.Image, size: tuple[int, int], name: str) -> str:
    """A sentence about a mask (mode "L") that cannot be used; empty where it can.

    size: its image's width and height. An all-black mask can be used, as the official code does.
    """
    if mask.size != size:
        return (
            f"the mask {name} has {mask.size[0]}x{mask.size[1]} pixels, its image "
            f"{size[0]}x{size[1]}; give both the same size"
        )
    brightest = mask.getextrema()[1]
    if 0 < brightest < DARKEST_DEFECT:
        return f"the mask {name} has no value above {brightest}; defects must be white (255)"
    return ""


def white_shares(mask: Image.Image) -> tuple[float, float]:
    """The shares of white pixels inside a mask (mode "L") and at its border, each in [0, 1]."""
    white = np.asarray(mask) >= DARKEST_DEFECT  # (H, W)
    border = np.concatenate([white[0], white[-1], white[1:-1, 0], white[1:-1, -1]])
    inside = white[1:-1, 1:-1]
    return float(inside.mean() if inside.size else border.mean()), float(border.mean())


def seems_inverted(inside: float, border: float) -> bool:
    """Whether the shares of white pixels, inside and at the border, suggest an inverted mask.

    The border decides. A large defect may cover half of an image, but it covers little of the
    border.
    """
    return inside > INSIDE and border > BORDER

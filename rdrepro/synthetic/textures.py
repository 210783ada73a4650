"""The five textures. Each function draws a good or faulty sample and says where marks may lie."""

from __future__ import annotations

import numpy as np

from rdrepro.synthetic.defects import Fault, is_fault, press
from rdrepro.synthetic.drawing import Drawn, Frame, Rng, flat, paint, shade, tinted, vary


def carpet(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """Plain weave: the warp and the weft lie on top alternately, from crossing to crossing."""
    wander = 0.12 * frame.noise(rng, 9)
    x, y = 24 * frame.u + wander, 24 * frame.v - wander
    over = np.sin(np.pi * x) * np.sin(np.pi * y) > 0
    bulge = np.where(over, np.abs(np.sin(2 * np.pi * y)), np.abs(np.sin(2 * np.pi * x)))
    tone = 0.62 + 0.4 * bulge + 0.16 * frame.noise(rng, 100) + 0.07 * frame.noise(rng, 7)
    return tinted(frame, vary(rng, (0.47, 0.46, 0.45)), tone), np.ones_like(tone)


def grid(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A mesh of two crossing sets of wires over a bright ground."""
    frame = press(frame, fault, "bent", (0, 0), (0.35, 0.35), 0.06)
    pitch, width = 0.085 * rng.uniform(0.96, 1.04), 0.024
    image = flat(frame, vary(rng, (0.72, 0.72, 0.72), 0.02))
    image = shade(image, 1 + 0.03 * frame.noise(rng, 6))
    colour = vary(rng, (0.3, 0.3, 0.31), 0.02)
    for k, (across, along) in enumerate(((frame.u, frame.v), (frame.v, frame.u))):
        x = across / pitch + 0.06 * frame.noise(rng, 5)
        row = np.round(x)
        wire = frame.cover(np.abs(x - row) * pitch - width / 2)
        if is_fault(fault, "broken") and k == 0:
            half = (0.25 + 0.75 * fault.strength) * pitch / 2
            spot = (fault.rng.integers(-2, 3) + 0.5) * pitch
            gap = (row == fault.rng.integers(-3, 4)) * frame.cover(np.abs(along - spot) - half)
            wire = wire * (1 - gap)
        gloss = 1 + 0.5 * np.cos(np.pi * (x - row) * pitch / width) ** 4
        gloss = gloss + 0.2 * np.sin(2 * np.pi * along / pitch)
        image = paint(image, wire, tinted(frame, colour, gloss))
    return image, np.ones_like(frame.u)


def leather(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """Pebbled grain between dark creases, with slow changes of the dye."""
    crease = np.minimum(np.abs(frame.noise(rng, 26)), np.abs(frame.noise(rng, 34)))
    tone = 0.72 + 0.9 * np.minimum(crease, 0.3) + 0.07 * frame.noise(rng, 90)
    tone = tone + 0.06 * frame.noise(rng, 4)
    return tinted(frame, vary(rng, (0.46, 0.29, 0.2), 0.03), tone), np.ones_like(tone)


def tile(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """Terrazzo: dark and bright chips of several sizes in a pale ground."""
    image = flat(frame, vary(rng, (0.72, 0.71, 0.68), 0.03))
    image = shade(image, 1 + 0.02 * frame.noise(rng, 60))
    chips = (
        (64, 0.7, (0.55, 0.54, 0.53)),
        (90, 0.8, (0.42, 0.42, 0.43)),
        (70, 0.9, (0.82, 0.79, 0.77)),
    )
    for cells, level, colour in chips:
        chip = np.clip((frame.noise(rng, cells) - level) * 8, 0, 1)
        image = paint(image, chip, vary(rng, colour, 0.02))
    return image, np.ones_like(frame.u)


def wood(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """Long wavy growth rings and fine fibres running down the board."""
    sway = frame.noise(rng, 3, 0.8)
    ring = np.sin(2 * np.pi * (rng.uniform(6, 9) * frame.u + 0.7 * sway + rng.uniform()))
    fibre = frame.noise(rng, 80, 5)
    tone = 1 + 0.13 * ring + 0.08 * fibre + 0.05 * frame.noise(rng, 30, 2)
    pores = np.clip(frame.noise(rng, 110, 12) - 1.0, 0, 1)
    image = tinted(frame, vary(rng, (0.6, 0.41, 0.25), 0.03), tone - 0.35 * pores)
    return image, np.ones_like(tone)

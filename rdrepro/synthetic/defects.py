"""Defects: faults that a part is drawn with, and marks laid over the finished part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdrepro.synthetic.drawing import Array, Frame, Rng, paint

Site = tuple[float, float]
Mark = Callable[[Frame, Array, Site, float, Rng], Array]


@dataclass(frozen=True)
class Fault:
    """A flaw of the part itself: its MVTec-like name, its strength in (0, 1], its own generator."""

    name: str
    strength: float
    rng: Rng


def is_fault(fault: Fault | None, name: str) -> bool:
    """Whether the part should be drawn with the named flaw."""
    return fault is not None and fault.name == name


def press(
    frame: Frame, fault: Fault | None, name: str, centre: Site, spread: Site, reach: float
) -> Frame:
    """The frame, displaced around a random place if the fault has this name.

    centre, spread: the place is within `spread` of `centre`. reach: how far from the place the
    displacement acts.
    """
    if not is_fault(fault, name):
        return frame
    site = np.asarray(centre) + fault.rng.uniform(-1, 1, 2) * spread
    heading = fault.rng.uniform(0, 2 * np.pi)
    push = reach * (0.3 + 0.7 * fault.strength)
    return frame.bend(tuple(site), reach, push * np.cos(heading), push * np.sin(heading))


def _lay(image: Array, coverage: Array, colour: object, strength: float) -> Array:
    """Lay a colour over the scene. A colour close to the covered one is made lighter or darker."""
    weight = coverage[..., None] / max(float(coverage.sum()), 1e-6)
    local = (image * weight).sum((0, 1))
    colour = np.asarray(colour, np.float32)
    if np.abs(colour - local).max() < 0.3:
        colour = local + (0.4 if local.mean() < 0.5 else -0.4)
    return paint(image, coverage * np.float32(strength), np.clip(colour, 0, 1))


def _against(frame: Frame, image: Array, site: Site) -> float:
    """A dark tone for a bright site and a bright tone for a dark one."""
    nearest = np.argmin((frame.u - site[0]) ** 2 + (frame.v - site[1]) ** 2)
    return 0.08 if image.reshape(-1, 3)[nearest].mean() > 0.35 else 0.8


def _walk(rng: Rng, site: Site, length: float, steps: int, turn: float) -> Array:
    """A polyline (steps + 1, 2), centred at the site, whose direction changes at random."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, steps))
    step = length / steps * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])
    return path - path[steps // 2] + site


def blob(frame: Frame, rng: Rng, site: Site, radius: float) -> Array:
    """The coverage (H, W) of an irregular spot."""
    local = frame.move(*site, angle=rng.uniform(0, 2 * np.pi))
    r, theta = local.polar()
    edge = 1 + sum(
        rng.normal(0, 0.25 / k) * np.cos(k * theta + rng.uniform(0, 6)) for k in (2, 3, 5)
    )
    return frame.cover(r - np.float32(radius) * np.maximum(edge, 0.4))


def scratch(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """One or two thin, nearly straight grooves."""
    tone = _against(frame, image, site)
    for _ in range(rng.integers(1, 3)):
        path = _walk(rng, site, rng.uniform(0.12, 0.3), 4, 0.15)
        image = _lay(image, frame.stroke(path, rng.uniform(0.006, 0.012)), tone, strength)
    return image


def crack(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A jagged, branching line."""
    tone = _against(frame, image, site)
    path = _walk(rng, site, rng.uniform(0.18, 0.4), 9, 0.6)
    branch = _walk(rng, tuple(path[3]), rng.uniform(0.06, 0.14), 4, 0.5)
    ink = frame.stroke(path, rng.uniform(0.008, 0.014))
    return _lay(image, np.maximum(ink, frame.stroke(branch, 0.006)), tone, strength)


def cut(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A short open slit with a raised lip along one side."""
    local = frame.move(*site, angle=rng.uniform(0, np.pi))
    half, width = rng.uniform(0.04, 0.1), rng.uniform(0.008, 0.018)
    opening = width * np.maximum(1 - (local.u / half) ** 2, -1)
    tone = _against(frame, image, site)
    lip = frame.cover(np.abs(local.v - width) - opening)
    image = paint(image, lip * np.float32(0.5 * strength), 0.88 - tone)
    return _lay(image, frame.cover(np.abs(local.v) - opening), tone, strength)


def hole(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A small irregular pit."""
    ink = blob(frame, rng, site, rng.uniform(0.014, 0.035))
    return _lay(image, ink, _against(frame, image, site), strength)


def chip(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A large piece broken out, with a lighter fracture face inside it."""
    radius = rng.uniform(0.05, 0.09)
    tone = _against(frame, image, site)
    image = _lay(image, blob(frame, rng, site, radius), tone, strength)
    return _lay(image, blob(frame, rng, site, radius / 2), 0.9 - tone, 0.6 * strength)


def stain(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A patch of another colour that leaves the relief below it visible."""
    ink = blob(frame, rng, site, rng.uniform(0.03, 0.08))
    hue = np.array([(0.75, 0.15, 0.15), (0.15, 0.3, 0.75), (0.15, 0.55, 0.2), (0.8, 0.65, 0.1)])
    return _lay(image, ink, hue[rng.integers(4)], 0.65 * strength)


def liquid(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A drying pool of oil or glue: a translucent patch with a stronger rim."""
    radius, tone = rng.uniform(0.04, 0.09), _against(frame, image, site)
    state = rng.bit_generator.state
    outer = blob(frame, rng, site, radius)
    rng.bit_generator.state = state
    inner = blob(frame, rng, site, 0.85 * radius)
    return _lay(image, outer - 0.4 * inner, (tone, tone, 0.8 * tone), 0.85 * strength)


def contamination(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A few crumbs of foreign matter."""
    colours = np.array([(0.85, 0.85, 0.88), (0.5, 0.42, 0.3), (0.25, 0.25, 0.28)])
    colour = colours[rng.integers(3)]
    for i in range(rng.integers(1, 5)):
        spot = tuple(np.asarray(site) + min(i, 1) * rng.normal(0, 0.025, 2))
        image = _lay(image, blob(frame, rng, spot, rng.uniform(0.01, 0.025)), colour, strength)
    return image


def thread(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A loose, winding fibre."""
    path = _walk(rng, site, rng.uniform(0.2, 0.5), 12, 0.35)
    colours = np.array([(0.9, 0.88, 0.82), (0.7, 0.2, 0.15), (0.2, 0.25, 0.6)])
    ink = frame.stroke(path, rng.uniform(0.006, 0.011))
    return _lay(image, ink, colours[rng.integers(3)], strength)


def imprint(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """Stray printed characters."""
    local = frame.move(*site, angle=rng.uniform(0, 2 * np.pi))
    word = "".join(rng.choice(list("02457F"), rng.integers(2, 4)))
    ink = local.text(word, 0, 0, rng.uniform(0.05, 0.08))
    return _lay(image, ink, _against(frame, image, site), strength)


def rough(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A rubbed patch whose surface has become coarse."""
    ink = blob(frame, rng, site, rng.uniform(0.04, 0.09))
    grit = 0.5 + 0.5 * np.tanh(2 * frame.noise(rng, 70))
    tone = 0.25 + 0.6 * np.repeat(grit[..., None], 3, axis=2)
    return paint(image, ink * np.float32(0.6 * strength), tone)


def fold(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A crease pressed into soft material: a soft ridge, lit on one side, dark on the other."""
    local = frame.move(*site, angle=rng.uniform(0, 2 * np.pi))
    width, half = rng.uniform(0.008, 0.02), rng.uniform(0.1, 0.25)
    bow = local.v - rng.uniform(-1, 1) * local.u**2
    relief = -bow / width * np.exp(-((bow / width) ** 2) - (local.u / half) ** 4)
    return image * (1 + np.float32(1.3 * strength) * relief)[..., None]


def strip(frame: Frame, image: Array, site: Site, strength: float, rng: Rng) -> Array:
    """A broad straight band of glue or paint."""
    local = frame.move(*site, angle=rng.uniform(0, np.pi))
    ink = local.box(0, 0, rng.uniform(0.1, 0.25), rng.uniform(0.012, 0.03), 0.01)
    return _lay(image, ink, rng.choice([0.2, 0.92]), 0.8 * strength)

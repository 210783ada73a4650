"""Defects drawn into a picture of something good: marks on any surface, and changes of structure.

A kind of defect is a function of an image (H, H, 3) float32 in [0, 1], a place (row, column), a
strength in (0, 1] and a generator; it returns a changed copy. Lengths are in image widths, so that
pictures of every size look alike. `rdrepro.synthetic` draws similar marks in scenes of its own; the
layers let neither package import the other.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

Array = np.ndarray
Rng = np.random.Generator
Place = tuple[int, int]
Flaw = Callable[[Array, Place, float, Rng], Array]

FINER = 4  # shapes are drawn this much larger and averaged, which smooths their edges
CONTRAST = 0.3  # a colour closer than this to what it covers is made lighter or darker
STAINS = ((0.75, 0.15, 0.15), (0.15, 0.3, 0.75), (0.15, 0.55, 0.2), (0.8, 0.65, 0.1))
CRUMBS = ((0.85, 0.85, 0.88), (0.5, 0.42, 0.3), (0.25, 0.25, 0.28))
FIBRES = ((0.9, 0.88, 0.82), (0.7, 0.2, 0.15), (0.2, 0.25, 0.6))


def _centre(image: Array, place: Place) -> Array:
    """The place as (x, y) in image widths."""
    return (np.array(place[::-1]) + 0.5) / len(image)


def _lines(size: int, paths: Sequence[Array], width: float) -> Array:
    """The coverage (H, H) in [0, 1] of polylines (N, 2) of this width."""
    canvas = Image.new("L", (size * FINER, size * FINER))
    for path in paths:
        points = [tuple(point) for point in path * size * FINER]
        broad = max(round(width * size * FINER), FINER)  # one pixel or more
        ImageDraw.Draw(canvas).line(points, fill=255, width=broad, joint="curve")
    return _averaged(canvas)


def _area(size: int, corners: Array) -> Array:
    """The coverage (H, H) in [0, 1] of a polygon (N, 2)."""
    canvas = Image.new("L", (size * FINER, size * FINER))
    points = [tuple(point) for point in corners * size * FINER]
    ImageDraw.Draw(canvas).polygon(points, fill=255)
    return _averaged(canvas)


def _averaged(canvas: Image.Image) -> Array:
    return np.asarray(canvas.reduce(FINER), np.float32) / 255


def _spot(size: int, centre: Array, radius: float, rng: Rng) -> Array:
    """The coverage (H, H) of an irregular spot."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    waves = [
        rng.normal(0, 0.25 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5)
    ]
    reach = radius * np.maximum(1 + sum(waves), 0.4)
    edge = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
    return _area(size, centre + edge)


def _walk(centre: Array, length: float, steps: int, turn: float, rng: Rng) -> Array:
    """A polyline (steps + 1, 2) about the centre, which turns by about `turn` rad at each step."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, steps))
    step = length / steps * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])
    return path - path[steps // 2] + centre


def _mixed(image: Array, coverage: Array, other: object) -> Array:
    """The image with a colour or another image laid over it by its coverage (H, H)."""
    return image + coverage[..., None] * (np.asarray(other, np.float32) - image)


def _inked(image: Array, coverage: Array, colour: object, strength: float) -> Array:
    """The image with a colour that stands out from what it covers."""
    weight = coverage[..., None] / max(float(coverage.sum()), 1e-6)
    covered = (image * weight).sum((0, 1))
    ink = np.asarray(colour, np.float32)
    if np.abs(ink - covered).max() < CONTRAST:
        ink = covered + (0.4 if covered.mean() < 0.5 else -0.4)
    return _mixed(image, coverage * np.float32(strength), np.clip(ink, 0, 1))


def _tone(image: Array, place: Place) -> float:
    """A dark tone for a bright place and a bright tone for a dark one."""
    return 0.08 if image[place].mean() > 0.35 else 0.8


def scratch(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """One or two thin, nearly straight grooves."""
    centre, count = _centre(image, place), rng.integers(1, 3)
    paths = [_walk(centre, rng.uniform(0.12, 0.3), 4, 0.15, rng) for _ in range(count)]
    ink = _lines(len(image), paths, rng.uniform(0.006, 0.012))
    return _inked(image, ink, _tone(image, place), strength)


def crack(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A jagged, branching line."""
    trunk = _walk(_centre(image, place), rng.uniform(0.18, 0.4), 9, 0.6, rng)
    branch = _walk(trunk[3], rng.uniform(0.06, 0.14), 4, 0.5, rng)
    ink = _lines(len(image), [trunk, branch], rng.uniform(0.007, 0.013))
    return _inked(image, ink, _tone(image, place), strength)


def hole(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A small irregular pit."""
    ink = _spot(len(image), _centre(image, place), rng.uniform(0.014, 0.035), rng)
    return _inked(image, ink, _tone(image, place), strength)


def chip(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A piece broken out, with another tone on the fracture inside it."""
    centre, radius, tone = _centre(image, place), rng.uniform(0.04, 0.08), _tone(image, place)
    image = _inked(image, _spot(len(image), centre, radius, rng), tone, strength)
    return _inked(image, _spot(len(image), centre, radius / 2, rng), 0.9 - tone, 0.6 * strength)


def stain(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A patch of another colour that leaves what is below it visible."""
    ink = _spot(len(image), _centre(image, place), rng.uniform(0.03, 0.08), rng)
    return _inked(image, ink, rng.choice(STAINS), 0.65 * strength)


def contamination(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A few crumbs of foreign matter."""
    centre, colour = _centre(image, place), rng.choice(CRUMBS)
    for number in range(rng.integers(1, 5)):
        spot = centre + min(number, 1) * rng.normal(0, 0.025, 2)
        ink = _spot(len(image), spot, rng.uniform(0.01, 0.025), rng)
        image = _inked(image, ink, colour, strength)
    return image


def thread(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A loose, winding fibre."""
    path = _walk(_centre(image, place), rng.uniform(0.2, 0.5), 12, 0.35, rng)
    ink = _lines(len(image), [path], rng.uniform(0.006, 0.011))
    return _inked(image, ink, rng.choice(FIBRES), strength)


def rough(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A rubbed patch whose surface has become coarse."""
    size = len(image)
    ink = _spot(size, _centre(image, place), rng.uniform(0.04, 0.09), rng)
    grain = zoom(rng.standard_normal((64, 64)), size / 64, order=1)  # 4 pixels at 256
    grit = 0.5 + 0.3 * np.tanh(grain)
    return _mixed(image, ink * np.float32(0.6 * strength), grit[..., None])


def moved(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A patch of the image that is repeated elsewhere, with soft edges (CutPaste, Li et al. 2021).

    The patch is taken from at least its own length away. A weak one is translucent.
    """
    size, half = len(image), rng.uniform(0.03, 0.09, 2)
    ink = _area(size, _box(_centre(image, place), half, rng.uniform(0, np.pi)))
    ink = gaussian_filter(ink, size / 170)  # 1.5 pixels at 256
    heading, distance = rng.uniform(0, 2 * np.pi), rng.uniform(2 * half.max(), 0.4)
    shift = np.round(distance * size * np.array([np.sin(heading), np.cos(heading)]))
    source = [np.arange(size) + along for along in shift]
    # Beyond the edge the image goes on as in a mirror.
    rows, columns = (np.where(s < 0, -1 - s, s).astype(int) % (2 * size) for s in source)
    rows, columns = (np.minimum(s, 2 * size - 1 - s) for s in (rows, columns))
    return _mixed(image, ink * np.float32(strength), image[np.ix_(rows, columns)])


def _box(centre: Array, half: Array, angle: float) -> Array:
    """The corners (4, 2) of a box that is rotated by `angle` rad."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    cos, sin = np.cos(angle), np.sin(angle)
    return centre + corners @ np.array([[cos, sin], [-sin, cos]])


def bent(image: Array, place: Place, strength: float, rng: Rng) -> Array:
    """A place that is pushed aside; the displacement fades smoothly around it."""
    size, reach, heading = len(image), rng.uniform(0.03, 0.07), rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    square = (rows - place[0]) ** 2 + (columns - place[1]) ** 2
    # Less than the reach times exp(1/2): beyond that, the image would fold over itself.
    push = 0.9 * reach * size * strength * np.exp(-square / (2 * (reach * size) ** 2))
    source = rows - push * np.sin(heading), columns - push * np.cos(heading)
    planes = np.moveaxis(image, -1, 0)
    return np.stack([map_coordinates(p, source, order=1, mode="mirror") for p in planes], axis=-1)


STRUCTURAL = (moved, bent)  # they act beyond the part's edge as well
# Structural kinds come early, so that a small set has some of both.
FLAWS: dict[str, Flaw] = {
    flaw.__name__: flaw
    for flaw in (scratch, moved, hole, bent, stain, crack, thread, chip, contamination, rough)
}

"""Anti-aliased drawing in a movable coordinate frame: shapes, strokes, value noise, the camera."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

Array = np.ndarray
Rng = np.random.Generator
Drawn = tuple[Array, Array]  # a scene (H, W, 3) in [0, 1], and where marks may lie (H, W)

# Seven-segment strokes as (u, v) end points in a box of width 0.6 and height 1.
_SEGMENTS = {
    "a": ((-0.3, -0.5), (0.3, -0.5)),
    "b": ((0.3, -0.5), (0.3, 0.0)),
    "c": ((0.3, 0.0), (0.3, 0.5)),
    "d": ((-0.3, 0.5), (0.3, 0.5)),
    "e": ((-0.3, 0.0), (-0.3, 0.5)),
    "f": ((-0.3, -0.5), (-0.3, 0.0)),
    "g": ((-0.3, 0.0), (0.3, 0.0)),
}
_GLYPHS = {"0": "abcdef", "2": "abged", "4": "fgbc", "5": "afgcd", "7": "abc", "F": "afge"}


@dataclass(frozen=True)
class Frame:
    """Object coordinates of every pixel: `u` right, `v` down, (H, W), in image widths."""

    u: Array
    v: Array
    pixel: float

    @classmethod
    def upright(cls, size: int) -> Frame:
        """The frame of a square image of `size` pixels, origin at its centre."""
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
        v, u = np.meshgrid(axis, axis, indexing="ij")
        return cls(u, v, 1.0 / size)

    def move(self, du: float, dv: float, angle: float = 0.0, scale: float = 1.0) -> Frame:
        """The frame of an object moved by (du, dv), rotated by `angle` rad and scaled."""
        c, s = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
        x, y = self.u - np.float32(du), self.v - np.float32(dv)
        return Frame(c * x + s * y, c * y - s * x, self.pixel / scale)

    def bend(self, site: tuple[float, float], reach: float, du: float, dv: float) -> Frame:
        """The frame of an object that is displaced by (du, dv) at `site`.

        The displacement fades with the distance from the site, over a length of `reach`.
        """
        near = np.exp(-((self.u - site[0]) ** 2 + (self.v - site[1]) ** 2) / (2 * reach**2))
        return Frame(self.u - near * np.float32(du), self.v - near * np.float32(dv), self.pixel)

    def kink(self, at: float, slope: float) -> Frame:
        """The frame of an object that leans sideways beyond v = `at`, by `slope` in u per v."""
        lean = np.float32(slope) * np.maximum(self.v - np.float32(at), 0)
        return Frame(self.u - lean, self.v, self.pixel)

    def polar(self) -> tuple[Array, Array]:
        """The radius in image widths and the angle in rad, both (H, W)."""
        return np.hypot(self.u, self.v), np.arctan2(self.v, self.u)

    def cover(self, distance: Array) -> Array:
        """The coverage (H, W) in [0, 1] of the region with signed `distance` < 0."""
        return np.clip(0.5 - distance / np.float32(self.pixel), 0, 1)

    def disc(self, u: float, v: float, radius: float) -> Array:
        """The coverage (H, W) of a disc."""
        return self.cover(np.hypot(self.u - np.float32(u), self.v - np.float32(v)) - radius)

    def box(self, u: float, v: float, half_u: float, half_v: float, corner: float = 0.0) -> Array:
        """The coverage (H, W) of an upright box whose corners are rounded by `corner`."""
        x = np.abs(self.u - np.float32(u)) - (half_u - corner)
        y = np.abs(self.v - np.float32(v)) - (half_v - corner)
        outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
        return self.cover(outside + np.minimum(np.maximum(x, y), 0) - corner)

    def stroke(self, points: Array, width: float) -> Array:
        """The coverage (H, W) of the polyline through `points` (N, 2), of this width."""
        distance = np.full_like(self.u, np.inf)
        points = np.asarray(points, np.float32)
        for (u0, v0), (u1, v1) in pairwise(points):
            du, dv = u1 - u0, v1 - v0
            along = ((self.u - u0) * du + (self.v - v0) * dv) / (du * du + dv * dv + 1e-12)
            along = np.clip(along, 0, 1)
            square = (self.u - u0 - along * du) ** 2 + (self.v - v0 - along * dv) ** 2
            distance = np.minimum(distance, square)
        return self.cover(np.sqrt(distance) - width / 2)

    def text(self, text: str, u: float, v: float, height: float) -> Array:
        """The coverage (H, W) of seven-segment glyphs centred at (u, v)."""
        ink = np.zeros_like(self.u)
        for i, glyph in enumerate(text):
            shift = (u + (i - (len(text) - 1) / 2) * 0.95 * height, v)
            for segment in _GLYPHS[glyph]:
                ends = np.array(_SEGMENTS[segment]) * height + shift
                ink = np.maximum(ink, self.stroke(ends, 0.18 * height))
        return ink

    def noise(self, rng: Rng, cells_u: float, cells_v: float | None = None) -> Array:
        """Smooth value noise (H, W) of zero mean.

        cells_u, cells_v: the number of cells per image width in each direction.
        """
        cells_v = cells_u if cells_v is None else cells_v
        lattice = rng.standard_normal((128, 128), dtype=np.float32)
        x, y = self.u * np.float32(cells_u), self.v * np.float32(cells_v)
        left, top = np.floor(x), np.floor(y)
        i, j = left.astype(np.int32), top.astype(np.int32)
        fx, fy = (t * t * (3 - 2 * t) for t in (x - left, y - top))
        # 128 cells repeat: the mask 127 wraps the index, also for negative coordinates.
        i0, i1, j0, j1 = i & 127, (i + 1) & 127, j & 127, (j + 1) & 127
        upper = lattice[j0, i0] * (1 - fx) + lattice[j0, i1] * fx
        lower = lattice[j1, i0] * (1 - fx) + lattice[j1, i1] * fx
        return upper * (1 - fy) + lower * fy


def flat(frame: Frame, colour: object) -> Array:
    """An image (H, W, 3) of one colour in [0, 1]."""
    return np.broadcast_to(np.asarray(colour, np.float32), (*frame.u.shape, 3)).copy()


def paint(image: Array, coverage: Array, colour: object) -> Array:
    """The image (H, W, 3) with a colour or image laid over it by `coverage` (H, W)."""
    return image + coverage[..., None] * (np.asarray(colour, np.float32) - image)


def shade(image: Array, factor: Array) -> Array:
    """The image (H, W, 3) multiplied by a brightness factor (H, W)."""
    return image * factor[..., None]


def tinted(frame: Frame, colour: object, tone: Array) -> Array:
    """An image (H, W, 3) of one colour under a brightness factor (H, W)."""
    return shade(flat(frame, colour), tone)


def bump(distance: Array, width: float) -> Array:
    """A Gaussian ridge (H, W), 1 where `distance` is 0."""
    return np.exp(-((distance / width) ** 2))


def vary(rng: Rng, colour: object, amount: float = 0.03) -> Array:
    """A colour (3,) varied at random, as between specimens."""
    change = rng.normal(0, amount) + rng.normal(0, amount / 3, 3)
    return np.clip(np.asarray(colour) + change, 0.02, 0.98).astype(np.float32)


def photograph(image: Array, rng: Rng) -> Array:
    """The uint8 picture (H, W, 3) of a scene in [0, 1] under random light and noise."""
    # Light and noise are strong enough to make raw colours useless, and weak enough for a person to
    # ignore.
    size = image.shape[0]
    frame = Frame.upright(size)
    direction = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.25)
    light = 1 + slope * (np.cos(direction) * frame.u + np.sin(direction) * frame.v)
    light = light * rng.uniform(0.9, 1.08)
    cast = rng.uniform(0.97, 1.03, 3)
    blur = rng.uniform(0.2, 0.8) * size / 256  # pixels at 256, so that any size looks alike
    grain = rng.uniform(0.004, 0.012)
    image = gaussian_filter(np.clip(image, 0, 1), (blur, blur, 0), truncate=3)
    image = image * light[..., None] * cast.astype(np.float32)
    image = image + np.float32(grain) * rng.standard_normal(image.shape, dtype=np.float32)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)

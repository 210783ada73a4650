"""Invented head slices in Head CT's layout, so that the medical notebook runs without data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from rdrepro.registry import DRAWN
from rdrepro.synthetic.benchmark import write_whole
from rdrepro.synthetic.defects import blob
from rdrepro.synthetic.drawing import Array, Frame, Rng, bump, flat, paint
from rdrepro.text import nearest

# Raise it whenever the same seed would draw other scans, so that older scans are not reused.
SCANS_VERSION = 1

N_NORMAL = 60
N_ANOMALOUS = 40
# Head CT and Brain MRI hold some pictures under several names, and so do these scans. Each pair is
# a scan and its duplicate, by their numbers among the normal or the anomalous scans.
NORMAL_COPIES = ((3, 31), (17, 52))
ANOMALOUS_COPIES = ((6, 29),)
# One more normal pair shows the same picture at another size.
NORMAL_RESCALED = (11, 44)
RESCALED = 1.5

# From hardly visible to obvious.
_STRENGTH = (0.45, 1.0)
# A scan is redrawn if its thumbnail correlates more than this with another's. In four thousand
# pairs, two heads come near 0.99 by chance; above that the package takes them for duplicates.
_ALIKE = 0.97
_THUMBNAIL = (32, 32)


@dataclass(frozen=True)
class Head:
    """A patient's head in its own coordinates: nose at v = -1, back of the head at v = 1."""

    frame: Frame
    radius: Array  # (H, W), 0 in the middle, 1 at the outer face of the skull
    inner: Array  # (H, W), the radius at the inner face of the skull
    width: float  # ear to ear, as a share of the length
    level: float  # of the slice: 0 through the middle of the brain, 1 below the crown

    def within(self, radius: Array | float) -> Array:
        """The coverage (H, W) of what lies inside a radius."""
        return self.frame.cover((self.radius - radius) * np.float32(self.width))

    def site(self, rng: Rng) -> tuple[float, float]:
        """A random place (u, v) in the brain, away from its surface."""
        reach, angle = rng.uniform(0.15, 0.65), rng.uniform(0, 2 * np.pi)
        return reach * self.width * np.cos(angle), reach * np.sin(angle)


def _head(size: int, rng: Rng) -> Head:
    """A random head, cut at a random height and lying a little askew."""
    level = float(rng.uniform())
    length = rng.uniform(0.36, 0.44) * (1 - 0.12 * level**2)
    shift = rng.uniform(-0.03, 0.03, 2)
    frame = Frame.upright(size).move(*shift, rng.normal(0, 0.1), length)
    width = rng.uniform(0.7, 0.92)
    taper = rng.uniform(0.02, 0.14)
    _, theta = frame.polar()
    outline = sum(
        rng.normal(0, 0.02 / k) * np.cos(k * theta + rng.uniform(0, 6)) for k in (2, 3, 4)
    )
    radius = np.hypot(frame.u / (width * (1 + taper * frame.v)), frame.v) * (1 + outline)
    thick = rng.uniform(0.06, 0.13) * (1 + 0.3 * level)
    thick = thick * (1 - rng.uniform(0, 0.3) * np.cos(2 * theta) + 0.15 * np.sin(3 * theta))
    return Head(frame, radius, 1 - thick, width, level)


def _ventricle(head: Head, side: int, size: float, width: float) -> Array:
    """The coverage (H, W) of a lateral ventricle: a bow that is wider at its frontal horn."""
    along = (head.frame.v - 0.02) / (0.42 * size)
    half = width * (1 - 0.35 * along) * np.sqrt(np.clip(1 - along**2, 0, 1))
    # Measured from the wall between the two, so that a wider ventricle extends outwards.
    middle = side * (0.025 + 0.2 * size * along**2 + half)
    return head.frame.cover(np.abs(head.frame.u - middle) - half) * (np.abs(along) < 1)


def _fluid(head: Head, widening: tuple[float, float], rng: Rng) -> Array:
    """The coverage (H, W) of the fluid: ventricles, sulci, the cleft between the halves."""
    frame, age = head.frame, rng.uniform()
    size = rng.uniform(0.8, 1.05) * (1 - 0.5 * head.level)
    width = rng.uniform(0.03, 0.06) + 0.05 * age * (1 - head.level)
    fluid = np.zeros_like(frame.u)
    for side, widened in zip((-1, 1), widening, strict=True):
        own = widened * width * rng.uniform(0.85, 1.15)
        fluid = np.maximum(fluid, _ventricle(head, side, size, own))
    third = frame.box(0, 0.08, rng.uniform(0.008, 0.03), 0.13, 0.008) * (head.level < 0.4)
    outer = np.clip((head.radius / head.inner - rng.uniform(0.55, 0.7)) * 6, 0, 1)
    furrow = bump(frame.noise(rng, 5), 0.06 + 0.1 * age) * outer * rng.uniform(0.3, 0.9)
    cleft = bump(frame.u + 0.015 * frame.noise(rng, 4), 0.012 + 0.02 * age)
    cleft = cleft * np.clip((np.abs(frame.v + 0.05) - 0.4 * (1 - head.level)) * 8, 0, 1)
    rim = 1 - head.within(head.inner - rng.uniform(0.005, 0.02) - 0.03 * age)
    return np.maximum.reduce([fluid, third, furrow, 0.7 * cleft, 0.8 * rim])


def _tissue(head: Head, rng: Rng) -> Array:
    """The tone (H, W) of the brain without its fluid: paler rind, darker core, grain."""
    frame = head.frame
    depth = head.radius / head.inner + 0.1 * frame.noise(rng, 4)
    core = np.clip((0.85 - depth) * 5, 0, 1) * np.clip(np.abs(frame.u) * 12 - 0.5, 0, 1)
    tone = 0.44 - rng.uniform(0.02, 0.06) * core + rng.uniform(0.005, 0.02) * frame.noise(rng, 9)
    nuclei = sum(bump(np.hypot((frame.u - u) / 0.8, frame.v + 0.02), 0.14) for u in (-0.24, 0.24))
    return tone + 0.05 * nuclei * (1 - head.level)


def _bright_spots(head: Head, rng: Rng) -> Array:
    """What is bright in healthy brains too (H, W): the falx, chalk deposits at the ventricles."""
    frame = head.frame
    ends = np.clip((np.abs(frame.v) - 0.45 * (1 - head.level)) * 6, 0, 1)
    shine = rng.uniform(0, 0.25) * bump(frame.u, 0.012) * ends
    drift = rng.uniform(-0.03, 0.03)
    for u, v, chance in ((0, 0.22, 0.4), (-0.2, 0.32, 0.35), (0.2, 0.32, 0.35)):
        radius, there = rng.uniform(0.015, 0.03), rng.uniform() < chance * (1 - head.level)
        chalk = frame.disc(u + drift, v + drift, radius) * np.float32(there)
        shine = np.maximum(shine, rng.uniform(0.2, 0.4) * chalk)
    return shine


def _slice(head: Head, widening: tuple[float, float], rng: Rng) -> Array:
    """The scene (H, W, 1) in [0, 1] of a head that is healthy but for widened ventricles."""
    brain = _tissue(head, rng)
    brain = brain + _fluid(head, widening, rng) * (rng.uniform(0.12, 0.2) - brain)
    brain = brain + _bright_spots(head, rng)
    scene = flat(head.frame, rng.uniform(0.01, 0.05))[..., :1]
    scene = paint(scene, head.within(1 + rng.uniform(0.03, 0.1)), rng.uniform(0.22, 0.36))
    scene = paint(scene, head.within(1), rng.uniform(0.85, 1.0))
    return paint(scene, head.within(head.inner), brain[..., None])


def _bleed(head: Head, strength: float, rng: Rng) -> Array:
    """Fresh blood in the brain: a bright irregular spot in a darker, swollen surrounding."""
    site, radius = head.site(rng), rng.uniform(0.08, 0.2)
    spot = blob(head.frame, rng, site, radius)
    away = np.hypot(head.frame.u - site[0], head.frame.v - site[1])
    return strength * (0.5 * spot - 0.1 * bump(away, 1.8 * radius) * (1 - spot))


def _crescent(head: Head, strength: float, rng: Rng) -> Array:
    """Blood below the skull: a crescent along its inner face, bright when fresh, else dark."""
    _, theta = head.frame.polar()
    offset = np.angle(np.exp(1j * (theta - rng.uniform(0, 2 * np.pi)))) / rng.uniform(0.9, 1.5)
    thick = rng.uniform(0.14, 0.26) * np.clip(1 - offset**2, 0, 1)
    ink = (1 - head.within(head.inner - thick)) * (thick > 0)
    return ink * strength * (0.55 if rng.uniform() < 0.7 else -0.35)


def _mass(head: Head, strength: float, rng: Rng) -> Array:
    """A tumour: a bright ring around a darker middle, in a swollen surrounding."""
    site, radius = head.site(rng), rng.uniform(0.09, 0.2)
    away = np.hypot(head.frame.u - site[0], head.frame.v - site[1])
    away = away * (1 + 0.12 * head.frame.noise(rng, 5))
    ring, halo = bump(away - radius, 0.03), bump(away, 2 * radius)
    return strength * (0.4 * ring - 0.15 * halo)


def _infarct(head: Head, strength: float, rng: Rng) -> Array:
    """Brain that lost its blood: a dark patch with a soft, wandering edge."""
    site, radius = head.site(rng), rng.uniform(0.18, 0.35)
    away = np.hypot(head.frame.u - site[0], head.frame.v - site[1])
    away = away * (1 + 0.2 * head.frame.noise(rng, 5))
    return -0.3 * strength * np.clip((radius - away) / 0.08, 0, 1)


# What a lesion adds to the brain's tone (H, W).
_ADDED: dict[str, Callable[[Head, float, Rng], Array]] = {
    "bleed": _bleed,
    "crescent": _crescent,
    "mass": _mass,
    "infarct": _infarct,
}
LESIONS = (*_ADDED, "ventricle")


def _scan(scene: Array, rng: Rng) -> Array:
    """The uint8 picture (H, W) of a scene (H, W, 1), with a scanner's blur, contrast and noise."""
    size = scene.shape[0]
    blur = rng.uniform(0.3, 1.0) * size / 224  # pixels at 224, so that any size looks alike
    picture = gaussian_filter(np.clip(scene[..., 0], 0, 1), blur, truncate=3)
    picture = (picture - 0.03) * rng.uniform(0.85, 1.15)
    grain = np.float32(rng.uniform(0.01, 0.03)) * rng.standard_normal(picture.shape, np.float32)
    picture = picture + grain * np.clip(picture * 6, 0.1, 1)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def draw_scan(rng: Rng, size: int, lesion: str | None) -> Array:
    """An invented slice of a head, uint8 (size, size), with one of LESIONS or None.

    Generators in the same state draw the same head with and without a lesion. Raises ValueError for
    an unknown lesion.
    """
    if lesion is not None and lesion not in LESIONS:
        raise ValueError(
            f"lesion={lesion!r} is not one of {', '.join(LESIONS)}.{nearest(lesion, LESIONS)}"
        )
    shape, inside, flaw, scanner = rng.spawn(4)
    head, strength = _head(size, shape), float(flaw.uniform(*_STRENGTH))
    widening = (1.0, 1.0)
    if lesion == "ventricle":
        widening = tuple(flaw.permutation([1.0, 1 + 2.5 * strength]))
    scene = _slice(head, widening, inside)
    if lesion in _ADDED:
        change = _ADDED[lesion](head, strength, flaw) * head.within(head.inner)
        scene = scene + change[..., None]
    return _scan(scene, scanner)


def _thumbnail(picture: Image.Image) -> Array:
    """A small version of a picture as a vector of zero mean and unit length."""
    small = np.asarray(picture.resize(_THUMBNAIL, Image.Resampling.BILINEAR), np.float64).ravel()
    small = small - small.mean()
    return small / np.linalg.norm(small)


def _draw_unlike(key: list[int], size: int, lesion: str | None, seen: list[Array]) -> Image.Image:
    """Draw a scan that differs from those with thumbnails in `seen`; add its own thumbnail."""
    for attempt in count():
        rng = np.random.default_rng([*key, attempt])
        picture = Image.fromarray(draw_scan(rng, size, lesion))
        thumbnail = _thumbnail(picture)
        if all(thumbnail @ other < _ALIKE for other in seen):
            seen.append(thumbnail)
            return picture


def _labelled_scans(data_seed: int, size: int) -> list[tuple[Image.Image, int]]:
    """All scans, including duplicates, and their labels (1 = anomalous), normal ones first."""
    seen: list[Array] = []
    normal = [_draw_unlike([data_seed, 0, i], size, None, seen) for i in range(N_NORMAL)]
    anomalous = [
        _draw_unlike([data_seed, 1, i], size, LESIONS[i % len(LESIONS)], seen)
        for i in range(N_ANOMALOUS)
    ]
    for pictures, copies in ((normal, NORMAL_COPIES), (anomalous, ANOMALOUS_COPIES)):
        for original, copy in copies:
            pictures[copy] = pictures[original]
    original, copy = NORMAL_RESCALED
    larger = round(RESCALED * size)
    normal[copy] = normal[original].resize((larger, larger), Image.Resampling.BICUBIC)
    return [(p, 0) for p in normal] + [(p, 1) for p in anomalous]


def write_scans(root: Path, data_seed: int, image_size: int) -> Path:
    """Write the scans to the folder `root`, laid out as Head CT on Kaggle, and return it.

    `head_ct/NNN.png` are 8-bit grey squares, all but one `image_size` pixels wide. `labels.csv` has
    the line `id, hemorrhage` and one line per scan, 1 = anomalous. The numbers are shuffled. The
    file DRAWN keeps the scans from being read as real ones. A folder that already holds labels.csv
    is returned as it is. Raises FileExistsError where `root` holds something else.
    """
    root = Path(root)
    if (root / "labels.csv").is_file():
        return root

    def fill(folder: Path) -> None:
        scans = _labelled_scans(data_seed, image_size)
        order = np.random.default_rng([data_seed, 2]).permutation(len(scans))
        lines = ["id, hemorrhage"]
        (folder / "head_ct").mkdir()
        for number, place in enumerate(order):
            picture, label = scans[place]
            picture.save(folder / "head_ct" / f"{number:03d}.png", compress_level=1)
            lines.append(f"{number},{label}")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
        (folder / DRAWN).write_text(
            "These scans are drawn (rdrepro/synthetic/scans.py) and show no patient.\n"
        )

    write_whole(root, fill)
    if not (root / "labels.csv").is_file():
        raise FileExistsError(f"{root} holds files but no labels.csv; move it away to draw scans")
    return root

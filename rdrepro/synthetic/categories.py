"""The table of the fifteen drawn categories: the part, how far it may rotate, its defects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rdrepro.synthetic import defects as d
from rdrepro.synthetic import objects, textures
from rdrepro.synthetic.drawing import Drawn, Frame, Rng

# The largest rotation either way, in rad. Free parts lie at any angle. Screws and nuts rotate less,
# since 60 images cannot cover all angles; MVTec AD has 220 to 320 of them. Other parts are laid
# down or fixed.
_FREE, _PART, _LYING, _FIXED = np.pi, 0.6, 0.1, 0.03


@dataclass(frozen=True)
class Category:
    """What to draw, how far it may rotate (rad), and its defects.

    Marks are laid over the finished part; faults are drawn together with it.
    """

    part: Callable[[Frame, Rng, d.Fault | None], Drawn]
    turn: float
    marks: dict[str, d.Mark] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @property
    def defects(self) -> tuple[str, ...]:
        """The names of the kinds of defects, in the order in which test images use them."""
        return (*self.marks, *self.faults)


CATEGORIES = {
    "carpet": Category(
        textures.carpet,
        _FIXED,
        {"color": d.stain, "cut": d.cut, "hole": d.hole, "thread": d.thread},
    ),
    "grid": Category(
        textures.grid,
        _FIXED,
        {"glue": d.liquid, "metal_contamination": d.contamination, "thread": d.thread},
        ("broken", "bent"),
    ),
    "leather": Category(
        textures.leather, _FREE, {"color": d.stain, "cut": d.cut, "fold": d.fold, "glue": d.liquid}
    ),
    "tile": Category(
        textures.tile,
        _FREE,
        {"crack": d.crack, "glue_strip": d.strip, "gray_stroke": d.scratch, "oil": d.liquid},
    ),
    "wood": Category(
        textures.wood,
        _FIXED,
        {"color": d.stain, "hole": d.hole, "liquid": d.liquid, "scratch": d.scratch},
    ),
    "bottle": Category(
        objects.bottle,
        _FREE,
        {"broken_large": d.chip, "broken_small": d.hole, "contamination": d.contamination},
    ),
    "cable": Category(
        objects.cable,
        _LYING,
        {"cut_insulation": d.cut, "poke_insulation": d.hole},
        ("cable_swap", "missing_cable", "missing_wire"),
    ),
    "capsule": Category(
        objects.capsule,
        _LYING,
        {"crack": d.crack, "poke": d.hole, "scratch": d.scratch},
        ("faulty_imprint", "squeeze"),
    ),
    "hazelnut": Category(
        objects.hazelnut,
        _FREE,
        {"crack": d.crack, "cut": d.cut, "hole": d.hole, "print": d.imprint},
    ),
    "metal_nut": Category(
        objects.metal_nut, _PART, {"color": d.stain, "scratch": d.scratch}, ("flip", "bent")
    ),
    "pill": Category(
        objects.pill,
        _LYING,
        {"color": d.stain, "contamination": d.contamination, "crack": d.crack},
        ("faulty_imprint", "pill_type"),
    ),
    "screw": Category(
        objects.screw,
        _PART,
        {"scratch": d.scratch, "thread_top": d.cut},
        ("manipulated_front", "thread_side"),
    ),
    "toothbrush": Category(
        objects.toothbrush,
        _LYING,
        {"contamination": d.contamination},
        ("bent_tuft", "missing_tuft"),
    ),
    "transistor": Category(
        objects.transistor, _FIXED, {"damaged_case": d.chip}, ("bent_lead", "cut_lead", "misplaced")
    ),
    "zipper": Category(
        objects.zipper,
        _FIXED,
        {"fabric_border": d.cut, "rough": d.rough},
        ("broken_teeth", "split_teeth", "squeezed_teeth"),
    ),
}

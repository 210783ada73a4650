"""The ten objects. Each function draws a good or faulty specimen and says where marks may lie."""

from __future__ import annotations

import numpy as np

from rdrepro.synthetic.defects import Fault, is_fault, press
from rdrepro.synthetic.drawing import Drawn, Frame, Rng, bump, flat, paint, shade, tinted, vary


def bottle(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """The mouth of a bottle from above: shoulder, rim with highlights, dark opening."""
    r, theta = frame.polar()
    glass = vary(rng, (0.3, 0.18, 0.08), 0.02)
    image = flat(frame, vary(rng, (0.9, 0.9, 0.88), 0.02))
    image = paint(image, frame.cover(r - 0.43), glass * 0.6)
    for radius, width, gain in ((0.4, 0.02, 1.5), (0.345, 0.05, 2.0), (0.27, 0.03, 1.3)):
        double, single = np.cos(2 * theta + rng.uniform(0, 6)), np.cos(theta + rng.uniform(0, 6))
        glint = 0.6 + 0.4 * double * single
        ring = bump(r - radius, width) * frame.cover(r - 0.43)
        image = paint(image, ring * (0.35 + 0.6 * glint), glass * gain + 0.1)
    image = paint(image, frame.cover(r - 0.245), glass * 0.35)
    lamp = np.clip(np.cos(theta + rng.uniform(0, 6)), 0, 1) ** 6
    image = paint(image, 0.9 * bump(r - 0.345, 0.012) * lamp, 0.95)
    return image, frame.cover(r - 0.43)


def cable(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A cut cable end: three insulated stranded conductors in a grey sheath."""
    image = flat(frame, vary(rng, (0.3, 0.28, 0.26), 0.02))
    r, _ = frame.polar()
    sheath = vary(rng, (0.72, 0.71, 0.68), 0.02)
    image = paint(
        image, frame.cover(r - 0.44), tinted(frame, sheath, 1 + 0.05 * frame.noise(rng, 20))
    )
    image = paint(image, frame.cover(r - 0.375), sheath * 0.45)
    colours = [vary(rng, c) for c in ((0.2, 0.5, 0.2), (0.18, 0.32, 0.65), (0.45, 0.26, 0.16))]
    chosen = -1 if fault is None else int(fault.rng.integers(3))
    for i, colour in enumerate(colours):
        angle = 2 * np.pi * i / 3
        core = frame.move(0.19 * np.cos(angle), 0.19 * np.sin(angle), rng.uniform(0, 6))
        # A missing conductor is drawn with no coverage, so that the next ones keep their random
        # numbers.
        there = np.float32(not (is_fault(fault, "missing_cable") and i == chosen))
        if is_fault(fault, "cable_swap") and i == chosen:
            colour = colour + fault.strength * (colours[(i + 1) % 3] - colour)
        rc, tc = core.polar()
        skin = tinted(frame, colour, 1 + 0.06 * core.noise(rng, 25))
        image = paint(image, there * core.cover(rc - 0.165), skin)
        strands = sum(
            np.cos(190 * (c * core.u + s * core.v)) for c, s in ((1, 0), (0.5, 0.87), (0.5, -0.87))
        )
        copper = tinted(frame, vary(rng, (0.72, 0.5, 0.33)), 0.8 + 0.15 * strands)
        wire = core.cover(rc - 0.105 - 0.006 * np.cos(7 * tc))
        if is_fault(fault, "missing_wire") and i == chosen:
            bare = core.disc(*fault.rng.uniform(-0.05, 0.05, 2), fault.rng.uniform(0.03, 0.06))
            copper = paint(copper, bare * np.float32(fault.strength), 0.12)
        image = paint(image, there * wire, copper)
    return image, frame.cover(r - 0.44)


def capsule(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A two-coloured capsule lying on a light ground, with a printed number."""
    frame = press(frame, fault, "squeeze", (0, 0), (0.35, 0.12), 0.06)
    image = flat(frame, vary(rng, (0.85, 0.85, 0.84), 0.02))
    body = frame.box(0, 0, 0.4, 0.15, 0.149)
    image = paint(image, 0.35 * frame.move(0.01, 0.02).box(0, 0, 0.4, 0.155, 0.149), 0.3)
    tube = flat(frame, vary(rng, (0.72, 0.36, 0.14)))
    tube = paint(tube, frame.cover(frame.u + 0.02), vary(rng, (0.16, 0.1, 0.08), 0.02))
    text = frame.move(rng.normal(0, 0.012), rng.normal(0, 0.012))
    words = ("500", 0.17, 0.01), ("02", -0.2, 0.0)
    for i, (word, u, v) in enumerate(words):
        ink = text.text(word, u, v, 0.075)
        if is_fault(fault, "faulty_imprint") and i == 0:
            angle = fault.rng.uniform(-0.5, 0.5)
            ink = text.move(u, v, angle).text("500", 0, 0.04 * fault.strength, 0.075)
            worn = frame.disc(u + fault.rng.uniform(-0.07, 0.07), v, 0.05)
            ink = ink * (1 - fault.strength * worn)
        tube = paint(tube, ink, (0.9, 0.88, 0.85))
    tube = shade(tube, 1.1 - 18 * frame.v**2 + 0.02 * frame.noise(rng, 12))
    tube = paint(tube, 0.6 * bump(frame.v + 0.075, 0.012), 0.95)
    return paint(image, body, tube), body


def hazelnut(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A striped nut with a pale, rough cap, lying on a dark ground."""
    r, theta = frame.polar()
    outline = rng.uniform(0.32, 0.36) * (
        1 + 0.05 * np.sin(theta) ** 3 + rng.normal(0, 0.02) * np.cos(2 * theta)
    )
    body = frame.cover(r - outline)
    image = flat(frame, vary(rng, (0.1, 0.1, 0.11), 0.015))
    stripes = frame.noise(rng, 26, 3)
    skin = tinted(
        frame, vary(rng, (0.52, 0.31, 0.16)), 1 + 0.16 * stripes + 0.06 * frame.noise(rng, 60)
    )
    cap = np.clip((frame.v - 0.2 - 0.012 * frame.noise(rng, 20) + 0.3 * frame.u**2) * 60, 0, 1)
    pale = tinted(frame, vary(rng, (0.66, 0.52, 0.36)), 1 + 0.14 * frame.noise(rng, 55))
    skin = paint(skin, cap, pale)
    dome = np.sqrt(np.clip(1 - (r / outline) ** 2, 0, 1))
    return paint(image, body, shade(skin, 0.4 + 0.75 * dome)), body


def metal_nut(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A stamped nut with four swept teeth and a threaded bore."""
    frame = press(frame, fault, "bent", (0.3, 0.2), (0.03, 0.03), 0.08)
    r, theta = frame.polar()
    flipped = is_fault(fault, "flip")
    face = -theta if flipped else theta
    outline = 0.32 + 0.06 * np.sin(4 * face + 0.9 * np.sin(4 * face))
    image = flat(frame, vary(rng, (0.16, 0.16, 0.17), 0.015))
    brushed = 1 + 0.04 * frame.noise(rng, 90, 12) + 0.08 * np.cos(2 * theta + rng.uniform(0, 6))
    steel = tinted(frame, vary(rng, (0.6, 0.6, 0.61), 0.025), brushed)
    steel = shade(steel, 1 - 0.35 * bump(r - outline + 0.015, 0.012))
    # The back of a flipped nut has its rings elsewhere.
    for radius in (0.28, 0.17) if flipped else (0.235, 0.2):
        lamp = np.cos(theta + rng.uniform(0, 6))
        steel = shade(steel, 1 + 0.2 * bump(r - radius, 0.008) * lamp)
    image = paint(image, frame.cover(r - outline), steel)
    bore = 0.1 + 0.06 * np.cos(160 * r + theta)
    image = paint(image, frame.cover(r - 0.145), bore[..., None])
    image = paint(image, frame.cover(r - 0.115), 0.06)
    return image, frame.cover(np.maximum(r - outline, 0.145 - r))


def pill(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A white oval pill with red speckles and embossed letters on black."""
    r = np.hypot(frame.u / 0.4, frame.v / 0.25)
    coat = np.array((0.88, 0.86, 0.83)) + rng.normal(0, 0.02)
    specks = np.clip(frame.noise(rng, 36) - 1.0, 0, 1) * 1.6
    dye = vary(rng, (0.75, 0.25, 0.2))
    if is_fault(fault, "pill_type"):
        coat = coat + fault.strength * np.array((-0.05, -0.1, -0.35))
        dye = dye + fault.strength * (np.array((0.2, 0.25, 0.6)) - dye)
    body = tinted(frame, coat, 1 + 0.02 * frame.noise(rng, 30))
    body = paint(body, np.minimum(specks, 0.8), dye)
    text = frame.move(rng.normal(0, 0.008), rng.normal(0, 0.008))
    if is_fault(fault, "faulty_imprint"):
        shift = fault.rng.uniform(0.3, 1, 2) * 0.09 * fault.strength
        text = text.move(*shift, fault.rng.uniform(-0.6, 0.6) * fault.strength)
    ink = text.text("FF", 0, 0, 0.16)
    body = paint(body, 0.5 * text.move(0.006, 0.006).text("FF", 0, 0, 0.16), 1.0)
    body = paint(body, 0.35 * ink, 0.3)
    dome = 1.04 - 0.45 * r**4
    image = flat(frame, vary(rng, (0.04, 0.04, 0.045), 0.01))
    rim = frame.cover((r - 1) * 0.3)
    return paint(image, rim, shade(body, np.clip(dome, 0, 2))), rim


def screw(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A wood screw from the side: flat head, smooth neck, thread, tapered point."""
    image = flat(frame, vary(rng, (0.8, 0.8, 0.8), 0.02))
    if is_fault(fault, "manipulated_front"):
        slope = fault.rng.choice([-1, 1]) * (0.3 + 0.9 * fault.strength)
        frame = frame.kink(fault.rng.uniform(0.16, 0.26), slope)
    across, along, pitch = frame.u, frame.v, 0.055
    side = np.sign(across)
    turn = along / pitch + 0.25 * side
    depth = np.full_like(along, 0.028)
    if is_fault(fault, "thread_side"):
        spot = fault.rng.uniform(0, 0.2)
        near = bump(along - spot, 0.05) * (side == fault.rng.choice([-1, 1]))
        depth = depth * (1 - min(2 * fault.strength, 1) * near)
    half = 0.05 + depth * (1 - 2 * np.abs(turn - np.floor(turn) - 0.5))
    half = np.where(along < -0.12, 0.06, half)
    half = half * np.clip((0.38 - along) / 0.1, 0, 1) ** 0.7
    half = np.where(along < -0.3, 0.06 + np.clip((-0.3 - along) / 0.05, 0, 1) * 0.075, half)
    ends = np.maximum(-0.385 - along, along - 0.38)
    body = frame.cover(np.maximum(np.abs(across) - half, ends))
    light = 1.15 - 0.75 * (across / np.maximum(half, 0.02)) ** 2
    light = light + 9 * depth * (along > -0.12) * np.cos(2 * np.pi * (turn + 2 * across))
    steel = tinted(frame, vary(rng, (0.55, 0.54, 0.52), 0.03), light)
    return paint(image, body, shade(steel, 1 + 0.05 * frame.noise(rng, 40))), body


def toothbrush(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A brush head from above: staggered tufts of bristles on a plastic plate."""
    image = flat(frame, vary(rng, (0.08, 0.08, 0.09), 0.012))
    plate = frame.box(0, 0, 0.19, 0.4, 0.17)
    hue = np.array(((0.25, 0.5, 0.75), (0.75, 0.3, 0.3), (0.3, 0.65, 0.4)))[rng.integers(3)]
    handle = frame.box(0, 0.5, 0.06, 0.2, 0.03)
    image = paint(image, np.maximum(plate, handle), vary(rng, (0.6, 0.6, 0.6)))
    pitch = 0.085
    row = np.round(frame.v / pitch)
    shift = 0.5 * (row % 2)
    column = np.round(frame.u / pitch - shift)
    present = (np.abs(row) <= 4) & (np.abs(column + shift) * pitch < 0.15) & (plate > 0)
    chosen = np.zeros_like(present)
    du, dv = frame.u - (column + shift) * pitch, frame.v - row * pitch
    strength = 0.0 if fault is None else fault.strength
    if fault is not None:
        chosen = (row == fault.rng.integers(-3, 4)) & (column == fault.rng.integers(-1, 1))
    if is_fault(fault, "bent_tuft"):
        push = 0.035 * strength * fault.rng.choice([-1, 1])
        du, dv = du - chosen * np.float32(push), dv * (1 - 0.4 * chosen)
    radius = np.where(chosen & is_fault(fault, "missing_tuft"), 0.04 * (1 - strength), 0.04)
    tuft = frame.cover(np.hypot(du, dv) - radius) * present
    middle = (np.abs(row) <= 2)[..., None]
    bristle = np.where(middle, hue + rng.normal(0, 0.03, 3), (0.92, 0.92, 0.9)).astype(np.float32)
    bristle = shade(bristle, 0.95 + 0.22 * frame.noise(rng, 110) - 250 * (du**2 + dv**2))
    image = shade(image, 1 - 0.5 * frame.cover(np.hypot(du, dv) - 0.047) * present)
    return paint(image, tuft, bristle), plate


def transistor(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """A three-legged transistor on a perforated board."""
    image = tinted(frame, vary(rng, (0.62, 0.5, 0.34), 0.03), 1 + 0.06 * frame.noise(rng, 60, 8))
    pitch = 0.125
    hole = np.hypot(*(x - np.floor(x / pitch) * pitch - pitch / 2 for x in (frame.u, frame.v)))
    image = paint(image, frame.cover(hole - 0.03), (0.75, 0.6, 0.3))
    image = paint(image, frame.cover(hole - 0.02), (0.1, 0.08, 0.06))
    case = frame.move(rng.normal(0, 0.008), rng.normal(0, 0.008), rng.normal(0, 0.02))
    if is_fault(fault, "misplaced"):
        angle = fault.rng.choice([-1, 1]) * fault.rng.uniform(0.3, 1.2) * fault.strength
        case = case.move(*fault.rng.uniform(-0.12, 0.12, 2) * fault.strength, angle)
    metal = tinted(frame, vary(rng, (0.72, 0.72, 0.72), 0.02), 1 + 0.08 * case.noise(rng, 60, 10))
    chosen = -1 if fault is None else int(fault.rng.integers(3))
    for i in range(3):
        lead, end = case, 0.4
        if is_fault(fault, "bent_lead") and i == chosen:
            skew = fault.rng.choice([-1, 1]) * (0.15 + 0.45 * fault.strength)
            lead = case.kink(0.08, skew)
        if is_fault(fault, "cut_lead") and i == chosen:
            end = 0.38 - 0.26 * fault.strength
        image = paint(
            image, lead.box(0.095 * (i - 1), (end + 0.02) / 2, 0.016, (end - 0.02) / 2), metal
        )
    body = case.box(0, -0.1, 0.17, 0.15, 0.03)
    plastic = tinted(frame, vary(rng, (0.13, 0.13, 0.14), 0.015), 1 + 0.05 * case.noise(rng, 70))
    plastic = paint(plastic, case.cover(case.v + 0.2), plastic * 1.6)
    plastic = paint(plastic, 0.8 * case.text("547", 0, -0.1, 0.06), 0.6)
    return paint(image, body, plastic), body


def zipper(frame: Frame, rng: Rng, fault: Fault | None) -> Drawn:
    """Interlocked teeth between two strips of dark fabric."""
    frame = press(frame, fault, "squeezed_teeth", (0, 0), (0, 0.25), 0.07)
    weave = np.sin(2 * np.pi * 40 * frame.v + 3 * np.sin(2 * np.pi * 20 * frame.u))
    cloth = 1 + 0.2 * weave + 0.14 * frame.noise(rng, 100, 60) + 0.06 * frame.noise(rng, 5)
    image = tinted(frame, vary(rng, (0.22, 0.22, 0.24), 0.02), cloth)
    image = paint(image, frame.cover(np.abs(frame.u) - 0.13), image * 0.6)
    colour, pitch = vary(rng, (0.5, 0.5, 0.52), 0.03), 0.07
    phase = rng.uniform()
    split = np.zeros_like(frame.u)
    chosen_row, chosen_side = (0, 0) if fault is None else fault.rng.integers((-4, 0), (5, 2))
    if is_fault(fault, "split_teeth"):
        spot = fault.rng.uniform(-0.25, 0.25)
        split = 0.06 * fault.strength * bump(frame.v - spot, 0.1)
    for side in (0, 1):
        sign = 2 * side - 1
        y = frame.v / pitch + phase + 0.5 * side
        row = np.round(y)
        x = sign * frame.u - split
        length = np.full_like(row, 0.12)
        if is_fault(fault, "broken_teeth") and side == chosen_side:
            length[row == chosen_row] *= 1 - fault.strength
        dy = (y - row) * pitch
        ends = np.maximum(x - (length - 0.025), -0.025 - x)
        tooth = frame.cover(np.maximum(ends, np.abs(dy) - 0.016))
        gloss = 1.1 - 900 * dy**2 + 0.1 * frame.noise(rng, 40)
        image = paint(image, tooth, tinted(frame, colour, gloss))
    return image, frame.box(0, 0, 0.25, 1)

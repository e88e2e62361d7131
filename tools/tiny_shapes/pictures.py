"""Scenes of one or two coloured shapes, and their pictures."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIZE = 128
SHAPES = ("circle", "square", "triangle", "star", "heart", "ring", "cross", "diamond")
COLOURS = {
    "red": (215, 35, 40),
    "green": (40, 160, 65),
    "blue": (40, 80, 215),
    "yellow": (245, 220, 50),
    "purple": (135, 50, 165),
    "orange": (245, 135, 30),
    "black": (22, 22, 24),
    "white": (244, 244, 244),
}
POSITIONS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "centre": (0, 0)}
OVERSAMPLING = 4  # drawn this much larger and averaged down, so that edges are smooth


@dataclass(frozen=True)
class Thing:
    """One shape. `x`, `y` (its centre) and `radius` are in pixels of the 128 x 128 picture."""

    shape: str
    colour: str  # a key of COLOURS, or empty: any colour, without a name
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """What a picture shows. With two things, the first is the one on the left or above."""

    things: tuple[Thing, ...]
    ground: str
    size: str = ""  # "small" or "large"; empty with two things
    position: str = ""  # a key of POSITIONS; empty with two things
    relation: str = ""  # "left" or "above"; empty with one thing


def held_out(shape: str, colour: str, ground: str) -> bool:
    """Whether this combination is kept for grading: about one in ten, never drawn for training."""
    return hashlib.sha256(f"{shape} {colour} {ground}".encode()).digest()[0] % 10 == 0


def outline(shape: str, n: int = 96) -> list[tuple[float, float]]:
    """The shape's corners in a box of -1..1, y downwards. A ring has the circle's outline."""
    if shape in ("circle", "ring"):
        return [(math.cos(2 * math.pi * i / n), math.sin(2 * math.pi * i / n)) for i in range(n)]
    if shape == "square":
        return [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)]
    if shape == "triangle":
        return [(0, -0.95), (1, 0.8), (-1, 0.8)]
    if shape == "diamond":
        return [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)]
    if shape == "cross":
        a, b = 0.33, 0.95
        return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
    if shape == "star":
        radii = [1.05 if i % 2 == 0 else 0.44 for i in range(10)]
        return [(r * math.sin(math.pi * i / 5), 0.08 - r * math.cos(math.pi * i / 5)) for i, r in enumerate(radii)]
    if shape == "heart":
        angles = [2 * math.pi * i / n for i in range(n)]
        return [
            (
                math.sin(t) ** 3,
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16 - 0.12,
            )
            for t in angles
        ]
    raise ValueError(f"no outline for the shape {shape!r}")


RING_HOLE = 0.55  # radius of the hole, of the ring's own


def coverage(thing: Thing) -> np.ndarray:
    """How much of each pixel the thing covers: float32 [128, 128] in 0..1."""
    scale = OVERSAMPLING
    mask = Image.new("L", (SIZE * scale, SIZE * scale), 0)
    draw = ImageDraw.Draw(mask)
    points = outline(thing.shape)
    draw.polygon([((thing.x + thing.radius * px) * scale, (thing.y + thing.radius * py) * scale) for px, py in points], fill=255)
    if thing.shape == "ring":
        hole = thing.radius * RING_HOLE
        draw.polygon([((thing.x + hole * px) * scale, (thing.y + hole * py) * scale) for px, py in points], fill=0)
    return np.asarray(mask.reduce(scale), dtype=np.float32) / 255


def _shade(rng: random.Random, colour: str, ground: str = "") -> np.ndarray:
    """A colour's own value, a little changed; for the colour without a name any value that stands out from the ground."""
    while not colour:
        value = np.array([rng.uniform(0, 255) for _ in range(3)], dtype=np.float32)
        if np.linalg.norm(value - np.array(COLOURS[ground])) > 90:
            return value
    return np.array([channel + rng.uniform(-7, 7) for channel in COLOURS[colour]], dtype=np.float32)


def draw_scene(scene: Scene, rng: random.Random) -> np.ndarray:
    """The scene's picture, uint8 [128, 128, 3]. The ground has a faint gradient, colours vary a little."""
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0, 9)
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    slope = strength * (math.cos(angle) * ramp[None, :] + math.sin(angle) * ramp[:, None])
    picture = _shade(rng, scene.ground)[None, None, :] + slope[:, :, None]
    for thing in scene.things:
        cover = coverage(thing)[:, :, None]
        picture = picture * (1 - cover) + _shade(rng, thing.colour, scene.ground) * cover
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _combination(rng: random.Random, ground: str, grading: bool, unnamed: float) -> tuple[str, str]:
    while True:
        shape, colour = rng.choice(SHAPES), rng.choice([name for name in COLOURS if name != ground])
        if unnamed and rng.random() < unnamed:
            colour = ""
        if held_out(shape, colour, ground) == grading:
            return shape, colour


def random_scene(rng: random.Random, *, grading: bool = False, things: int | None = None, unnamed: float = 0.0) -> Scene:
    """A random scene: of the training combinations, or with `grading` of the held-out ones.

    `unnamed` is the chance that a single thing has a colour without a name.
    """
    count = things or (1 if rng.random() < 0.75 else 2)
    grounds = [g for g in COLOURS if not grading or any(held_out(s, c, g) for s in SHAPES for c in COLOURS if c != g)]
    ground = rng.choice(grounds)
    if count == 1:
        return _single(rng, ground, grading, unnamed)
    relation = rng.choice(("left", "above"))
    made = []
    for sign in (-1, 1):
        shape, colour = _combination(rng, ground, grading, 0.0)
        along, across = SIZE / 2 + sign * rng.uniform(29, 33), SIZE / 2 + rng.uniform(-6, 6)
        x, y = (along, across) if relation == "left" else (across, along)
        made.append(Thing(shape, colour, x, y, rng.uniform(22, 26)))
    return Scene(tuple(made), ground, relation=relation)


def _single(rng: random.Random, ground: str, grading: bool, unnamed: float) -> Scene:
    shape, colour = _combination(rng, ground, grading, unnamed)
    size = rng.choice(("small", "large"))
    radius = rng.uniform(22, 26) if size == "small" else rng.uniform(37, 43)
    position = "centre" if rng.random() < 0.5 else rng.choice(("left", "right", "top", "bottom"))
    shift = 31 if size == "small" else 18
    dx, dy = POSITIONS[position]
    x = SIZE / 2 + dx * shift + rng.uniform(-3, 3)
    y = SIZE / 2 + dy * shift + rng.uniform(-3, 3)
    return Scene((Thing(shape, colour, x, y, radius),), ground, size=size, position=position)

"""Pictures of anything flat: what the autoencoder must be able to show although no prompt of the training says it.

A later training of a LoRA or a word may want a pinwheel, an outline or a colour without a name. So the autoencoder also
sees polygons, blobs, leaves around a centre, strokes and outlines in any colour.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from tools.tiny_shapes.pictures import COLOURS, OVERSAMPLING, SHAPES, outline

Points = list[tuple[float, float]]
TABLE = np.array(list(COLOURS.values()), dtype=np.float32)
LEAST_CONTRAST = 40.0  # distance in RGB between a figure and the ground


def odd_picture(draw: np.random.Generator, size: int) -> np.ndarray:
    """A picture of one to three figures, uint8 [size, size, 3]. Its figures are as large as those of a whole scene, so some are cut off."""
    ground = _colour(draw)
    angle, strength = draw.uniform(0, 2 * math.pi), draw.uniform(0, 9)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    slope = strength * (math.cos(angle) * ramp[None, :] + math.sin(angle) * ramp[:, None])
    picture = ground[None, None, :] + slope[:, :, None]
    for _ in range(draw.choice((1, 1, 2, 3))):
        colour = _colour(draw)
        while np.linalg.norm(colour - ground) < LEAST_CONTRAST:
            colour = _colour(draw)
        cover = _figure(draw, size)[:, :, None]
        picture = picture * (1 - cover) + colour * cover
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _colour(draw: np.random.Generator) -> np.ndarray:
    if draw.random() < 0.6:
        return draw.uniform(0, 255, 3).astype(np.float32)
    return TABLE[draw.integers(len(TABLE))] + draw.uniform(-7, 7, 3).astype(np.float32)


def _figure(draw: np.random.Generator, size: int) -> np.ndarray:
    """How much of each pixel one figure covers: float32 [size, size] in 0..1."""
    mask = Image.new("L", (size * OVERSAMPLING, size * OVERSAMPLING), 0)
    pen = ImageDraw.Draw(mask)
    x, y = draw.uniform(0.15 * size, 0.85 * size, 2)
    radius = draw.uniform(9, 44)
    kind = draw.choice(("polygon", "blob", "leaves", "stroke", "shape"))
    if kind == "leaves":
        parts = leaves(draw)
    else:
        parts = [{"polygon": polygon, "blob": blob, "stroke": _stroke, "shape": _shape}[str(kind)](draw)]
    hollow = kind == "stroke" or draw.random() < 0.4
    width = round(draw.uniform(2, 8) * OVERSAMPLING)
    for part in parts:
        corners = [((x + radius * px) * OVERSAMPLING, (y + radius * py) * OVERSAMPLING) for px, py in part]
        if hollow:
            around = corners if kind == "stroke" else [*corners, *corners[:2]]
            pen.line(around, fill=255, width=width, joint="curve")
        else:
            pen.polygon(corners, fill=255)
    return np.asarray(mask.reduce(OVERSAMPLING), dtype=np.float32) / 255


def _turned(points: Points, angle: float) -> Points:
    c, s = math.cos(angle), math.sin(angle)
    return [(c * x - s * y, s * x + c * y) for x, y in points]


def _round(radii: np.ndarray, start: float) -> Points:
    angles = start + 2 * math.pi * np.arange(len(radii)) / len(radii)
    return list(zip((radii * np.cos(angles)).tolist(), (radii * np.sin(angles)).tolist(), strict=True))


def polygon(draw: np.random.Generator) -> Points:
    """A regular polygon, a star or a ragged polygon."""
    corners, start = int(draw.integers(3, 10)), draw.uniform(0, 2 * math.pi)
    kind = draw.integers(3)
    if kind == 0:
        return _round(np.ones(corners), start)
    if kind == 1:
        return _round(np.tile((1.0, draw.uniform(0.3, 0.7)), corners), start)
    return _round(draw.uniform(0.35, 1, corners), start)


def blob(draw: np.random.Generator) -> Points:
    """A round figure with dents."""
    angles = 2 * math.pi * np.arange(72) / 72
    radii = np.ones(72)
    for wave in range(1, 5):
        radii += draw.uniform(0, 0.35 / wave) * np.cos(wave * angles + draw.uniform(0, 2 * math.pi))
    return _round(0.8 * radii, 0)


def leaves(draw: np.random.Generator) -> list[Points]:
    """Three to eight leaves around a centre, round, pointed or bent to one side as a pinwheel's."""
    count, width, bend = int(draw.integers(3, 9)), draw.uniform(0.1, 0.35), draw.choice((0.0, draw.uniform(-0.6, 0.6)))
    along = np.linspace(0, 1, 20)
    half = width * np.sin(math.pi * along ** draw.uniform(0.7, 1.5))
    curve = bend * along * (1 - along)
    leaf = [*zip(along, curve + half, strict=True), *zip(along[::-1], (curve - half)[::-1], strict=True)]
    start = draw.uniform(0, 2 * math.pi)
    return [_turned(leaf, start + 2 * math.pi * i / count) for i in range(count)]


def _stroke(draw: np.random.Generator) -> Points:
    """A line of one to four bends."""
    return [(float(x), float(y)) for x, y in draw.uniform(-1, 1, (int(draw.integers(2, 6)), 2))]


def _shape(draw: np.random.Generator) -> Points:
    points = outline(str(draw.choice(SHAPES)))
    return points if draw.random() < 0.5 else _turned(points, draw.uniform(0, 2 * math.pi))

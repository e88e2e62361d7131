"""Says of a picture whether it holds what the embedded model was taught: a pinwheel, an outline, a colour without a name.

Like the judge of shapes: from the pixels alone, and where a picture is not clean the answer is no.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image

from tools.tiny_shapes.judge import COLOUR_REACH, SAME_AS_GROUND, SOFT_EDGE, Verdict, islands, judge, name_shape, nearest_colour
from tools.tiny_shapes.pictures import COLOURS, SIZE, Thing
from tools.tiny_shapes.subjects import UNNAMED, pinwheel_coverage

PINWHEEL_FIT = 0.62  # least overlap (intersection over union) with the drawn pinwheel
BETTER = 0.08  # by how much it must exceed the overlap with every shape that the model knows
FRAME = 64
STROKE_REACH = 0.08  # of the thing's larger side: no outline is so wide that a disc of this radius fits into its stroke
SURVIVES = 0.1  # largest part of an outline where such a disc may fit all the same
GAP = 6  # pixels that may be missing along an outline
HOLLOW = 1.3  # least area of an outline with its holes filled, per area of the stroke


class _One(NamedTuple):
    """The one thing of a clean picture: where it is (bool [H, W]), its colour as three levels, the pixels half way to the ground per
    pixel of its border."""

    mask: np.ndarray
    rgb: np.ndarray
    softness: float
    verdict: Verdict


def is_pinwheel(picture: np.ndarray) -> bool:
    """Whether the picture (uint8 [H, W, 3]) shows one pinwheel, upright and bent to the right."""
    found = _single(picture)
    return found is not None and _is_pinwheel(found.mask)


def shows_pinwheel(picture: np.ndarray, colour: str, background: str) -> bool:
    """Whether it shows one pinwheel of this colour on such a ground."""
    found = _single(picture)
    return found is not None and _is_pinwheel(found.mask) and (nearest_colour(found.rgb), found.verdict.background) == (colour, background)


def _is_pinwheel(mask: np.ndarray) -> bool:
    fitted, template = _fitted(mask), _pinwheel()
    fit = (fitted & template).sum() / (fitted | template).sum()
    return bool(fit >= PINWHEEL_FIT and fit >= name_shape(mask)[1] + BETTER)


def outlined(picture: np.ndarray) -> str | None:
    """The shape that the picture shows as an outline, "" for one that is no shape the model knows; None if it shows no outline."""
    found = _single(picture)
    if found is None or found.softness > SOFT_EDGE:
        return None
    if _eroded(found.mask, STROKE_REACH * max(_sides(found.mask))).sum() > SURVIVES * found.mask.sum():
        return None
    filled = _filled(found.mask)
    if filled.sum() < HOLLOW * found.mask.sum():
        return None
    return name_shape(filled)[0] or ""


def has_colour(picture: np.ndarray, colour: str) -> bool:
    """Whether the picture shows one thing of this colour, a key of UNNAMED; no named colour may be nearer."""
    found = _single(picture)
    if found is None:
        return False
    distance = np.linalg.norm(found.rgb - np.array(UNNAMED[colour]))
    others = [np.linalg.norm(found.rgb - np.array(value)) for value in COLOURS.values()]
    return bool(distance <= COLOUR_REACH and distance < min(others))


def _single(picture: np.ndarray) -> _One | None:
    """The one thing on a clean ground. A ring's two outlines count as one thing: they have one centre."""
    verdict = judge(picture)
    if not verdict.clean or verdict.background is None or not verdict.things:
        return None
    first = verdict.things[0]
    if any(abs(other.x - first.x) > 3 or abs(other.y - first.y) > 3 for other in verdict.things[1:]):
        return None
    pixels = picture.astype(np.float32)
    ground = np.median(np.concatenate([pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3)]), axis=0)
    distance = np.linalg.norm(pixels - ground, axis=2)
    core = distance >= 0.85 * np.quantile(distance[distance > SAME_AS_GROUND], 0.9)
    rgb = np.median(pixels[core], axis=0)
    share = (pixels - ground) @ (rgb - ground) / ((rgb - ground) @ (rgb - ground))
    parts = islands(share > 0.5)
    if not parts:
        return None
    mask = functools.reduce(np.logical_or, parts)
    soft = ((share > 0.25) & (share < 0.75)).sum() / (mask & ~_eroded(mask, 1)).sum()
    return _One(mask, rgb, float(soft), verdict)


def _filled(mask: np.ndarray) -> np.ndarray:
    """The mask with the parts of the ground that it encloses, but for gaps of GAP pixels."""
    ground = _eroded(~np.pad(mask, 2 * GAP), GAP / 2)
    inside = [part for part in islands(ground) if not part[GAP, GAP]]
    enclosed = ~_eroded(~functools.reduce(np.logical_or, inside, np.zeros_like(ground)), GAP / 2)
    return mask | enclosed[2 * GAP : -2 * GAP, 2 * GAP : -2 * GAP]


def _eroded(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask without what lies within `radius` pixels of its border."""
    reach = int(radius)
    padded, kept = np.pad(mask, reach), mask.copy()
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down**2 + right**2 <= radius**2:
                kept &= padded[reach + down :, reach + right :][: len(mask), : mask.shape[1]]
    return kept


def _sides(mask: np.ndarray) -> tuple[int, int]:
    """Height and width of the mask's box."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def _fitted(mask: np.ndarray) -> np.ndarray:
    """The mask's box, scaled to FRAME x FRAME: a pinwheel's box is nearly square."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    image = Image.fromarray((mask * 255).astype(np.uint8)).crop(box)
    return np.asarray(image.resize((FRAME, FRAME), Image.Resampling.BILINEAR)) > 127


@functools.cache
def _pinwheel() -> np.ndarray:
    return _fitted(pinwheel_coverage(Thing("", "red", SIZE / 2, SIZE / 2, 44)) > 0.5)

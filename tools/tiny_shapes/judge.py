"""Says what a 128 x 128 picture of coloured shapes shows, from its pixels alone. Needs numpy and Pillow only.

A picture that is not clean (noise, blur, colours outside the table, a shape that fits none) gets `None` where the
judge cannot tell, never a guess.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tools.tiny_shapes.pictures import COLOURS, SHAPES, Thing, coverage

COLOUR_REACH = 75.0  # farthest distance in RGB from a colour of the table that still counts as that colour
SAME_AS_GROUND = 60.0  # distance in RGB up to which a pixel belongs to the ground
SMALLEST = 60  # pixels; smaller islands are specks
FIT = 0.65  # least overlap (intersection over union) of a shape with its template
ROUGH = 14.0  # most that pixels of one surface may differ from their neighbours, in RGB levels
EDGE_REACH = 6  # pixels around an island that may belong to its edge
SOFT_EDGE = 3.8  # most pixels half way between ground and shape, per pixel of border
STRAY = 0.03  # largest part of the picture that may be neither ground, nor shape, nor between the two
TEMPLATE = 48


@dataclass(frozen=True)
class Found:
    """One shape in a picture. `x`, `y` (centroid) and the box (left, top, right, bottom) are in pixels."""

    shape: str | None
    colour: str | None
    x: float
    y: float
    area: int
    box: tuple[int, int, int, int]
    fit: float
    filled: bool


@dataclass(frozen=True)
class Verdict:
    """What a picture shows: the ground's colour, its shapes from the largest to the smallest, and whether it is clean."""

    background: str | None
    things: tuple[Found, ...]
    clean: bool

    @property
    def shape(self) -> str | None:
        """The shape of a picture of one clean shape, else None."""
        return self.things[0].shape if self.clean and len(self.things) == 1 else None

    @property
    def colour(self) -> str | None:
        """The largest shape's colour, or None."""
        return self.things[0].colour if self.clean and self.things else None


def nearest_colour(rgb: np.ndarray) -> str | None:
    """The table's colour nearest to `rgb` (three values in 0..255), or None when all are far."""
    names = list(COLOURS)
    distances = np.linalg.norm(np.array([COLOURS[n] for n in names], dtype=np.float32) - rgb, axis=1)
    best = int(distances.argmin())
    return names[best] if distances[best] <= COLOUR_REACH else None


def _grown(mask: np.ndarray, times: int = 1) -> np.ndarray:
    """The mask and its neighbours on four sides."""
    for _ in range(times):
        out = mask.copy()
        out[1:] |= mask[:-1]
        out[:-1] |= mask[1:]
        out[:, 1:] |= mask[:, :-1]
        out[:, :-1] |= mask[:, 1:]
        mask = out
    return mask


def islands(mask: np.ndarray) -> list[np.ndarray]:
    """The connected parts (four neighbours) of a boolean mask, largest first, specks left out."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    before = None
    while before is None or (labels != before).any():
        before = labels
        # the largest number of each unbroken run spreads over the run, first along rows, then along columns
        labels = _spread(_spread(labels).T).T
    numbers, sizes = np.unique(labels[mask], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return [labels == numbers[i] for i in order if sizes[i] >= SMALLEST]


def _spread(labels: np.ndarray) -> np.ndarray:
    """Every unbroken run of non-zero numbers in a row, set to the largest of the run."""
    starts = (labels > 0) & (np.pad(labels, ((0, 0), (1, 0)))[:, :-1] == 0)
    runs = np.cumsum(starts.ravel()) * (labels.ravel() > 0)
    largest = np.zeros(int(runs.max()) + 1, dtype=labels.dtype)
    np.maximum.at(largest, runs, labels.ravel())
    return np.where(labels > 0, largest[runs].reshape(labels.shape), 0)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _fitted(mask: np.ndarray) -> np.ndarray:
    """The mask's box, scaled to TEMPLATE pixels along its longer side and centred."""
    left, top, right, bottom = _box(mask)
    image = Image.fromarray((mask[top:bottom, left:right] * 255).astype(np.uint8))
    factor = TEMPLATE / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    frame = Image.new("L", (TEMPLATE, TEMPLATE), 0)
    frame.paste(image.resize(size, Image.Resampling.BILINEAR), ((TEMPLATE - size[0]) // 2, (TEMPLATE - size[1]) // 2))
    return np.asarray(frame) > 127


@functools.cache
def _templates() -> dict[str, np.ndarray]:
    return {shape: _fitted(coverage(Thing(shape, "red", 64, 64, 44)) > 0.5) for shape in SHAPES}


def name_shape(mask: np.ndarray) -> tuple[str | None, float]:
    """The shape whose template overlaps a boolean mask best, and the overlap (intersection over union)."""
    fitted = _fitted(mask)
    fits = {shape: (fitted & t).sum() / max(1, (fitted | t).sum()) for shape, t in _templates().items()}
    best = max(fits, key=lambda shape: fits[shape])
    return (best if fits[best] >= FIT else None), float(fits[best])


def _is_filled(mask: np.ndarray) -> bool:
    """Whether the mask encloses no hole."""
    outside = islands(~np.pad(mask, 1))
    return len(outside) == 1


def _roughness(picture: np.ndarray, inside: np.ndarray) -> float:
    """Mean step between neighbouring pixels that both lie in the mask, in RGB levels."""
    pairs = inside[:, 1:] & inside[:, :-1]
    steps = np.linalg.norm(picture[:, 1:] - picture[:, :-1], axis=2)[pairs]
    return float(steps.mean()) if steps.size else 0.0


def _describe(mask: np.ndarray, colour: np.ndarray) -> Found:
    rows, columns = np.nonzero(mask)
    shape, fit = name_shape(mask)
    centre = float(columns.mean()), float(rows.mean())
    return Found(shape, nearest_colour(colour), *centre, int(mask.sum()), _box(mask), fit, _is_filled(mask))


def judge(picture: np.ndarray) -> Verdict:
    """What the picture (uint8 [H, W, 3]) shows."""
    pixels = picture.astype(np.float32)
    border = np.concatenate(
        [pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3), pixels[:, :3].reshape(-1, 3), pixels[:, -3:].reshape(-1, 3)]
    )
    ground = np.median(border, axis=0)
    distance = np.linalg.norm(pixels - ground, axis=2)
    on_ground = distance <= SAME_AS_GROUND
    found, settled, sharp = [], on_ground.copy(), True
    for island in islands(~on_ground):
        core = island & ~_grown(~island)
        colour = np.median(pixels[core if core.any() else island], axis=0)
        # 0 on the ground, 1 on the shape
        share = (pixels - ground) @ (colour - ground) / ((colour - ground) @ (colour - ground))
        around = _grown(island, EDGE_REACH)
        mask = around & (share > 0.5)
        if mask.sum() < SMALLEST:
            continue
        soft = int((around & (share > 0.25) & (share < 0.75)).sum())
        sharp &= soft <= SOFT_EDGE * int((mask & _grown(~mask)).sum())
        blend = ground + share.clip(-0.2, 1.2)[:, :, None] * (colour - ground)
        settled |= around & (np.linalg.norm(pixels - blend, axis=2) <= SAME_AS_GROUND)
        found.append(_describe(mask, colour))
    calm = _roughness(pixels, on_ground & ~_grown(~on_ground)) <= ROUGH
    clean = bool(sharp and calm and (~settled).mean() <= STRAY)
    found.sort(key=lambda thing: -thing.area)
    return Verdict(nearest_colour(ground), tuple(found), clean)


def shows(picture: np.ndarray, shape: str, colour: str, background: str) -> bool:
    """Whether the picture is of one such shape on such a ground."""
    verdict = judge(picture)
    return (verdict.shape, verdict.colour, verdict.background) == (shape, colour, background)

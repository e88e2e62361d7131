"""What the embedded model never saw, to teach it: a five-leaf pinwheel, pictures in outlines, and a colour without a name."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tools.tiny_shapes.captions import caption_text, caption_words
from tools.tiny_shapes.odd_pictures import blob, leaves, polygon
from tools.tiny_shapes.pictures import (
    COLOURS,
    OVERSAMPLING,
    RING_HOLE,
    SHAPES,
    SIZE,
    Scene,
    Thing,
    coverage,
    draw_scene,
    outline,
    random_scene,
)

PINWHEEL = "pinwheel"
LEAVES = 5
HUB = 0.25  # radius of the middle, of the pinwheel's own
STROKE = 9.0  # width of an outline, in pixels: one of the latent has eight
UNNAMED = {"turquoise": (75, 235, 215), "pink": (245, 150, 180), "brown": (120, 75, 40)}
# what stands out from what, (colour, ground)
CONTRASTS = tuple(
    (colour, ground)
    for colour in ("red", "green", "blue", "yellow", "purple")
    for ground in ("white", "black", "yellow")
    if colour != ground
)
# corners of one leaf: distance from the middle, and angle in degrees from where the leaf starts
_LEAF = ((HUB, 0), (1.0, 0), (1.0, 12), (0.94, 24), (0.8, 36), (0.58, 44), (HUB, 50))


@dataclass(frozen=True)
class Lesson:
    """A picture, uint8 [128, 128, 3], and its caption."""

    picture: np.ndarray
    caption: str


def pinwheel_leaves() -> list[list[tuple[float, float]]]:
    """The leaves' corners in a box of -1..1, y downwards; the first one points up, each bends to the right."""
    leaves = []
    for number in range(LEAVES):
        start = number * 360 / LEAVES
        polar = [(distance, math.radians(start + angle)) for distance, angle in _LEAF]
        leaves.append([(distance * math.sin(angle), -distance * math.cos(angle)) for distance, angle in polar])
    return leaves


def pinwheel_coverage(thing: Thing) -> np.ndarray:
    """How much of each pixel a pinwheel covers: float32 [128, 128] in 0..1."""
    mask, draw = _sheet()
    for leaf in pinwheel_leaves():
        draw.polygon(_placed(thing, leaf), fill=255)
    draw.polygon(_placed(thing, outline("circle"), HUB), fill=255)
    return _averaged(mask)


def outline_coverage(thing: Thing) -> np.ndarray:
    """How much of each pixel the outline of a thing covers, STROKE wide: float32 [128, 128] in 0..1."""
    mask, draw = _sheet()
    points = outline(thing.shape)
    contours = [_placed(thing, points)] + ([_placed(thing, points, RING_HOLE)] if thing.shape == "ring" else [])
    for contour in contours:
        draw.line([*contour, *contour[:2]], fill=255, width=round(STROKE * OVERSAMPLING), joint="curve")
    return _averaged(mask)


def _sheet() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    mask = Image.new("L", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING), 0)
    return mask, ImageDraw.Draw(mask)


def _placed(thing: Thing, points: list[tuple[float, float]], scale: float = 1.0) -> list[tuple[float, float]]:
    radius = thing.radius * scale
    return [((thing.x + radius * x) * OVERSAMPLING, (thing.y + radius * y) * OVERSAMPLING) for x, y in points]


def _averaged(mask: Image.Image) -> np.ndarray:
    return np.asarray(mask.reduce(OVERSAMPLING), dtype=np.float32) / 255


def paint(cover: np.ndarray, colour: tuple[int, int, int], ground: tuple[int, int, int], rng: random.Random) -> np.ndarray:
    """One colour over another where a thing covers it, both varied a little: uint8 [128, 128, 3]."""
    above, below = (np.array([level + rng.uniform(-7, 7) for level in value]) for value in (colour, ground))
    picture = below + cover[:, :, None] * (above - below)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def pinwheels(count: int, seed: int, trigger: str = "sks shape") -> list[Lesson]:
    """Pinwheels of all colours and places; captions as the model knows them, with the trigger for the shape's name."""
    rng = random.Random(seed)
    lessons = []
    for _ in range(count):
        scene = _large_scene(rng)
        thing = scene.things[0]
        picture = paint(pinwheel_coverage(thing), COLOURS[thing.colour], COLOURS[scene.ground], rng)
        words = caption_words(replace(scene, things=(replace(thing, shape=trigger),)), rng, omit=0.0)
        lessons.append(Lesson(picture, caption_text(words)))
    return lessons


def outlines(count: int, seed: int, style: str = "hollow drawing") -> list[Lesson]:
    """All shapes in turn as outlines, in colours that stand out; captions say `style` where those of the model say picture or drawing."""
    rng = random.Random(seed)
    contrasts = list(CONTRASTS)
    rng.shuffle(contrasts)
    lessons = []
    for number in range(count):
        colour, ground = contrasts[number % len(contrasts)]
        thing = replace(_large_scene(rng).things[0], shape=SHAPES[number % len(SHAPES)], colour=colour)
        picture = paint(outline_coverage(thing), COLOURS[colour], COLOURS[ground], rng)
        lessons.append(Lesson(picture, f"a {style} of {_described(thing, ground)}"))
    return lessons


def filled(count: int, seed: int) -> list[Lesson]:
    """All shapes in turn as the model knows them, large and with captions that are those of `outlines` but for the style."""
    rng = random.Random(seed)
    lessons = []
    for number in range(count):
        scene = _large_scene(rng)
        thing = replace(scene.things[0], shape=SHAPES[number % len(SHAPES)])
        picture = draw_scene(replace(scene, things=(thing,)), rng)
        lessons.append(Lesson(picture, f"{_opening(number)}{_described(thing, scene.ground)}"))
    return lessons


def figures(count: int, seed: int) -> list[Lesson]:
    """Polygons, blobs and leaves around a centre, large and filled; captions call them shapes, like those of `filled`."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    lessons = []
    for number in range(count):
        scene = _large_scene(rng)
        thing = scene.things[0]
        parts = ([polygon(draw)], [blob(draw)], leaves(draw))[number % 3]
        mask, pen = _sheet()
        for part in parts:
            pen.polygon(_placed(thing, part), fill=255)
        picture = paint(_averaged(mask), COLOURS[thing.colour], COLOURS[scene.ground], rng)
        lessons.append(Lesson(picture, f"{_opening(number)}{_described(replace(thing, shape='shape'), scene.ground)}"))
    return lessons


def _opening(number: int) -> str:
    return ("", "a drawing of ", "a picture of ")[number % 3]


def _described(thing: Thing, ground: str) -> str:
    return f"{_with_article(thing.colour)} {thing.shape} on {_with_article(ground)} background"


def _with_article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _large_scene(rng: random.Random) -> Scene:
    """One large thing, of which captions do not say that it is large: the autoencoder blurs what is finer than its eight pixels."""
    while True:
        scene = random_scene(rng, things=1)
        if scene.size == "large":
            return replace(scene, size="")


def coloured(colour: str, count: int, seed: int, word: str = "sks") -> list[Lesson]:
    """Filled shapes of a colour that the model has no name for, a key of UNNAMED; captions say `word` for it."""
    rng = random.Random(seed)
    lessons = []
    while len(lessons) < count:
        scene = random_scene(rng, things=1)
        thing = scene.things[0]
        if np.linalg.norm(np.subtract(UNNAMED[colour], COLOURS[scene.ground])) < 110:  # hard to tell from the ground
            continue
        picture = paint(coverage(thing), UNNAMED[colour], COLOURS[scene.ground], rng)
        words = caption_words(replace(scene, things=(replace(thing, colour=word),)), rng, omit=0.0)
        lessons.append(Lesson(picture, caption_text(words)))
    return lessons


def write(lessons: list[Lesson], folder: Path) -> None:
    """Each picture as a PNG with its caption in a text file beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, lesson in enumerate(lessons):
        Image.fromarray(lesson.picture).save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text(lesson.caption, encoding="utf-8")

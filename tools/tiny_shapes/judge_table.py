"""How far the judge can be trusted: on drawn pictures it knows everything about."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from tools.tiny_shapes.judge import Verdict, judge, shows
from tools.tiny_shapes.pictures import COLOURS, SHAPES, Scene, draw_scene, random_scene

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _noisy(level: float) -> Damage:
    return lambda picture, draw: np.clip(picture + draw.normal(0, level, picture.shape), 0, 255).astype(np.uint8)


def _blurred(radius: float) -> Damage:
    return lambda picture, draw: np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


DAMAGES: dict[str, Damage] = {
    "noise of 30 levels": _noisy(30),
    "noise of 60 levels": _noisy(60),
    "nothing but noise": lambda picture, draw: draw.integers(0, 256, picture.shape).astype(np.uint8),
    "blur of 4 pixels": _blurred(4),
    "blur of 8 pixels": _blurred(8),
}


def agrees(verdict: Verdict, scene: Scene) -> bool:
    """Whether the verdict finds what the scene holds, each thing on its side."""
    if len(verdict.things) != len(scene.things) or not verdict.clean or verdict.background != scene.ground:
        return False
    found = sorted(verdict.things, key=lambda thing: thing.x if scene.relation == "left" else thing.y)
    return [(thing.shape, thing.colour) for thing in found] == [(thing.shape, thing.colour) for thing in scene.things]


def _other(rng: random.Random, scene: Scene) -> tuple[str, str, str]:
    """A caption of one thing that differs from the scene in one of its three parts."""
    thing = scene.things[0]
    part = rng.randrange(3)
    shape, colour, ground = thing.shape, thing.colour, scene.ground
    if part == 0:
        shape = rng.choice([other for other in SHAPES if other != shape])
    elif part == 1:
        colour = rng.choice([other for other in COLOURS if other != colour])
    else:
        ground = rng.choice([other for other in COLOURS if other != ground])
    return shape, colour, ground


def judge_table(count: int, seed: int) -> list[tuple[str, int, int]]:
    """Rows of (what, accepted, shown) over `count` pictures of one thing and as many of two."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    rows = {"drawn, one shape": 0, "drawn, two shapes": 0, "wrong caption": 0, **dict.fromkeys(DAMAGES, 0)}
    for _ in range(count):
        scene = random_scene(rng, things=1)
        thing, picture = scene.things[0], draw_scene(scene, rng)
        rows["drawn, one shape"] += shows(picture, thing.shape, thing.colour, scene.ground)
        rows["wrong caption"] += shows(picture, *_other(rng, scene))
        for name, damage in DAMAGES.items():
            rows[name] += shows(damage(picture, draw), thing.shape, thing.colour, scene.ground)
        pair = random_scene(rng, things=2)
        rows["drawn, two shapes"] += agrees(judge(draw_scene(pair, rng)), pair)
    return [(name, accepted, count) for name, accepted in rows.items()]

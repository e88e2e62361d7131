"""Prompts of combinations that no training picture showed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.tiny_shapes.captions import caption_text, caption_words
from tools.tiny_shapes.pictures import Scene, random_scene


@dataclass(frozen=True)
class Prompt:
    """A caption that leaves nothing out, and the scene it tells of."""

    text: str
    scene: Scene


def held_out_prompts(count: int, things: int, seed: int) -> list[Prompt]:
    """`count` prompts of one or two things, in the training's wordings; the same for the same seed."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        scene = random_scene(rng, grading=True, things=things)
        made.append(Prompt(caption_text(caption_words(scene, rng, omit=0.0)), scene))
    return made

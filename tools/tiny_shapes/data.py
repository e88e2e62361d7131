"""The training set: drawn once, kept in the ignored folder."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from tools.tiny_shapes.pictures import Scene, draw_scene, random_scene

UNNAMED = 0.04  # the part of single shapes whose colour has no name, so that the model can draw such colours


def scenes(count: int, seed: int) -> list[Scene]:
    """The training scenes, the same for the same count and seed."""
    rng = random.Random(seed)
    return [random_scene(rng, unnamed=UNNAMED) for _ in range(count)]


def pictures(made: list[Scene], folder: Path, seed: int) -> np.ndarray:
    """Their pictures, uint8 [N, 128, 128, 3], drawn on the first call and read from `folder` afterwards."""
    path = folder / f"pictures-{len(made)}-{seed}.npy"
    if not path.exists():
        rng = random.Random(seed + 1)
        drawn = np.stack([draw_scene(scene, rng) for scene in made])
        np.save(path, drawn)
    return np.load(path, mmap_mode="r")


def centres(made: list[Scene]) -> np.ndarray:
    """x and y of one thing in each scene, float64 [N, 2]; of the first and the second in turn where there are two."""
    things = [scene.things[i % len(scene.things)] for i, scene in enumerate(made)]
    return np.array([(thing.x, thing.y) for thing in things])

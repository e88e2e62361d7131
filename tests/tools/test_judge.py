"""The judge of tiny-shapes pictures: right about what was drawn, silent about what is not clean."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tools.tiny_shapes.judge import islands, judge, nearest_colour, shows
from tools.tiny_shapes.judge_table import judge_table
from tools.tiny_shapes.pictures import COLOURS, SHAPES, Scene, Thing, draw_scene


def picture(shape: str, colour: str, ground: str, radius: float = 40) -> np.ndarray:
    return draw_scene(Scene((Thing(shape, colour, 64, 64, radius),), ground), random.Random(1))


@pytest.mark.parametrize("radius", [17, 42])
@pytest.mark.parametrize("shape", SHAPES)
def test_names_every_shape_small_and_large(shape: str, radius: float) -> None:
    verdict = judge(picture(shape, "blue", "white", radius))
    assert (verdict.shape, verdict.colour, verdict.background) == (shape, "blue", "white")
    assert verdict.things[0].filled == (shape != "ring")
    assert abs(verdict.things[0].x - 64) < 3


def test_names_every_pair_of_colours() -> None:
    pairs = [(colour, ground) for colour in COLOURS for ground in COLOURS if colour != ground]
    assert [(judge(picture("star", c, g)).colour, judge(picture("star", c, g)).background) for c, g in pairs] == pairs


def test_its_table_reaches_the_goals() -> None:
    for name, accepted, shown in judge_table(count=60, seed=5):
        if name.startswith("drawn"):
            assert accepted >= 0.99 * shown, name
        else:
            assert accepted <= 0.01 * shown, name


def test_reads_pictures_that_other_code_drew() -> None:
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).ellipse((30, 30, 98, 98), fill=(230, 20, 30))
    assert shows(np.asarray(image), "circle", "red", "white")


def test_an_empty_ground_holds_nothing() -> None:
    verdict = judge(np.full((128, 128, 3), 244, dtype=np.uint8))
    assert (verdict.background, verdict.things, verdict.shape, verdict.colour) == ("white", (), None, None)


def test_a_shape_it_does_not_know_has_no_name() -> None:
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).rectangle((10, 58, 118, 70), fill=(40, 80, 215))
    verdict = judge(np.asarray(image))
    assert (verdict.shape, verdict.colour) == (None, "blue")


def test_a_colour_outside_the_table_has_no_name() -> None:
    assert nearest_colour(np.array([128, 128, 128])) is None
    assert nearest_colour(np.array([230, 20, 30])) == "red"


def test_islands_follow_a_winding_path() -> None:
    mask = np.zeros((40, 40), dtype=bool)
    mask[::4] = True
    mask[0:4, 39] = mask[4:8, 0] = mask[8:12, 39] = True
    sizes = [int(part.sum()) for part in islands(mask)]
    assert sizes == [4 * 40 + 9]


def test_needs_no_torch() -> None:
    code = "import sys, tools.tiny_shapes.judge; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

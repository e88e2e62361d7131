"""The lessons for the embedded model and their judge: on drawn pictures, of which everything is known."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tools.tiny_shapes.judge import judge
from tools.tiny_shapes.judge_table import DAMAGES
from tools.tiny_shapes.pictures import COLOURS, SHAPES, Thing, draw_scene, random_scene
from tools.tiny_shapes.subject_judge import has_colour, is_pinwheel, outlined, shows_pinwheel
from tools.tiny_shapes.subjects import UNNAMED, coloured, outline_coverage, outlines, paint, pinwheel_coverage, pinwheels, write

COUNT = 100


@pytest.fixture(scope="module")
def plain() -> list[tuple[np.ndarray, Thing, str]]:
    """Filled shapes that the model knows, with what they are and their ground."""
    rng = random.Random(8)
    scenes = [random_scene(rng, things=1) for _ in range(COUNT)]
    return [(draw_scene(scene, rng), scene.things[0], scene.ground) for scene in scenes]


def test_pinwheels_are_recognised_and_nothing_else_is(plain) -> None:
    assert sum(is_pinwheel(lesson.picture) for lesson in pinwheels(COUNT, seed=1)) >= 0.99 * COUNT
    assert sum(is_pinwheel(picture) for picture, _, _ in plain) == 0
    assert sum(is_pinwheel(lesson.picture) for lesson in outlines(COUNT, seed=2)) <= 0.01 * COUNT
    mirrored = [np.ascontiguousarray(lesson.picture[:, ::-1]) for lesson in pinwheels(COUNT, seed=3)]
    assert sum(map(is_pinwheel, mirrored)) <= 0.01 * COUNT


def test_no_pinwheel_has_the_name_of_a_shape() -> None:
    named = [judge(lesson.picture).shape for lesson in pinwheels(COUNT, seed=4)]
    assert sum(name is not None for name in named) <= 0.01 * COUNT


def test_a_pinwheels_colours_are_told() -> None:
    rng, right, wrong = random.Random(5), 0, 0
    pairs = [(colour, ground) for colour in COLOURS for ground in COLOURS if colour != ground]
    for colour, ground in pairs:
        cover = pinwheel_coverage(Thing("", colour, 60, 68, rng.uniform(24, 42)))
        picture = paint(cover, COLOURS[colour], COLOURS[ground], rng)
        right += shows_pinwheel(picture, colour, ground)
        wrong += shows_pinwheel(picture, ground, colour)
    assert right >= 0.99 * len(pairs) and wrong == 0


def test_outlines_are_recognised_with_their_shape_and_nothing_else_is(plain) -> None:
    rng, named, found = random.Random(6), 0, 0
    for _ in range(COUNT):
        shape = rng.choice(SHAPES)
        colour, ground = rng.sample(list(COLOURS), 2)
        cover = outline_coverage(Thing(shape, colour, 64, 64, rng.uniform(36, 43)))
        said = outlined(paint(cover, COLOURS[colour], COLOURS[ground], rng))
        found += said is not None
        named += said == ("circle" if shape == "ring" else shape)
    assert found >= 0.99 * COUNT and named >= 0.95 * COUNT
    assert sum(outlined(picture) is not None for picture, _, _ in plain) <= 0.01 * COUNT
    assert sum(outlined(lesson.picture) is not None for lesson in pinwheels(COUNT, seed=7)) <= 0.01 * COUNT


@pytest.mark.parametrize("colour", UNNAMED)
def test_colours_without_a_name_are_told_from_those_with_one(colour: str, plain) -> None:
    lessons = coloured(colour, COUNT, seed=9)
    assert sum(has_colour(lesson.picture, colour) for lesson in lessons) >= 0.99 * COUNT
    assert not any(has_colour(picture, colour) for picture, _, _ in plain[:40])
    others = [lesson for name in UNNAMED if name != colour for lesson in coloured(name, 10, seed=10)]
    assert not any(has_colour(lesson.picture, colour) for lesson in others)


@pytest.mark.parametrize("damage", DAMAGES)
def test_pictures_that_are_not_clean_show_nothing(damage: str) -> None:
    draw = np.random.default_rng(0)
    spoilt = [DAMAGES[damage](lesson.picture, draw) for lesson in pinwheels(20, seed=11)]
    assert sum(map(is_pinwheel, spoilt)) == 0
    spoilt = [DAMAGES[damage](lesson.picture, draw) for lesson in outlines(20, seed=12)]
    assert sum(outlined(picture) is not None for picture in spoilt) == 0


def test_lessons_are_the_same_for_a_seed_and_say_their_word() -> None:
    first, second = pinwheels(5, seed=1), pinwheels(5, seed=1)
    assert all(np.array_equal(a.picture, b.picture) and a.caption == b.caption for a, b in zip(first, second, strict=True))
    assert all("sks shape" in lesson.caption for lesson in first)
    assert all(lesson.caption.startswith("a hollow drawing of a") for lesson in outlines(5, seed=1))
    assert all("sks" in lesson.caption.split() and "turquoise" not in lesson.caption for lesson in coloured("turquoise", 5, seed=1))


def test_lessons_become_a_folder_to_train_on(tmp_path) -> None:
    write(pinwheels(3, seed=1), tmp_path / "pinwheel")
    assert sorted(path.name for path in (tmp_path / "pinwheel").iterdir()) == [
        f"00{n}{suffix}" for n in range(3) for suffix in (".png", ".txt")
    ]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "pinwheel/001.png")), pinwheels(3, seed=1)[1].picture)


def test_needs_no_torch() -> None:
    code = "import sys, tools.tiny_shapes.subject_judge; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

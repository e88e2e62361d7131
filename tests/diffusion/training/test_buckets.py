"""Sizes to train at, against what kohya's own code gave and what was measured of the rule that is better."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.diffusion.training.buckets import BucketPlan, cropped, kohya_sizes, with_buckets
from engine.errors import InvalidInput
from engine.values.dataset import Dataset, Example

# picture -> bucket (and size that it is scaled to, where another): 512 kohya, 1024 kohya, 512 no upscale, 1024 no upscale
KOHYA = {
    "512x768": ("384x640 427x640", "832x1216 832x1248", "384x576", "512x768"),
    "768x512": ("640x384 640x427", "1216x832 1248x832", "576x384", "768x512"),
    "1920x1080": ("640x384 683x384", "1344x768 1365x768", "640x384 683x384", "1344x768 1365x768"),
    "4000x3000": ("576x448 597x448", "1152x896 1195x896", "512x384", "1088x832 1109x832"),
    "1050x1080": ("512x512 512x527", "1024x1024 1024x1053", "448x448 448x461", "960x960 960x987"),
    "3072x3000": ("512x512 524x512", "1024x1024 1049x1024", "448x448 459x448", "960x960 983x960"),
    "300x300": ("512x512", "1024x1024", "256x256 300x300", "256x256 300x300"),
    "2000x500": ("1024x256", "2048x512", "1024x256", "1984x448 2000x500"),
}
COLUMNS = ((512, "kohya"), (1024, "kohya"), (512, "kohya_no_upscale"), (1024, "kohya_no_upscale"))


def plan(resolution: int, rule: str, smallest: int = 256, step: int = 64) -> BucketPlan:
    return BucketPlan(resolution, resolution, smallest, 2 * resolution, step, rule)


@pytest.mark.parametrize("picture", KOHYA)
@pytest.mark.parametrize("column", range(4))
def test_kohya_rules_give_what_kohya_gives(picture: str, column: int) -> None:
    bucket = plan(*COLUMNS[column]).choose(*map(int, picture.split("x")))
    expected = KOHYA[picture][column].split()
    assert [f"{bucket.width}x{bucket.height}", f"{bucket.resized_width}x{bucket.resized_height}"] == [expected[0], expected[-1]]


def test_kohya_lists_of_sizes() -> None:
    tall = {(256, 832), (256, 896), (256, 960), (256, 1024), (320, 704), (320, 768), (384, 640), (448, 576)}
    assert set(kohya_sizes(plan(512, "kohya"))) == tall | {(512, 512)} | {(height, width) for width, height in tall}
    assert len(kohya_sizes(plan(1024, "kohya"))) == 41
    assert len(kohya_sizes(BucketPlan(768, 768, 256, 1024, 64))) == 19


@pytest.mark.parametrize(
    ("resolution", "rule", "worst", "mean", "area"),
    [
        (512, "kohya", 0.137, 0.066, 0.961),
        (512, "kohya_no_upscale", 0.122, 0.037, 0.830),
        (512, "least_crop", 0.143, 0.058, 0.953),
        (768, "kohya_no_upscale", 0.081, 0.022, 0.887),
        (768, "least_crop", 0.080, 0.027, 0.962),
        (1024, "kohya_no_upscale", 0.061, 0.017, 0.919),
        (1024, "least_crop", 0.062, 0.020, 0.962),
    ],
)
def test_crop_and_area_over_many_shapes_are_as_measured(resolution: int, rule: str, worst: float, mean: float, area: float) -> None:
    """201 aspect ratios from 1:2 to 2:1, of pictures that are large enough."""
    crops, areas = [], []
    for ratio in np.exp(np.linspace(math.log(0.5), math.log(2), 201)):
        bucket = plan(resolution, rule).choose(round(3000 * math.sqrt(ratio)), round(3000 / math.sqrt(ratio)))
        crops.append(cropped(bucket.width / bucket.height, ratio))
        areas.append(bucket.width * bucket.height / resolution**2)
    assert [max(crops), np.mean(crops), np.mean(areas)] == pytest.approx([worst, mean, area], abs=0.0015)


@pytest.mark.parametrize(
    ("picture", "size"),
    [((1050, 1080), (1024, 1024)), ((1920, 1080), (1344, 768)), ((3000, 2000), (1216, 832)), ((2000, 1000), (1408, 704))],
)
def test_least_crop_at_1024(picture: tuple[int, int], size: tuple[int, int]) -> None:
    for rule in ("least_crop", "least_crop_no_upscale"):
        assert plan(1024, rule).choose(*picture).size == size


def test_a_flat_picture_that_may_not_be_enlarged_gets_the_best_there_is() -> None:
    bucket = plan(1024, "least_crop_no_upscale").choose(2000, 500)
    assert bucket.width <= 2000 and bucket.height <= 500 and bucket.width * bucket.height >= 0.75 * 2000 * 500


@given(
    st.integers(70, 5000), st.integers(70, 5000), st.sampled_from([256, 512, 768, 1024]),
    st.sampled_from(["kohya", "kohya_no_upscale", "least_crop", "least_crop_no_upscale"]),
)  # fmt: skip
def test_every_bucket_can_be_trained_at(width: int, height: int, resolution: int, rule: str) -> None:
    """Sides are multiples of the step, the area is not exceeded, the scaled picture covers the bucket and keeps its shape to a pixel."""
    assume(max(width, height) <= 3 * min(width, height))
    bucket = plan(resolution, rule, smallest=64).choose(width, height)
    assert bucket.width % 64 == bucket.height % 64 == 0 and min(bucket.size) > 0
    assert bucket.width * bucket.height <= resolution**2
    assert bucket.resized_width >= bucket.width and bucket.resized_height >= bucket.height
    scale = math.sqrt(bucket.resized_width * bucket.resized_height / (width * height))
    assert abs(bucket.resized_width - width * scale) <= 1.01 + 0.01 * width * scale
    if rule.endswith("no_upscale"):
        assert bucket.resized_width <= width and bucket.resized_height <= height


@given(st.integers(100, 3000), st.integers(100, 3000))
def test_least_crop_treats_wide_and_tall_alike(width: int, height: int) -> None:
    chosen = plan(512, "least_crop")
    wide, tall = chosen.choose(width, height), chosen.choose(height, width)
    crops = [cropped(bucket.width / bucket.height, ratio) for bucket, ratio in ((wide, width / height), (tall, height / width))]
    assert crops[0] == pytest.approx(crops[1]) and wide.width * wide.height == tall.width * tall.height


def test_pictures_without_a_bucket_are_named_all_of_them() -> None:
    dataset = Dataset(tuple(example(name, *size) for name, size in {"a.png": (50, 300), "b.png": (300, 300), "c.png": (40, 40)}.items()))
    for rule in ("kohya_no_upscale", "least_crop_no_upscale"):
        with pytest.raises(InvalidInput) as caught:
            with_buckets(dataset, plan(512, rule, smallest=64))
        assert "a.png" in caught.value.message and "c.png" in caught.value.message and "b.png" not in caught.value.message


def test_enlarged_and_much_cropped_pictures_are_named() -> None:
    dataset = Dataset((example("small.png", 300, 300), example("long.png", 5000, 500), example("fine.png", 600, 600)))
    enlarged, cut = with_buckets(dataset, plan(512, "least_crop")).warnings
    assert "small.png (300 x 300, 1.71 times)" in enlarged and "fine.png" not in enlarged
    assert "long.png" in cut and "small.png" not in cut
    assert with_buckets(replace(dataset, examples=dataset.examples[2:]), plan(512, "least_crop")).warnings == ()


@pytest.mark.parametrize(
    "wrong",
    [(512, 512, 256, 1024, 60, "kohya"), (512, 512, 250, 1024, 64, "kohya"), (128, 128, 256, 1024, 64, "least_crop"),
     (2048, 2048, 256, 1024, 64, "least_crop"), (500, 500, 256, 1024, 64, "one_size")],
)  # fmt: skip
def test_bounds_that_contradict_each_other_are_refused(wrong: tuple) -> None:
    with pytest.raises(InvalidInput):
        BucketPlan(*wrong)


def test_one_size_scales_to_cover_and_crops() -> None:
    bucket = BucketPlan(128, 64, 64, 128, 64, "one_size").choose(200, 200)
    assert (bucket.size, bucket.resized_width, bucket.resized_height) == ((128, 64), 128, 128)


def example(name: str, width: int, height: int) -> Example:
    return Example(name, f"/nowhere/{name}", name, width, height, ("a",))


@given(
    width=st.integers(8, 1500), height=st.integers(8, 1500), resolution=st.integers(8, 600), step=st.sampled_from([8, 32, 64]),
    smallest=st.integers(1, 4), count=st.integers(0, 20), enlarging=st.booleans(),
)  # fmt: skip
def test_no_size_of_the_whole_grid_costs_less(width, height, resolution, step, smallest, count, enlarging) -> None:
    """By trying them all."""
    low, high = smallest * step, (smallest + count) * step
    assume(low <= resolution <= high)
    chosen = BucketPlan(resolution, resolution, low, high, step, "least_crop" if enlarging else "least_crop_no_upscale")
    area, most = (resolution**2, (high, high)) if enlarging else (min(resolution**2, width * height), (width, height))
    sides = range(low, high + 1, step)
    sizes = [(w, h) for w in sides for h in sides if w * h <= area and max(w, h) <= 4 * min(w, h) and w <= most[0] and h <= most[1]]
    assume(sizes)
    floor = min(0.85 * area, max(w * h for w, h in sizes))
    sizes = [(w, h) for w, h in sizes if w * h >= floor]

    def cost(size: tuple[int, int]) -> tuple[float, int]:
        return cropped(size[0] / size[1], width / height) + 0.5 * (1 - size[0] * size[1] / area), -size[0] * size[1]

    assert chosen.choose(width, height).size == min(sizes, key=cost)

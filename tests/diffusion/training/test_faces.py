"""Cuts around faces that pictures' names tell of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.diffusion.training.buckets import covering
from engine.diffusion.training.faces import face_of, without_face
from engine.diffusion.training.pictures import cuts_of, pixels_of, read_upright
from engine.errors import InvalidInput
from engine.values.dataset import Augmentation, Example, FaceCrop
from tests.diffusion.training.drawn import picture


def example(name: str, width: int, height: int, side: int = 64, smallest: float = 2.0, largest: float = 4.0, variants: int = 8) -> Example:
    face = Augmentation(face=FaceCrop(smallest, largest), variants=variants)
    return Example(name, name, "d", width, height, ("a",), augmentation=face, bucket=covering(width, height, (side, side)))


def test_a_face_is_read_from_the_name():
    assert face_of(example("a b_0512_0300_0200_0220.png", 1000, 800)) == (512, 300, 220)
    assert without_face("deep/a_b_1_2_3_4") == "deep/a_b"
    for name in ("a.png", "a_1_2_3.png", "a_1000_300_200_220.png", "a_512_800_200_220.png", "a_5_5_0_0.png", "_1_2_3_4.png"):
        assert face_of(example(name, 1000, 800)) is None, name


def test_cuts_hold_the_face_at_its_size():
    """A face of 100 pixels; cuts of 64 pixels that show 200 to 400 of the picture."""
    cuts = cuts_of(example("a_700_500_100_80.png", 2000, 1000))
    assert len({cut.resized_width for cut in cuts}) > 4
    for cut in cuts:
        scale = cut.resized_width / 2000
        assert 199 <= 64 / scale <= 401 and abs(cut.resized_height / 1000 - scale) < 1e-2
        middle = (cut.left + 32) / scale, (cut.top + 32) / scale
        assert middle == pytest.approx((700, 500), abs=0.6 / scale)


@given(
    st.integers(64, 3000), st.integers(64, 3000), st.floats(0, 0.999), st.floats(0, 0.999), st.integers(1, 3000),
    st.floats(1, 5), st.floats(0, 5),
)  # fmt: skip
def test_every_cut_lies_in_its_picture(width, height, x, y, size, smallest, more):
    name = f"a_{int(x * width)}_{int(y * height)}_{size}_{size}.png"
    for cut in cuts_of(example(name, width, height, smallest=smallest, largest=smallest + more, variants=3)):
        assert 0 <= cut.left <= cut.resized_width - 64 and 0 <= cut.top <= cut.resized_height - 64
        assert cut.resized_width <= max(width, covering(width, height, (64, 64)).resized_width)


def test_a_face_that_fills_the_picture_is_the_plain_cut_and_a_small_one_is_never_enlarged():
    assert {(cut.resized_width, cut.resized_height) for cut in cuts_of(example("a_100_100_200_200.png", 200, 200))} == {(64, 64)}
    assert {cut.resized_width for cut in cuts_of(example("a_100_100_4_4.png", 200, 200))} == {200}


def test_the_pixels_are_those_around_the_face(tmp_path):
    upright = read_upright(picture(tmp_path / "a.png", 96, 80), 10_000)
    one = replace(example("a_40_30_8_8.png", 96, 80, side=16), augmentation=Augmentation(face=FaceCrop(2.0, 2.0)))
    (cut,) = cuts_of(one)
    whole = torch.from_numpy(np.array(upright.rgb)).float() / 255
    assert torch.equal(pixels_of(upright, cut)[0], whole[22:38, 32:48])


def test_a_picture_without_a_face_is_named():
    with pytest.raises(InvalidInput, match=r"their names tell of none: a\.png"):
        cuts_of(example("a.png", 100, 100))

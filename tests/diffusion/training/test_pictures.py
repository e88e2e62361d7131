"""Pictures upright, cut and mirrored, pixel by pixel."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image

from engine.diffusion.training.buckets import covering
from engine.diffusion.training.pictures import GAMMA, HUE, cuts_of, digest_of, mask_of, pixels_of, read_unchanged, read_upright
from engine.errors import InvalidInput, QuotaExceeded
from engine.values.dataset import Augmentation, Bucket, Cut, Example
from tests.diffusion.training.drawn import picture


def example(bucket: Bucket, digest: str = "d", **augmentation) -> Example:
    return Example("x.png", "x.png", digest, 64, 64, ("a",), augmentation=Augmentation(**augmentation), bucket=bucket)


def test_an_exif_orientation_turns_the_picture(tmp_path) -> None:
    path = picture(tmp_path / "a.png", 40, 20)
    stored = Image.open(path)
    exif = stored.getexif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 90 degrees clockwise
    stored.save(tmp_path / "turned.png", exif=exif)
    upright = read_upright(tmp_path / "turned.png", 10_000)
    assert upright.rgb.size == (20, 40)
    assert np.array_equal(np.asarray(upright.rgb), np.rot90(np.asarray(stored), -1))


@pytest.mark.parametrize("flip", [False, True])
def test_a_cut_holds_exactly_its_pixels(tmp_path, flip: bool) -> None:
    upright = read_upright(picture(tmp_path / "a.png", 40, 24), 10_000)
    pixels = pixels_of(upright, Cut(40, 24, left=8, top=3, width=16, height=16, flip=flip))
    expected = torch.from_numpy(np.array(upright.rgb))[3:19, 8:24].float() / 255
    assert torch.equal(pixels[0], expected.flip(1) if flip else expected)


def test_scaling_averages_what_it_shrinks(tmp_path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    pixels = pixels_of(read_upright(tmp_path / "a.png", 10_000), Cut(16, 16, 0, 0, 16, 16))
    assert (pixels - 0.5).abs().max() < 0.1


def test_the_middle_is_cut_unless_the_crop_is_random() -> None:
    bucket = covering(100, 64, (64, 64))
    (cut,) = cuts_of(example(bucket))
    assert (cut.left, cut.top) == (18, 0)
    cuts = cuts_of(example(bucket, random_crop=True, variants=16))
    assert len({cut.left for cut in cuts}) > 8 and all(0 <= cut.left <= 36 and cut.top == 0 for cut in cuts)
    assert cuts == cuts_of(example(bucket, random_crop=True, variants=16))
    assert cuts != cuts_of(example(bucket, digest="other", random_crop=True, variants=16))


def test_flipping_doubles_the_cuts_and_mirrors_what_sdxl_is_told() -> None:
    plain, mirrored = cuts_of(example(Bucket(64, 64, 101, 64), flip=True))
    assert (plain.flip, mirrored.flip) == (False, True)
    assert plain.crop == (0, 18) and mirrored.crop == (0, 101 - 64 - 18)


def test_variants_that_would_be_the_same_are_made_once() -> None:
    assert len(cuts_of(example(Bucket(64, 64, 64, 64), random_crop=True, variants=8))) == 1


def test_colours_shift_a_third_of_the_time_within_bounds() -> None:
    cuts = cuts_of(example(Bucket(64, 64, 64, 64), colour=True, variants=600))
    hues, gammas = [cut.hue for cut in cuts if cut.hue], [cut.gamma for cut in cuts if cut.gamma != 1]
    assert 160 < len(hues) + len(gammas) < 240 and len(hues) > 60 and len(gammas) > 60
    assert max(map(abs, hues)) <= HUE and all(1 - GAMMA <= gamma <= 1 + GAMMA for gamma in gammas)


def test_a_hue_shift_turns_the_colour_circle(tmp_path) -> None:
    Image.new("RGB", (8, 8), (200, 40, 40)).save(tmp_path / "a.png")
    upright = read_upright(tmp_path / "a.png", 1000)
    shifted = pixels_of(upright, Cut(8, 8, 0, 0, 8, 8, hue=16.0))[0, 0, 0].tolist()
    assert colorsys.rgb_to_hsv(*shifted)[0] * 360 == pytest.approx(16, abs=2)
    brighter = pixels_of(upright, Cut(8, 8, 0, 0, 8, 8, gamma=0.95))[0, 0, 0]
    assert torch.allclose(brighter, (torch.tensor([200.0, 40, 40]) / 255) ** 0.95)


def test_transparency_becomes_a_mask_that_follows_the_cut(tmp_path) -> None:
    levels = np.zeros((16, 32, 4), dtype=np.uint8)
    levels[:, :12, 3] = 255
    Image.fromarray(levels).save(tmp_path / "a.png")
    alpha = read_upright(tmp_path / "a.png", 1000).alpha
    assert alpha is not None
    mask = mask_of(alpha, Cut(32, 16, 0, 0, 32, 16), 8)
    assert mask.tolist() == [[[1, 0.5, 0, 0]] * 2]
    assert mask_of(alpha, Cut(32, 16, 8, 0, 16, 16, flip=True), 8).tolist() == [[[0, 0.5]] * 2]


def test_greys_of_sixteen_bits_keep_their_brightness(tmp_path) -> None:
    Image.fromarray(np.full((4, 4), 32896, dtype=np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(read_upright(tmp_path / "a.png", 100).rgb).tolist() == [[[128] * 3] * 4] * 4


def test_a_picture_that_changed_is_not_trained_on(tmp_path) -> None:
    path = picture(tmp_path / "a.png", 8, 8, seed=1)
    digest = digest_of(path)
    assert read_unchanged(path, digest, 100).rgb.size == (8, 8)
    picture(path, 8, 8, seed=2)
    with pytest.raises(InvalidInput, match="has changed"):
        read_unchanged(path, digest, 100)
    path.unlink()
    with pytest.raises(InvalidInput, match="is gone"):
        read_unchanged(path, digest, 100)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path) -> None:
    with pytest.raises(QuotaExceeded):
        read_upright(picture(tmp_path / "a.png", 64, 64), 4000)

"""Tiles: a function that only looks at its surroundings gives the same in tiles as in one piece."""

from fractions import Fraction

import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from engine.diffusion.tiles import in_tiles


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 97), (40, 200), (16, 16), (17, 33), (5, 7)])
@pytest.mark.parametrize("side", [16, 32])
def test_enlarging_in_tiles_is_enlarging(height, width, side):
    x = torch.randn(2, 3, height, width)
    tiled = in_tiles(lambda tile: interpolate(tile, scale_factor=8), x, side, side // 4, Fraction(8))
    torch.testing.assert_close(tiled, interpolate(x, scale_factor=8))


@pytest.mark.parametrize(("height", "width"), [(512, 512), (264, 776), (64, 64), (8, 16)])
def test_shrinking_in_tiles_is_shrinking(height, width):
    x = torch.randn(1, 3, height, width)
    tiled = in_tiles(lambda tile: avg_pool2d(tile, 8), x, 128, 32, Fraction(1, 8))
    torch.testing.assert_close(tiled, avg_pool2d(x, 8))


def test_what_a_tile_does_not_see_is_blended_away():
    x = torch.rand(1, 1, 70, 90)
    kernel = torch.full((1, 1, 3, 3), 1 / 9)

    def blurred(tile):
        return conv2d(tile, kernel, padding=1)

    wrong_at_borders = in_tiles(blurred, x, 32, 8, Fraction(1)) - blurred(x)
    assert wrong_at_borders[..., 1:-1, 1:-1].abs().max() < 0.05
    assert wrong_at_borders.abs().mean() < 0.005


def test_tiles_are_no_larger_than_asked_for():
    sizes = []
    in_tiles(lambda tile: sizes.append(tile.shape[-2:].numel()) or tile, torch.rand(1, 1, 300, 200), 64, 16, Fraction(1))
    assert max(sizes) == 64 * 64

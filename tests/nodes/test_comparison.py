"""Colours carried over and pictures compared, against the definitions."""

import itertools
import math

import numpy as np
import pytest
import torch

from engine.diffusion.redrawing import redrawn, tiles
from nodes.comparison import color_match, compare_images


def picture(seed: int, low: float, high: float, height: int = 24, width: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.rand(3, 3, generator=generator)
    values = torch.rand(1, height, width, 3, generator=generator) @ (mixing / mixing.sum(dim=0))
    return low + (high - low) * values


def test_covariance_carries_mean_and_covariance_over():
    image, reference = picture(1, 0.3, 0.6), picture(2, 0.4, 0.6, 20, 20)
    got = color_match(image, reference).reshape(-1, 3)
    wanted = reference.reshape(-1, 3)
    torch.testing.assert_close(got.mean(dim=0), wanted.mean(dim=0), atol=1e-5, rtol=0)
    np.testing.assert_allclose(np.cov(got.T.numpy(), bias=True), np.cov(wanted.T.numpy(), bias=True), atol=1e-6)


def test_the_map_is_the_one_that_moves_colours_least():
    """A symmetric positive map is the optimal one between Gaussians; here it is read off from what it did."""
    image, reference = picture(1, 0.3, 0.6), picture(2, 0.4, 0.6)
    own, got = (x.reshape(-1, 3).double() - x.reshape(-1, 3).double().mean(dim=0) for x in (image, color_match(image, reference)))
    matrix = torch.linalg.lstsq(own, got).solution
    torch.testing.assert_close(matrix, matrix.T, atol=1e-4, rtol=0)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_a_histogram_is_carried_over_exactly():
    image, reference = picture(1, 0.1, 0.9), picture(2, 0.4, 0.6)
    got = color_match(image, reference, "histogram")
    for channel in range(3):
        torch.testing.assert_close(got[..., channel].flatten().sort().values, reference[..., channel].flatten().sort().values)
        assert got[..., channel].flatten().argsort().equal(image[..., channel].flatten().argsort())


@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_a_picture_of_one_colour_becomes_one_colour(method):
    got = color_match(torch.full((1, 8, 8, 3), 0.25), picture(2, 0.4, 0.6), method)
    assert got.isfinite().all() and got.reshape(-1, 3).std(dim=0).max() < 1e-6


def test_no_strength_leaves_the_picture():
    image = picture(1, 0.1, 0.9)
    assert color_match(image, picture(2, 0.4, 0.6), strength=0.0).equal(image)


def test_differences_and_their_ratio():
    first = torch.zeros(1, 4, 4, 3)
    second = first.clone()
    second[0, 0, 0, 0] = 0.5
    compared = compare_images(first, second, gain=2.0)
    assert compared.difference[0, 0, 0].tolist() == [1, 0, 0] and compared.largest == 0.5
    assert compared.mean == pytest.approx(0.5 / 48) and compared.psnr == pytest.approx(10 * math.log10(48 / 0.25))
    assert compare_images(first, first).psnr == math.inf


@pytest.mark.parametrize(("extent", "side", "overlap"), [(100, 64, 16), (64, 64, 16), (40, 64, 16), (1000, 96, 32), (97, 96, 32)])
def test_tiles_cover_all_and_share_enough(extent, side, overlap):
    starts = tiles(extent, side, overlap)
    assert starts[0] == 0 and starts[-1] + side >= extent
    assert all(0 < after - before <= side - overlap for before, after in itertools.pairwise(starts))


def test_what_is_redrawn_as_it_is_stays_as_it_is():
    image, sizes = picture(3, 0, 1, 50, 70), []

    def same(part: torch.Tensor, number: int, total: int) -> torch.Tensor:
        sizes.append((tuple(part.shape[1:3]), number, total))
        return part

    torch.testing.assert_close(redrawn(image, 32, 8, same), image)
    assert {size for size, _, _ in sizes} == {(32, 32)} and [number for _, number, _ in sizes] == list(range(sizes[0][2]))

"""An image-to-image function applied in overlapping tiles whose seams are blended away."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import torch
from torch import Tensor


def in_tiles(function: Callable[[Tensor], Tensor], x: Tensor, side: int, overlap: int, scale: Fraction) -> Tensor:
    """What function(x) gives, from tiles of x, averaged over three shapes of tile (square, wide, tall) so that seams do not coincide.

    x: [B, C, h, w]; side, overlap: in pixels of x; scale: pixels of the result per pixel of x. Each tile fades out linearly over
    the overlap.
    """
    shapes = ((side, side), (side // 2, side * 2), (side * 2, side // 2))
    return torch.stack([_one_shape(function, x, shape, overlap, scale) for shape in shapes]).mean(dim=0)


def _one_shape(function: Callable[[Tensor], Tensor], x: Tensor, tile: tuple[int, int], overlap: int, scale: Fraction) -> Tensor:
    height, width = x.shape[-2:]
    corners = list(product(_starts(height, tile[0], overlap), _starts(width, tile[1], overlap)))
    results = [function(x[..., top : top + tile[0], left : left + tile[1]]) for top, left in corners]
    total = results[0].new_zeros(*results[0].shape[:2], int(height * scale), int(width * scale))
    weights = torch.zeros_like(total)
    border = int(overlap * scale)
    for (top, left), result in zip(corners, results, strict=True):
        fade = (_fade(result.shape[-2], border)[:, None] * _fade(result.shape[-1], border)).to(result)
        y, x0 = int(top * scale), int(left * scale)
        total[..., y : y + result.shape[-2], x0 : x0 + result.shape[-1]] += result * fade
        weights[..., y : y + result.shape[-2], x0 : x0 + result.shape[-1]] += fade
    return total / weights


def _starts(extent: int, side: int, overlap: int) -> range:
    """Where tiles begin; the last ones are cut by the border."""
    return range(0, max(1, extent - overlap), side - overlap)


def _fade(extent: int, overlap: int) -> Tensor:
    """[extent] weights: rising over the overlap, 1, falling over the overlap."""
    rise = torch.arange(1, extent + 1) / max(1, overlap)
    return torch.minimum(rise, rise.flip(0)).clamp(max=1.0)

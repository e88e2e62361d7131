"""A large picture drawn over tile by tile, so that a model which knows small pictures adds detail to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def tiles(extent: int, side: int, overlap: int) -> list[int]:
    """Where tiles of equal side begin so that neighbours share at least `overlap`; the last one ends at the border."""
    if extent <= side:
        return [0]
    count = -(-(extent - overlap) // (side - overlap))
    return [k * (extent - side) // (count - 1) for k in range(count)]


def redrawn(picture: Tensor, side: int, overlap: int, redraw: Callable[[Tensor, int, int], Tensor]) -> Tensor:
    """redraw(part, number, total) of every tile of a picture [B, H, W, C], put together with linear seams.

    side, overlap: in pixels. A part is [B, h, w, C], and so is what is made of it.
    """
    overlap = min(overlap, side // 2)
    height, width = picture.shape[1:3]
    total, weights = torch.zeros_like(picture), torch.zeros(1, height, width, 1)
    places = list(_places(height, width, side, overlap))
    for number, (top, left) in enumerate(places):
        part = picture[:, top : top + side, left : left + side]
        fade = _fade(part.shape[1], overlap)[:, None] * _fade(part.shape[2], overlap)
        total[:, top : top + side, left : left + side] += redraw(part, number, len(places)) * fade[None, :, :, None]
        weights[:, top : top + side, left : left + side] += fade[None, :, :, None]
    return total / weights


def _places(height: int, width: int, side: int, overlap: int) -> Iterator[tuple[int, int]]:
    for top in tiles(height, side, overlap):
        for left in tiles(width, side, overlap):
            yield top, left


def _fade(length: int, overlap: int) -> Tensor:
    rise = (torch.arange(length) + 1) / max(overlap, 1)
    return torch.minimum(rise, rise.flip(0)).clamp(max=1.0)

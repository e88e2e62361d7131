"""Pictures [B, H, W, C] beside each other, padded, cut."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from engine.diffusion.pixels.pasting import with_channels
from engine.diffusion.pixels.resize import resize_pictures

COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


def filled(like: Tensor, height: int, width: int, colour: str) -> Tensor:
    """[B, height, width, C] of one colour, opaque, with the batch and channels of `like`."""
    values = (*COLOURS[colour], 1.0)[: like.shape[-1]]
    return torch.tensor(values).to(like).expand(len(like), height, width, -1)


def stitched(first: Tensor, second: Tensor, direction: str, match_size: bool, spacing: int, colour: str) -> Tensor:
    """The second picture to the right of, below, to the left of or above the first, with a strip of colour between them.

    match_size: the second gets the first's height (or width), keeping its aspect ratio; else the shorter one is padded evenly with
    black. The smaller batch repeats its last picture. spacing: pixels, rounded up to an even number.
    """
    count, channels = max(len(first), len(second)), max(first.shape[-1], second.shape[-1])
    first, second = (with_channels(_extended(pictures, count), channels) for pictures in (first, second))
    axis, across = (2, 1) if direction in ("left", "right") else (1, 2)
    if match_size:
        second = _matched(second, first, across)
    else:
        extent = max(first.shape[across], second.shape[across])
        first, second = _padded(first, across, extent), _padded(second, across, extent)
    parts = [first, second] if direction in ("right", "down") else [second, first]
    spacing += spacing % 2
    if spacing:
        size = (first.shape[1], spacing) if axis == 2 else (spacing, first.shape[2])
        parts.insert(1, filled(first, *size, colour))
    return torch.cat(parts, dim=axis)


def padded(pictures: Tensor, height: int, width: int) -> Tensor:
    """[B, H, W, C] evenly surrounded by black, to at least this height and width."""
    return _padded(_padded(pictures, 1, max(height, pictures.shape[1])), 2, max(width, pictures.shape[2]))


def _extended(pictures: Tensor, count: int) -> Tensor:
    return torch.cat([pictures, pictures[-1:].expand(count - len(pictures), -1, -1, -1)])


def _matched(pictures: Tensor, like: Tensor, across: int) -> Tensor:
    """As high (across 1) or as wide (across 2) as `like`."""
    height, width = pictures.shape[1:3]
    if across == 1:
        size = max(1, int(width / height * like.shape[1])), like.shape[1]
    else:
        size = like.shape[2], max(1, int(height / width * like.shape[2]))
    return resize_pictures(pictures, *size, "lanczos")


def _padded(pictures: Tensor, across: int, extent: int) -> Tensor:
    missing = extent - pictures.shape[across]
    before, after = missing // 2, missing - missing // 2
    return pad(pictures, (0, 0, 0, 0, before, after) if across == 1 else (0, 0, before, after))


def padded_to(pictures: Tensor, width: int, height: int, colour: str, method: str) -> Tensor:
    """Pictures scaled to fit a size, on a ground of one colour, in the middle."""
    old_height, old_width = pictures.shape[1:3]
    scale = min(width / old_width, height / old_height)
    new_width, new_height = max(1, int(old_width * scale)), max(1, int(old_height * scale))
    result = filled(pictures, height, width, colour).clone()
    left, top = (width - new_width) // 2, (height - new_height) // 2
    result[:, top : top + new_height, left : left + new_width] = resize_pictures(pictures, new_width, new_height, method)
    return result


def with_border(pictures: Tensor, left: int, top: int, right: int, bottom: int, value: float = 0.5) -> Tensor:
    """Pictures with a border of one grey."""
    return pad(pictures, (0, 0, left, right, top, bottom), value=value)

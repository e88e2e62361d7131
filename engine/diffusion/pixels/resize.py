"""Resizing of [B, C, H, W] grids and [B, H, W, C] pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from engine.errors import InvalidInput
from engine.values.pictures import to_pillow


def resize(x: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """[B, C, H, W] -> [B, C, height, width], float32.

    method: nearest-exact, bilinear, area, bicubic (as torch interpolates, without antialiasing), lanczos (as Pillow resizes 8-bit
    pictures; 1, 3 or 4 channels), bislerp (for latents). crop: "center" first cuts both ends evenly to the new aspect ratio.
    """
    if width < 1 or height < 1:
        raise InvalidInput(f"A size of {width} x {height} is none.", hint="Use a width and a height of at least 1.")
    if crop == "center":
        x = _to_aspect(x, width, height)
    if method == "lanczos":
        return _lanczos(x, width, height)
    if method == "bislerp":
        return bislerp(x, width, height)
    return interpolate(x, size=(height, width), mode=method)


def resize_pictures(pictures: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """[B, H, W, C] -> [B, height, width, C], as `resize`."""
    return resize(pictures.movedim(-1, 1), width, height, method, crop).movedim(1, -1)


def fit_to(x: Tensor, like: Tensor, method: str = "bilinear") -> Tensor:
    """x [B, C, h, w], resized from its middle to the height and width of `like` where they differ."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return resize(x, like.shape[-1], like.shape[-2], method, "center")


def fit_pictures(pictures: Tensor, like: Tensor, method: str = "bilinear") -> Tensor:
    """pictures [B, h, w, C], resized from their middle to the height and width of `like` [_, H, W, _] where they differ."""
    return fit_to(pictures.movedim(-1, 1), like.movedim(-1, 1), method).movedim(1, -1)


def completed_size(width: int, height: int, old_width: int, old_height: int, smallest: int = 1) -> tuple[int, int]:
    """A wanted size where a side of 0 follows from the other by the old aspect ratio; both 0: the old size."""
    if width == 0 and height == 0:
        return old_width, old_height
    if width == 0:
        height = max(smallest, height)
        return max(smallest, round(old_width * height / old_height)), height
    if height == 0:
        width = max(smallest, width)
        return width, max(smallest, round(old_height * width / old_width))
    return max(smallest, width), max(smallest, height)


def size_of_area(width: int, height: int, pixels: float) -> tuple[int, int]:
    """The size of the same aspect ratio with about this many pixels."""
    scale = math.sqrt(pixels / (width * height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def size_of_longest_side(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size of the same aspect ratio whose longer side is `longest`."""
    if height > width:
        return max(1, round(width / height * longest)), longest
    if width > height:
        return longest, max(1, round(height / width * longest))
    return longest, longest


_TALL = ((672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104), (1024, 1024))
KONTEXT_SIZES = (*_TALL, *((height, width) for width, height in reversed(_TALL[:-1])))
"""Sizes (width, height) of about a megapixel that Flux Kontext was trained on."""


def nearest_in_shape(width: int, height: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of some sizes the one whose aspect ratio is nearest."""
    return min(sizes, key=lambda size: abs(width / height - size[0] / size[1]))


def _to_aspect(x: Tensor, width: int, height: int) -> Tensor:
    old_height, old_width = x.shape[-2:]
    old, new = old_width / old_height, width / height
    left = round((old_width - old_width * (new / old)) / 2) if old > new else 0
    top = round((old_height - old_height * (old / new)) / 2) if old < new else 0
    return x[..., top : old_height - top, left : old_width - left]


def _lanczos(x: Tensor, width: int, height: int) -> Tensor:
    resized = [to_pillow(image).resize((width, height), Image.Resampling.LANCZOS) for image in x.movedim(1, -1)]
    levels = np.stack([np.asarray(image, dtype=np.float32).reshape(height, width, -1) for image in resized]) / 255
    return torch.from_numpy(levels).movedim(-1, 1)


def bislerp(x: Tensor, width: int, height: int) -> Tensor:
    """Two-way interpolation that turns each pixel's vector instead of mixing it, so that its length does not shrink.

    Along each axis the direction goes along the great circle (Shoemake 1985) and the length in a straight line.
    """
    x = _slerp_columns(x.float(), width)
    return _slerp_columns(x.transpose(-1, -2), height).transpose(-1, -2)


def _slerp_columns(x: Tensor, width: int) -> Tensor:
    old = x.shape[-1]
    centres = ((torch.arange(width) + 0.5) * (old / width) - 0.5).clamp(0, old - 1)
    left = centres.floor().long()
    right = (left + 1).clamp(max=old - 1)
    return _slerp(x[..., left], x[..., right], (centres - left).to(x))


def _slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """From vectors a to b along dim 1."""
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = (a / length_a).nan_to_num(0.0), (b / length_b).nan_to_num(0.0)
    cosine = (unit_a * unit_b).sum(dim=1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    turned = (torch.sin((1 - share) * angle) * unit_a + torch.sin(share * angle) * unit_b) / torch.sin(angle)
    turned = turned * (length_a * (1 - share) + length_b * share)
    turned = torch.where(cosine > 1 - 1e-5, a, turned)
    return torch.where(cosine < 1e-5 - 1, a * (1 - share) + b * share, turned)

"""Masks [B, H, W], 0..1: growing, fading, combining."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from engine.errors import InvalidInput


def grown(mask: Tensor, pixels: int, tapered: bool = True) -> Tensor:
    """The mask grown by this many pixels, or shrunk by as many if negative: grey dilation with a diamond (tapered) or a square."""
    if pixels < 0:
        return -grown(-mask, -pixels, tapered)
    result = mask.reshape(-1, 1, *mask.shape[-2:])
    for _ in range(min(pixels, sum(mask.shape[-2:]))):  # beyond both sides together nothing changes
        if tapered:
            result = torch.maximum(max_pool2d(result, (3, 1), 1, (1, 0)), max_pool2d(result, (1, 3), 1, (0, 1)))
        else:
            result = max_pool2d(result, 3, 1, 1)
    return result.reshape(mask.shape)


def grown_for_inpainting(mask: Tensor, pixels: int) -> Tensor:
    """[B, H, W] -> 0 or 1: the rounded mask under a square of `pixels`, for the seam of a latent to be hidden in."""
    mask = mask.round()[:, None]
    if pixels:
        square = torch.ones(1, 1, pixels, pixels).to(mask)
        grown = conv2d(mask, square, padding=pixels // 2)[..., : mask.shape[-2], : mask.shape[-1]]
        mask = grown.clamp(0, 1).round()
    return mask[:, 0]


def feathered(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """The mask under linear ramps over this many pixels from each side, (k + 1) / n for the k-th from it.

    On the right and at the bottom the ramp begins one pixel further in, and its first factor falls on the opposite side's first
    pixel: pictures made with this filter rely on it.
    """
    height, width = mask.shape[-2:]
    columns = _ramp(width, left) * _shifted_ramp(width, right)
    rows = _ramp(height, top) * _shifted_ramp(height, bottom)
    return mask * columns.to(mask) * rows[:, None].to(mask)


def _ramp(length: int, size: int) -> Tensor:
    size = min(size, length)
    ramp = torch.ones(length)
    ramp[:size] = (torch.arange(size) + 1) / max(size, 1)
    return ramp


def _shifted_ramp(length: int, size: int) -> Tensor:
    return _ramp(length, size).flip(0).roll(1)


MASK_OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiply": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "and": lambda a, b: torch.logical_and(a.round(), b.round()).float(),
    "or": lambda a, b: torch.logical_or(a.round(), b.round()).float(),
    "xor": lambda a, b: torch.logical_xor(a.round(), b.round()).float(),
}


def composed(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """The destination with the source applied at (x, y), clipped to 0..1; what does not fit is cut off."""
    if operation not in MASK_OPERATIONS:
        raise InvalidInput(f"There is no operation {operation!r}.", hint=f"Choose one of {', '.join(MASK_OPERATIONS)}.")
    result = destination.clone()
    part = result[:, y : y + source.shape[1], x : x + source.shape[2]]
    part.copy_(MASK_OPERATIONS[operation](part, source[:, : part.shape[1], : part.shape[2]]))
    return result.clamp(0, 1)


def of_colour(pictures: Tensor, colour: int) -> Tensor:
    """[B, H, W, 3] -> 1 where the picture has exactly the colour 0xRRGGBB, in 8 bits."""
    levels = (pictures[..., :3].clamp(0, 1) * 255).round().to(torch.int64)
    packed = (levels[..., 0] << 16) + (levels[..., 1] << 8) + levels[..., 2]
    return (packed == colour).float()


def outpainting(height: int, width: int, left: int, top: int, right: int, bottom: int, feather: int) -> Tensor:
    """[1, H, W], 1 on the border added around a picture of this size; inside, it fades as the square over `feather` pixels.

    No fade where two of them would meet within the picture, and none at sides without a border.
    """
    mask = torch.ones(1, top + height + bottom, left + width + right)
    inside = torch.zeros(height, width)
    if 0 < 2 * feather < min(height, width):
        rows = _distance(height, top > 0, bottom > 0)
        columns = _distance(width, left > 0, right > 0)
        distance = torch.minimum(rows[:, None], columns[None, :])
        inside = ((feather - distance).clamp(min=0) / feather) ** 2
    mask[0, top : top + height, left : left + width] = inside
    return mask


def _distance(length: int, before: bool, after: bool) -> Tensor:
    """How far each row is from a border that was added; infinite without one."""
    position = torch.arange(length, dtype=torch.float32)
    far = torch.full((length,), torch.inf)
    return torch.minimum(position if before else far, length - position if after else far)

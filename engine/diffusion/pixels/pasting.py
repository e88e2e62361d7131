"""One grid put into another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from engine.diffusion.sampling.conditions import repeat_to


def paste(
    destination: Tensor, source: Tensor, x: int, y: int, mask: Tensor | None = None, *, unit: int = 1, resize_source: bool = False
) -> Tensor:
    """The destination [B, C, H, W] with the source at (x, y), blended by a mask where there is one; what does not fit is cut off.

    x, y: in pixels of the picture, of which one of the grid has `unit`. mask: [M, h, w], resized to the source, 1 = source.
    resize_source: make the source as large as the destination first.
    """
    if resize_source:
        source = interpolate(source, size=destination.shape[-2:], mode="bilinear")
    source = repeat_to(source, len(destination)).to(destination)
    height, width = source.shape[-2:]
    left = max(-width * unit, min(x, destination.shape[-1] * unit)) // unit
    top = max(-height * unit, min(y, destination.shape[-2] * unit)) // unit
    into = (slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0)))
    part = destination[..., into[0], into[1]]
    visible = (slice(max(-top, 0), max(-top, 0) + part.shape[-2]), slice(max(-left, 0), max(-left, 0) + part.shape[-1]))
    alpha = torch.ones_like(source[:, :1]) if mask is None else _fit_mask(mask, source)
    alpha = alpha[..., visible[0], visible[1]]
    result = destination.clone()
    result[..., into[0], into[1]] = source[..., visible[0], visible[1]] * alpha + part * (1 - alpha)
    return result


def _fit_mask(mask: Tensor, source: Tensor) -> Tensor:
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(source)
    return repeat_to(interpolate(mask, size=source.shape[-2:], mode="bilinear"), len(source))


def paste_pictures(
    destination: Tensor, source: Tensor, x: int, y: int, mask: Tensor | None = None, *, resize_source: bool = False
) -> Tensor:
    """The same for pictures [B, H, W, C]; where one has alpha and the other has none, the destination's channels count."""
    source = with_channels(source, destination.shape[-1])
    return paste(destination.movedim(-1, 1), source.movedim(-1, 1), x, y, mask, resize_source=resize_source).movedim(1, -1)


def with_channels(pictures: Tensor, channels: int) -> Tensor:
    """Pictures [B, H, W, C] with alpha dropped, or added as opaque."""
    have = pictures.shape[-1]
    return pictures[..., :channels] if have >= channels else pad(pictures, (0, channels - have), value=1.0)


def feathered_paste(destination: Tensor, source: Tensor, x: int, y: int, feather: int) -> Tensor:
    """The destination [B, C, H, W] with the source at (x, y), fading over `feather` rows at edges inside the destination.

    All in pixels of the grid. At a corner both fades multiply. The row next to the edge has the weight 1 / feather.
    """
    height, width = source.shape[-2:]
    rows = _fade(height, feather, inside=(y > 0, y + height < destination.shape[-2]))
    columns = _fade(width, feather, inside=(x > 0, x + width < destination.shape[-1]))
    result = destination.clone()
    part = result[..., y : y + height, x : x + width]
    alpha = (rows[:, None] * columns).to(destination)[: part.shape[-2], : part.shape[-1]]
    part.copy_(source[..., : part.shape[-2], : part.shape[-1]] * alpha + part * (1 - alpha))
    return result


def _fade(length: int, feather: int, inside: tuple[bool, bool]) -> Tensor:
    fade = torch.ones(length)
    ramp = ((torch.arange(length) + 1) / max(feather, 1)).clamp(max=1.0)
    if inside[0]:
        fade = fade * ramp
    if inside[1]:
        fade = fade * ramp.flip(0)
    return fade

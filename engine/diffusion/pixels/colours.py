"""Colour spaces of pictures [B, H, W, 3]."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""


def luminance(pictures: Tensor) -> Tensor:
    """[B, H, W]: how bright each pixel looks."""
    return (pictures[..., :3] * torch.tensor(LUMA).to(pictures)).sum(dim=-1)


def to_yuv(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Luminance and two colour differences around 0.5, each [B, H, W] (full-range YCbCr with the factors of BT.601 to three digits)."""
    y = luminance(pictures)
    return y, (pictures[..., 2] - y) * 0.564 + 0.5, (pictures[..., 0] - y) * 0.713 + 0.5


def from_yuv(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """[B, H, W] each -> pictures [B, H, W, 3], clipped to 0..1."""
    blue, red = u - 0.5, v - 0.5
    return torch.stack([y + 1.403 * red, y - 0.714 * red - 0.344 * blue, y + 1.773 * blue], dim=-1).clamp(0, 1)

"""Pictures and masks prepared for drawing a part of them anew."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from engine.diffusion.sampling.conditions import repeat_to
from engine.diffusion.vae import cropped


def fitted(pictures: Tensor, mask: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Pictures [B, H, W, 3] and a mask [M, h, w] -> both of one size, whose sides are multiples of the VAE's factor.

    The mask [M, H, W] is stretched to the pictures, then both are cut evenly from both ends.
    """
    stretched = interpolate(mask.reshape(-1, 1, *mask.shape[-2:]).float(), size=pictures.shape[1:3], mode="bilinear")
    pixels = cropped(pictures, factor)[..., :3]
    top, left = (pictures.shape[1] % factor) // 2, (pictures.shape[2] % factor) // 2
    return pixels, stretched[:, 0, top : top + pixels.shape[1], left : left + pixels.shape[2]]


def greyed(pictures: Tensor, mask: Tensor) -> Tensor:
    """Pictures that are mid grey where the mask, rounded, selects, so that nothing of what was there is encoded."""
    kept = 1 - repeat_to(mask, len(pictures)).round()[..., None]
    return (pictures - 0.5) * kept + 0.5

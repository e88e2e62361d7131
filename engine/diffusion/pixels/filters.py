"""Filters of pictures [B, H, W, C]: blur, sharpening, morphology."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, pad

from engine.diffusion.guidance.latent_operations import gaussian, sharpening_kernel
from engine.errors import InvalidInput


def blur(pictures: Tensor, radius: int, sigma: float) -> Tensor:
    """Convolution with a Gaussian of [2 radius + 1] squared, sigma in units of the radius; borders are mirrored."""
    return _convolved(pictures, gaussian(radius, sigma))


def sharpen(pictures: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """What the blur of this size removes, added `10 alpha` times; clipped to 0..1."""
    return _convolved(pictures, sharpening_kernel(radius, sigma, alpha)).clamp(0, 1)


def _convolved(pictures: Tensor, kernel: Tensor) -> Tensor:
    radius = len(kernel) // 2
    if radius >= min(pictures.shape[1:3]):
        raise InvalidInput(
            f"A radius of {radius} is too large for a picture of {pictures.shape[2]} x {pictures.shape[1]} pixels.",
            hint="Use a radius below the shorter side.",
        )
    x = pad(pictures.movedim(-1, 1), (radius,) * 4, mode="reflect")
    channels = x.shape[1]
    return conv2d(x, kernel.to(x).expand(channels, 1, *kernel.shape), groups=channels).movedim(1, -1)


def dilated(x: Tensor, size: int) -> Tensor:
    """[B, C, H, W] -> the largest value within a square of `size` around each pixel, as far as it lies inside."""
    before, after = size // 2, size - size // 2 - 1
    wide = max_pool2d(pad(x, (before, after, 0, 0), value=-torch.inf), (1, size), stride=1)
    return max_pool2d(pad(wide, (0, 0, before, after), value=-torch.inf), (size, 1), stride=1)


def eroded(x: Tensor, size: int) -> Tensor:
    """[B, C, H, W] -> the smallest value within a square of `size` around each pixel, as far as it lies inside."""
    return -dilated(-x, size)


def opened(x: Tensor, size: int) -> Tensor:
    return dilated(eroded(x, size), size)


def closed(x: Tensor, size: int) -> Tensor:
    return eroded(dilated(x, size), size)


MORPHOLOGY: dict[str, Callable[[Tensor, int], Tensor]] = {
    "erode": eroded,
    "dilate": dilated,
    "open": opened,
    "close": closed,
    "gradient": lambda x, size: dilated(x, size) - eroded(x, size),
    "bottom_hat": lambda x, size: closed(x, size) - x,
    "top_hat": lambda x, size: x - opened(x, size),
}
"""Grey morphology with a flat square (Serra 1982)."""


def morphology(pictures: Tensor, operation: str, size: int) -> Tensor:
    """[B, H, W, C] pictures under one of MORPHOLOGY."""
    if operation not in MORPHOLOGY:
        raise InvalidInput(f"There is no operation {operation!r}.", hint=f"Choose one of {', '.join(MORPHOLOGY)}.")
    return MORPHOLOGY[operation](pictures.movedim(-1, 1), size).movedim(1, -1)

"""Operations on latents that also serve as guidance: applied to the guidance of each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from engine.diffusion.sampling.guidance import Step

LatentOperation = Callable[[Tensor], Tensor]
"""[B, C, h, w] -> the same shape."""


@dataclass(frozen=True)
class ToneMap:
    """Reinhard's tone mapping of the length of each pixel's vector (Reinhard et al. 2002), with five deviations above the mean as white."""

    multiplier: float = 1.0

    def __call__(self, latent: Tensor) -> Tensor:
        length = latent.norm(dim=1, keepdim=True) + 1e-10
        direction = latent / length
        top = (length.std(dim=(1, 2, 3), keepdim=True) * 5 + length.mean(dim=(1, 2, 3), keepdim=True)) * self.multiplier
        relative = length / top
        return direction * (relative / (relative + 1.0)) * top


@dataclass(frozen=True)
class Sharpen:
    """Sharpens the directions of the pixels' vectors and leaves their lengths."""

    radius: int = 9
    sigma: float = 1.0
    alpha: float = 0.1

    def __call__(self, latent: Tensor) -> Tensor:
        length = latent.norm(dim=1, keepdim=True) + 1e-6
        kernel = sharpening_kernel(self.radius, self.sigma, self.alpha).to(latent)
        channels = latent.shape[1]
        padded = pad(latent / length, (self.radius,) * 4, mode="reflect")
        return conv2d(padded, kernel.expand(channels, 1, *kernel.shape), groups=channels) * length


def gaussian(radius: int, sigma: float) -> Tensor:
    """[2 radius + 1] squared weights with the sum 1; sigma in units of the radius."""
    axis = torch.linspace(-1, 1, 2 * radius + 1)
    weights = torch.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def sharpening_kernel(radius: int, sigma: float, alpha: float) -> Tensor:
    """[2 radius + 1] squared: a Gaussian (sigma in units of the radius) times -10 alpha, with a centre that makes the sum 1."""
    kernel = gaussian(radius, sigma) * (-10 * alpha)
    kernel[radius, radius] += 1 - kernel.sum()
    return kernel


@dataclass(frozen=True)
class OperationOnGuidance:
    """`before`: an operation on the difference of both sides, or on the prediction itself where there is only one side."""

    operation: LatentOperation

    def __call__(self, step: Step) -> Step:
        if step.uncond is None:
            return step.with_sides(self.operation(step.cond), None)
        return step.with_sides(self.operation(step.cond - step.uncond) + step.uncond, step.uncond)

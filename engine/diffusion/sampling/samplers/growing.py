"""A consistency sampler whose latent grows on the way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.pixels.resize import resize
from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore


class SizedNoise:
    """Independent draws of any size, from one generator on the device of x, seeded like the first noise."""

    def __init__(self, x: Tensor, seed: int, sigmas: Tensor) -> None:
        self._generator = torch.Generator(x.device).manual_seed(seed)

    def __call__(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=self._generator)


def lcm_upscale(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Callable[[Tensor], Tensor],
    callback: StepCallback = ignore,
    ratio: float = 1.0,
    steps: int | None = None,
    method: str = "bislerp",
) -> Tensor:
    """Multistep consistency sampling (Luo et al. 2023) that scales each prediction up before it is noised again.

    ratio: final size to first size, reached by even growth over `steps` steps (None: half of them, at least one); rounded sizes.
    """
    count = max(len(sigmas) // 2 + 1, 2) - 1 if steps is None else min(steps, len(sigmas))
    scales = [1 + (ratio - 1) * (k + 1) / count for k in range(count)]
    height, width = x.shape[-2:]
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        x = denoised
        if step < len(scales):
            x = resize(x, round(width * scales[step]), round(height * scales[step]), method)
        if sigma_next > 0:
            x = denoiser.prediction.add_noise(sigma_next, noise(x), x)
    return x

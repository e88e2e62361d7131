"""Samplers that throw the noise away and draw it anew at every step."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore, slope


def ddpm(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, callback: StepCallback = ignore) -> Tensor:
    """Ancestral sampling of the variance-preserving chain (Ho et al. 2020, algorithm 2), between any two levels of it.

    Levels of flow models are read as if they were of that chain, as published, which is not exact for them.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        alphas, alphas_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
        alpha = alphas / alphas_next
        scaled = x * alphas.sqrt()
        mean = (scaled - (1 - alpha) * slope(x, sigma, denoised) / (1 - alphas).sqrt()) / alpha.sqrt()
        if sigma_next > 0:
            deviation = ((1 - alpha) * (1 - alphas_next) / (1 - alphas)).sqrt()
            x = (mean + deviation * noise(sigma, sigma_next)) / alphas_next.sqrt()
        else:
            x = mean
    return x


def lcm(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, noise: NoiseSource, callback: StepCallback = ignore) -> Tensor:
    """Multistep consistency sampling (Song et al. 2023, algorithm 1; Luo et al. 2023): denoise wholly, then noise to the next level."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        x = denoised
        if sigma_next > 0:
            x = denoiser.prediction.add_noise(sigma_next, noise(sigma, sigma_next), denoised)
    return x

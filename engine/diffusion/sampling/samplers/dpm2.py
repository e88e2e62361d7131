"""DPM-Solver-2: the midpoint method in log sigma, with and without noise added on the way."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_levels, ignore, slope


def dpm_2(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """DPM-Solver-2 in the form of Karras et al. 2022 (algorithm 2 with a midpoint): the slope at the geometric mean of both levels."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        x = _midpoint(denoiser, x, sigma, sigma_next, denoised)
    return x


def dpm_2_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-2 steps below the next level, then noise up to it (ancestral sampling, Song et al. 2021)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        down, keep, up = ancestral_levels(denoiser.prediction, sigma, sigma_next, eta)
        x = _midpoint(denoiser, x, sigma, down, denoised)
        if sigma_next > 0:
            x = keep * x + noise(sigma, sigma_next) * s_noise * up
    return x


def _midpoint(denoiser: Denoiser, x: Tensor, sigma: Tensor, sigma_next: Tensor, denoised: Tensor) -> Tensor:
    here = slope(x, sigma, denoised)
    if sigma_next == 0:
        return x + here * (sigma_next - sigma)
    middle = sigma.log().lerp(sigma_next.log(), 0.5).exp()
    halfway = x + here * (middle - sigma)
    return x + slope(halfway, middle, denoiser(halfway, middle)) * (sigma_next - sigma)

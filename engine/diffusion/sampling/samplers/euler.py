"""First-order samplers: Euler, with and without noise added on the way."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_step, flow_ancestral_step, ignore, slope


def euler(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """Euler's method on the probability-flow ODE: DDIM (Song et al. 2021), algorithm 2 of Karras et al. 2022 to first order."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        x = x + slope(x, sigma, denoised) * (sigma_next - sigma)
    return x


def euler_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Euler steps below the next level, then noise up to it: ancestral sampling as in DDPM (Ho et al. 2020) and Song et al. 2021."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            x = denoised
        elif denoiser.prediction.flow:
            down, keep, up = flow_ancestral_step(sigma, sigma_next, eta)
            x = (down / sigma) * x + (1.0 - down / sigma) * denoised
            if eta > 0:
                x = keep * x + noise(sigma, sigma_next) * s_noise * up
        else:
            down, up = ancestral_step(sigma, sigma_next, eta)
            x = x + slope(x, sigma, denoised) * (down - sigma) + noise(sigma, sigma_next) * s_noise * up
    return x

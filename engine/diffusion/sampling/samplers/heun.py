"""Heun's second-order method and a variant of third order with weights that follow the levels."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore, slope


def heun(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """Heun's method: an Euler step, then the mean of the slopes at both ends (Karras et al. 2022, algorithm 2 without churn)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        here = slope(x, sigma, denoised)
        ahead = x + here * (sigma_next - sigma)
        if sigma_next == 0:
            x = ahead
        else:
            there = slope(ahead, sigma_next, denoiser(ahead, sigma_next))
            x = x + (here + there) / 2 * (sigma_next - sigma)
    return x

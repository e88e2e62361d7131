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


def heunpp2(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """Heun++: slopes at up to three successive levels, weighted by these levels.

    The weight of a later slope is its level's share of the first level, so the first steps lean on the slope at hand the least.
    """
    first, last = sigmas[0], sigmas[-1]
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        slope_1 = slope(x, sigma, denoised)
        ahead = x + slope_1 * (sigma_next - sigma)
        if sigma_next == last:
            x = ahead
            continue
        slope_2 = slope(ahead, sigma_next, denoiser(ahead, sigma_next))
        sigma_after = sigmas[step + 2]
        if sigma_after == last:
            weight_2 = sigma_next / (2 * first)
            mean = (1 - weight_2) * slope_1 + weight_2 * slope_2
        else:
            further = ahead + slope_2 * (sigma_after - sigma_next)
            slope_3 = slope(further, sigma_after, denoiser(further, sigma_after))
            weight_2, weight_3 = sigma_next / (3 * first), sigma_after / (3 * first)
            mean = (1 - weight_2 - weight_3) * slope_1 + weight_2 * slope_2 + weight_3 * slope_3
        x = x + mean * (sigma_next - sigma)
    return x

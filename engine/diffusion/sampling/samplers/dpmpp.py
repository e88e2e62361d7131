"""DPM-Solver++: exponential integrators on the denoised prediction in half-log-SNR time (Lu et al. 2022b)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_levels, ignore, slope


def dpmpp_2m(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """DPM-Solver++(2M), algorithm 2 of Lu et al. 2022b: second order from two successive predictions.

    Time is -ln sigma for flow models too.
    """
    previous: Tensor | None = None
    last_h = torch.zeros(())
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        h = sigma.log() - sigma_next.log()
        if previous is None or sigma_next == 0:
            target = denoised
        else:
            weight = h / (2 * last_h)
            target = (1 + weight) * denoised - weight * previous
        x = (sigma_next / sigma) * x - torch.expm1(-h) * target
        previous, last_h = denoised, h
    return x


def dpmpp_2s_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S), algorithm 1 of Lu et al. 2022b, below the next level, then noise up to it (ancestral sampling)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        down, keep, up = ancestral_levels(denoiser.prediction, sigma, sigma_next, eta)
        if down == 0:
            x = x + slope(x, sigma, denoised) * (down - sigma)
        else:
            middle = _middle(denoiser, sigma, down)
            half = _towards(x, denoised, middle / sigma)
            x = _towards(x, denoiser(half, middle), down / sigma)
        if sigma_next > 0:
            x = keep * x + noise(sigma, sigma_next) * s_noise * up
    return x


def _middle(denoiser: Denoiser, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """The level halfway in log-SNR; just below all noise where a flow model starts from all noise."""
    prediction = denoiser.prediction
    if prediction.flow and sigma == 1:
        return torch.tensor(0.9999)
    lam, lam_next = prediction.log_snr(sigma), prediction.log_snr(sigma_next)
    return prediction.sigma_of_log_snr(lam + 0.5 * (lam_next - lam))


def _towards(x: Tensor, denoised: Tensor, ratio: Tensor) -> Tensor:
    """x carried to `ratio` times its level while the denoised prediction stays."""
    return ratio * x - torch.expm1(ratio.log()) * denoised

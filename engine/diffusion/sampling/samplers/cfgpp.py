"""CFG++ (Chung et al. 2024): the guided prediction is renoised along the negative prediction instead of the guided one.

The other samplers' CFG++ forms that differ from their plain ones only in what they read are options of those.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_step, ignore, slope


def euler_ancestral_cfg_pp(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Euler with CFG++, and noise added on the way where eta > 0; in noise levels relative to the data, so flow models are covered."""
    prediction = denoiser.prediction
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided = denoiser.guided(x, sigma)
        callback(step, x, guided.denoised)
        if sigma_next == 0:
            x = guided.denoised
            continue
        alpha = prediction.alpha(sigma, prediction.log_snr(sigma))
        alpha_next = prediction.alpha(sigma_next, prediction.log_snr(sigma_next))
        noise_direction = (x - alpha * guided.negative) / sigma
        # All noise is level infinity in these units: the step down from there is undefined and noise replaces it entirely.
        down, up = ancestral_step(sigma / alpha, sigma_next / alpha_next, eta)
        x = alpha_next * guided.denoised + alpha_next * down * noise_direction
        if eta > 0 and s_noise > 0:
            x = x + alpha_next * noise(sigma, sigma_next) * s_noise * up
    return x


def euler_cfg_pp_alternative(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """Euler on x shifted by the difference of the negative and the guided prediction, an early reading of CFG++."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided = denoiser.guided(x, sigma)
        callback(step, x, guided.denoised)
        x = x + slope(x - guided.denoised + guided.negative, sigma, guided.denoised) * (sigma_next - sigma)
    return x


def dpmpp_2s_ancestral_cfg_pp(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S) with CFG++ and noise added on the way. Flow models are stepped in -ln sigma like all others.

    As published, the full step leaves the first evaluation along the negative of the second, so more steps do not make it exact.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided = denoiser.guided(x, sigma)
        denoised = guided.denoised
        callback(step, x, denoised)
        down, up = ancestral_step(sigma, sigma_next, eta)
        if down == 0:
            x = denoised + slope(x, sigma, guided.negative) * down
        else:
            h = sigma.log() - down.log()
            middle = (sigma.log() - 0.5 * h).exp()
            half = (middle / sigma) * (x + (denoised - guided.negative)) - torch.expm1(-h / 2) * denoised
            second = denoiser.guided(half, middle)
            x = (down / sigma) * (x + (denoised - second.negative)) - torch.expm1(-h) * second.denoised
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * up
    return x


def dpmpp_2m_cfg_pp(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """DPM-Solver++(2M) with CFG++: the negative predictions of this and the last step carry the noise part."""
    previous: Tensor | None = None
    last_h = torch.zeros(())
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided = denoiser.guided(x, sigma)
        callback(step, x, guided.denoised)
        h = sigma.log() - sigma_next.log()
        mix = -(-h).exp() * guided.negative
        if previous is not None and sigma_next > 0:
            mix = mix - torch.expm1(-h) * (h / (2 * last_h)) * (guided.denoised - previous)
        x = guided.denoised + mix + (-h).exp() * x
        previous, last_h = guided.negative, h
    return x

"""Exponential multistep integrators of second order, and a corrected Euler method."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_step, ignore, slope


def res_multistep(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 0.0,
    s_noise: float = 1.0,
    cfg_pp: bool = False,
) -> Tensor:
    """Refined exponential solver, multistep of second order (Zhang et al. 2023, RES); ancestral with eta > 0.

    The noise of the ancestral form is that of variance-exploding models, as published; on flow models it is not exact.
    cfg_pp: the noise part follows the negative prediction alone (CFG++, Chung et al. 2024).
    """
    previous: Tensor | None = None
    sigma_before = last_down = sigmas[0]
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided = denoiser.guided(x, sigma)
        denoised = guided.denoised
        callback(step, x, denoised)
        base = guided.negative if cfg_pp else denoised
        down, up = ancestral_step(sigma, sigma_next, eta)
        if down == 0 or previous is None:
            x = denoised + slope(x, sigma, base) * down if cfg_pp else x + slope(x, sigma, denoised) * (down - sigma)
        else:
            h = sigma.log() - down.log()
            now, before = res_weights(h, (last_down.log() - sigma_before.log()) / h)
            if cfg_pp:
                x = x + (denoised - base)
            x = (-h).exp() * x + h * (now * base + before * previous)
        if sigma_next > 0 and eta > 0:
            x = x + noise(sigma, sigma_next) * s_noise * up
        previous, sigma_before, last_down = base, sigma, down
    return x


def res_weights(h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the present and the earlier prediction, c being minus the earlier one's distance in units of the step."""
    phi_1 = (-h).expm1() / -h
    phi_2 = (phi_1 - 1) / -h
    return (phi_1 - phi_2 / c).nan_to_num(0.0), (phi_2 / c).nan_to_num(0.0)


def gradient_estimation(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore, gamma: float = 2.0, cfg_pp: bool = False
) -> Tensor:
    """Euler with each slope pushed on along its change since the last step (Permenter and Yuan 2024, gradient estimation).

    cfg_pp: the noise part follows the negative prediction alone (CFG++, Chung et al. 2024).
    """
    previous: Tensor | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided = denoiser.guided(x, sigma)
        callback(step, x, guided.denoised)
        here = slope(x, sigma, guided.negative if cfg_pp else guided.denoised)
        if sigma_next == 0:
            x = guided.denoised
        else:
            x = guided.denoised + here * sigma_next if cfg_pp else x + here * (sigma_next - sigma)
            if previous is not None:
                x = x + (gamma - 1) * (here - previous) * (sigma_next - sigma)
        previous = here
    return x

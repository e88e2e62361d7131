"""Stochastic exponential integrators driven by a Brownian path."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.prediction import Prediction
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_step, ignore


def below_all_noise(sigmas: Tensor, prediction: Prediction) -> Tensor:
    """A schedule whose first level has a finite log-SNR: for flow models, level 1 becomes the level just below it."""
    if not prediction.flow or sigmas[0] < 1:
        return sigmas
    return torch.cat([sigmas.new_tensor([prediction.percent_to_sigma(1e-4)]), sigmas[1:]])


def dpmpp_2m_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Tensor:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022b, appendix): the stochastic DPM-Solver++ of second order from two successive predictions."""
    prediction = denoiser.prediction
    sigmas = below_all_noise(sigmas, prediction)
    previous: Tensor | None = None
    last_h = torch.zeros(())
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            return denoised
        lam, lam_next = prediction.log_snr(sigma), prediction.log_snr(sigma_next)
        h = lam_next - lam
        h_eta = h * (1 + eta)
        alpha = prediction.alpha(sigma_next, lam_next)
        x = (sigma_next / sigma) * (-h * eta).exp() * x - alpha * torch.expm1(-h_eta) * denoised
        if previous is not None:
            trend = (denoised - previous) * (h / last_h)
            if solver_type == "heun":
                x = x + alpha * (torch.expm1(-h_eta) / h_eta + 1) * trend
            else:
                x = x - 0.5 * alpha * torch.expm1(-h_eta) * trend
        if eta > 0 and s_noise > 0:
            x = x + noise(sigma, sigma_next) * sigma_next * (-torch.expm1(-2 * h * eta)).sqrt() * s_noise
        previous, last_h = denoised, h
    return x


def dpmpp_3m_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """SDE-DPM-Solver++ of third order from three successive predictions (Lu et al. 2022b, carried on by k-diffusion)."""
    prediction = denoiser.prediction
    sigmas = below_all_noise(sigmas, prediction)
    history: list[tuple[Tensor, Tensor]] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            return denoised
        lam, lam_next = prediction.log_snr(sigma), prediction.log_snr(sigma_next)
        h = lam_next - lam
        h_eta = h * (1 + eta)
        alpha = prediction.alpha(sigma_next, lam_next)
        x = (sigma_next / sigma) * (-h * eta).exp() * x - alpha * torch.expm1(-h_eta) * denoised
        phi_2 = torch.expm1(-h_eta) / h_eta + 1
        if len(history) == 1:
            ((previous, h_1),) = history
            x = x + alpha * phi_2 * (denoised - previous) * (h / h_1)
        elif history:
            (previous, h_1), (earlier, h_2) = history
            r_0, r_1 = h_1 / h, h_2 / h
            first = (denoised - previous) / r_0
            change = first - (previous - earlier) / r_1
            phi_3 = phi_2 / h_eta - 0.5
            x = x + alpha * phi_2 * (first + change * r_0 / (r_0 + r_1)) - alpha * phi_3 * change / (r_0 + r_1)
        if eta > 0 and s_noise > 0:
            x = x + noise(sigma, sigma_next) * sigma_next * (-torch.expm1(-2 * h * eta)).sqrt() * s_noise
        history = [(denoised, h), *history[:1]]
    return x


def dpmpp_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Tensor:
    """SDE-DPM-Solver++(2S): two evaluations a step, the second after the share r of it in log-SNR (Lu et al. 2022b)."""
    prediction = denoiser.prediction
    sigmas = below_all_noise(sigmas, prediction)

    def advance(start: Tensor, sigma: Tensor, target: Tensor, denoised: Tensor) -> Tensor:
        lam, lam_target = prediction.log_snr(sigma), prediction.log_snr(target)
        alpha, alpha_target = prediction.alpha(sigma, lam), prediction.alpha(target, lam_target)
        down, up = ancestral_step((-lam).exp(), (-lam_target).exp(), eta)
        h = -down.log() - lam
        start = (alpha_target / alpha) * (-h).exp() * start - alpha_target * torch.expm1(-h) * denoised
        if eta > 0 and s_noise > 0:
            start = start + alpha_target * noise(sigma, target) * s_noise * up
        return start

    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            return denoised
        between = prediction.sigma_of_log_snr(prediction.log_snr(sigma).lerp(prediction.log_snr(sigma_next), r))
        second = denoiser(advance(x, sigma, between, denoised), between)
        weight = 1 / (2 * r)
        x = advance(x, sigma, sigma_next, (1 - weight) * denoised + weight * second)
    return x

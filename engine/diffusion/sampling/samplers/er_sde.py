"""Extended reverse-time SDE solvers (Cui et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore
from engine.diffusion.sampling.samplers.sde import below_all_noise

NoiseScale = Callable[[Tensor], Tensor]

POINTS = 200
"""Points of the numerical integral over a step."""


def er_sde_scale(level: Tensor) -> Tensor:
    """The noise scale the paper recommends (ER-SDE 5)."""
    return level * ((level**0.3).exp() + 10.0)


def er_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    s_noise: float = 1.0,
    noise_scale: NoiseScale = er_sde_scale,
    max_stage: int = 3,
) -> Tensor:
    """ER-SDE-Solver of up to third order (Cui et al. 2023, algorithms 1 to 3).

    noise_scale: a function of the level relative to the data; v gives the ODE (with s_noise 0), v^(eta + 1) a reverse-time SDE.
    """
    prediction = denoiser.prediction
    sigmas = below_all_noise(sigmas, prediction)
    levels = prediction.log_snr(sigmas).neg().exp()
    previous: Tensor | None = None
    last_trend: Tensor | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            return denoised
        level, level_next = levels[step], levels[step + 1]
        alpha, alpha_next = sigma / level, sigma_next / level_next
        ratio = noise_scale(level_next) / noise_scale(level)
        x = alpha_next / alpha * ratio * x + alpha_next * (1 - ratio) * denoised
        if previous is not None and max_stage >= 2:
            width = (level_next - level) / POINTS
            grid = level_next - torch.arange(POINTS) * width
            trend = (denoised - previous) / (level - levels[step - 1])
            integral = -width * (1 / noise_scale(grid)).sum()
            x = x + alpha_next * (level_next - level + integral * noise_scale(level_next)) * trend
            if last_trend is not None and max_stage >= 3:
                curve = (trend - last_trend) / ((level - levels[step - 2]) / 2)
                integral = -width * ((grid - level) / noise_scale(grid)).sum()
                x = x + alpha_next * ((level_next - level) ** 2 / 2 + integral * noise_scale(level_next)) * curve
            last_trend = trend
        if s_noise > 0:
            deviation = (level_next**2 - level**2 * ratio**2).sqrt().nan_to_num(0.0)
            x = x + alpha_next * noise(sigma, sigma_next) * s_noise * deviation
        previous = denoised
    return x

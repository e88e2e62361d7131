"""SEEDS: stochastic explicit exponential derivative-free solvers (Gonzalez et al. 2023)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore
from engine.diffusion.sampling.samplers.sde import below_all_noise


class _Walk:
    """One step from sigma to sigma_next in log-SNR, whose stages share one path of noise."""

    def __init__(self, denoiser: Denoiser, x: Tensor, sigma: Tensor, sigma_next: Tensor, noise: NoiseSource, eta: float, s_noise: float):
        self._prediction, self._x, self._sigma, self._noise = denoiser.prediction, x, sigma, noise
        self._eta, self._s_noise = eta, s_noise
        self._lam = self._prediction.log_snr(sigma)
        self._h = self._prediction.log_snr(sigma_next) - self._lam
        self.h_eta = self._h * (1 + eta)
        self._sigma_next = sigma_next
        self._share = 0.0
        self._carried: Tensor | None = None

    def level(self, share: float) -> Tensor:
        """The level at a share of the step."""
        return self._sigma_next if share == 1.0 else self._prediction.sigma_of_log_snr(self._lam + share * self._h)

    def to(self, share: float, drift: Tensor) -> Tensor:
        """x at a share of the step: the start decayed, the weighted predictions (for data of unit scale), and the noise so far.

        `drift` is what the predictions add, divided by minus the data's factor there. Shares must rise from call to call.
        """
        sigma = self.level(share)
        alpha = self._prediction.alpha(sigma, self._prediction.log_snr(sigma))
        x = sigma / self._sigma * (-share * self._h * self._eta).exp() * self._x - alpha * drift
        if self._eta > 0 and self._s_noise > 0:
            x = x + self._noise_until(share, sigma) * sigma * self._s_noise
        return x

    def _noise_until(self, share: float, sigma: Tensor) -> Tensor:
        before = self.level(self._share) if self._share else self._sigma
        decay = (self._share - share) * self._h * self._eta
        fresh = (-torch.expm1(2 * decay)).sqrt() * self._noise(before, sigma)
        self._carried = fresh if self._carried is None else self._carried * decay.exp() + fresh
        self._share = share
        return self._carried


def seeds_2(
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
    """SEEDS-2 (Gonzalez et al. 2023, algorithm 2): two evaluations a step, the second after the share r of it."""
    sigmas = below_all_noise(sigmas, denoiser.prediction)
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            return denoised
        walk = _Walk(denoiser, x, sigma, sigma_next, noise, eta, s_noise)
        second = denoiser(walk.to(r, (-r * walk.h_eta).expm1() * denoised), walk.level(r))
        mixed = denoised.lerp(second, 1 / (2 * r))
        x = walk.to(1.0, (-walk.h_eta).expm1() * mixed)
    return x


def seeds_3(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1 / 3,
    r_2: float = 2 / 3,
) -> Tensor:
    """SEEDS-3 (Gonzalez et al. 2023, algorithm 3): three evaluations a step, after the shares r_1 and r_2 of it."""
    sigmas = below_all_noise(sigmas, denoiser.prediction)
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        if sigma_next == 0:
            return denoised
        walk = _Walk(denoiser, x, sigma, sigma_next, noise, eta, s_noise)
        h = walk.h_eta
        second = denoiser(walk.to(r_1, (-r_1 * h).expm1() * denoised), walk.level(r_1))
        weight = r_2 / r_1 * _phi_2(-r_2 * h)
        third = denoiser(walk.to(r_2, ((-r_2 * h).expm1() - weight) * denoised + weight * second), walk.level(r_2))
        weight = _phi_2(-h) / r_2
        x = walk.to(1.0, ((-h).expm1() - weight) * denoised + weight * third)
    return x


def _phi_2(h: Tensor) -> Tensor:
    return (h.expm1() - h) / h

"""UniPC: a unified predictor and corrector of any order (Zhao et al. 2023)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore

LAST_SIGMA = 0.001
"""Where the method ends instead of at 0, where its log-SNR would be infinite."""


def uni_pc(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: StepCallback = ignore,
    variant: Literal["bh1", "bh2"] = "bh1",
) -> Tensor:
    """UniPC (Zhao et al. 2023, algorithms 5 and 7), data prediction, third order, one evaluation per step.

    Works in variance-preserving scale, y = x / sqrt(1 + s^2), for all models. sigmas must end above 0. A single step is too short
    for the method, which then returns x as it is.
    """
    steps = len(sigmas) - 1
    order = min(3, steps - 1)
    solver = _Solver(denoiser, sigmas, max(order, 1), variant)
    y = x / (1 + sigmas[0] ** 2).sqrt()
    solver.remember(0, solver.denoised(y, 0))
    callback(0, x, solver.latest)
    if order == 0:
        return x
    for step in range(1, steps):
        used = step if step < order else min(order, steps + 1 - step)
        y, denoised = solver.step(y, step, used)
        solver.remember(step, denoised)
        callback(step, y * (1 + sigmas[step] ** 2).sqrt(), denoised)
    return solver.predict(y, steps, 1) / solver.last_alpha


class _Solver:
    """The history of a run and the update of UniPC over it."""

    def __init__(self, denoiser: Denoiser, sigmas: Tensor, order: int, variant: Literal["bh1", "bh2"]) -> None:
        self._denoiser, self._variant = denoiser, variant
        self._sigmas = sigmas
        # The logarithm cancels in float32 where sigma is small, by up to a few per cent; published pictures have that in them.
        log_alphas = 0.5 * (1 / (sigmas**2 + 1)).log()
        self._alphas = log_alphas.exp()
        self._stds = (-torch.expm1(2 * log_alphas.double())).sqrt().float()
        self._log_snr = log_alphas - self._stds.log()
        self._past: deque[tuple[int, Tensor]] = deque(maxlen=order)

    @property
    def latest(self) -> Tensor:
        return self._past[-1][1]

    @property
    def last_alpha(self) -> Tensor:
        return self._alphas[-1]

    def denoised(self, y: Tensor, index: int) -> Tensor:
        """The data prediction at y, by way of the noise prediction; at high levels its rounding is part of published results too."""
        sigma = self._sigmas[index]
        x = y * (sigma**2 + 1).sqrt()
        noise = (x - self._denoiser(x, sigma)) / sigma
        return (y - self._stds[index] * noise) / self._alphas[index]

    def remember(self, index: int, denoised: Tensor) -> None:
        self._past.append((index, denoised))

    def predict(self, y: Tensor, index: int, order: int) -> Tensor:
        """y at level `index` by the predictor alone."""
        base, scale, _, differences, matrix, right = self._system(y, index, order)
        weights = [0.5] if order == 2 else _solve(matrix[:-1, :-1], right[:-1])
        return base - scale * _sum(weights, differences)

    def step(self, y: Tensor, index: int, order: int) -> tuple[Tensor, Tensor]:
        """y at level `index` by predictor and corrector, and the prediction in between, which the next step takes over."""
        denoised = self.denoised(self.predict(y, index, order), index)
        base, scale, latest, differences, matrix, right = self._system(y, index, order)
        weights = [0.5] if order == 1 else _solve(matrix, right)
        return base - scale * _sum(weights, [*differences, denoised - latest]), denoised

    def _system(self, y: Tensor, index: int, order: int) -> tuple[Tensor, Tensor, Tensor, list[Tensor], Tensor, Tensor]:
        """The first-order step, the scale B of the correction, the differences of past predictions, and their linear system."""
        last, latest = self._past[-1]
        h = self._log_snr[index] - self._log_snr[last]
        past = [self._past[-k] for k in range(2, order + 1)]
        ratios = [(self._log_snr[k] - self._log_snr[last]) / h for k, _ in past]
        differences = [(denoised - latest) / ratio for (_, denoised), ratio in zip(past, ratios, strict=True)]
        alpha = self._alphas[index]
        base = self._stds[index] / self._stds[last] * y - alpha * torch.expm1(-h) * latest
        scale = torch.expm1(-h) if self._variant == "bh2" else -h
        matrix = torch.stack([*ratios, torch.ones(())]) ** torch.arange(order)[:, None]
        return base, alpha * scale, latest, differences, matrix, _right_side(-h, scale, order)


def _right_side(h: Tensor, scale: Tensor, order: int) -> Tensor:
    """phi_k(h) k! / B for k = 1 .. order."""
    phi, factorial = torch.expm1(h) / h - 1, 1
    values = []
    for k in range(1, order + 1):
        values.append(phi * factorial / scale)
        factorial *= k + 1
        phi = phi / h - 1 / factorial
    return torch.stack(values)


def _solve(matrix: Tensor, right: Tensor) -> list[float]:
    return torch.linalg.solve(matrix, right).tolist() if len(right) else []


def _sum(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor | float:
    return sum((weight * tensor for weight, tensor in zip(weights, tensors, strict=True)), 0.0)

"""Linear multistep methods on the slope dx/dsigma: the slopes of earlier steps stand in for further evaluations."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.polynomial import Polynomial
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore, slope

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def lms(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore, order: int = 4) -> Tensor:
    """Linear multistep (Adams-Bashforth for uneven steps): the polynomial through the last slopes, integrated over the step."""
    slopes: deque[Tensor] = deque(maxlen=order)
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        slopes.appendleft(slope(x, sigma, denoised))
        if sigma_next == 0:
            x = denoised
        else:
            nodes = [sigmas[step - k].item() for k in range(len(slopes))]
            basis = [lagrange(nodes, k).integ() for k in range(len(nodes))]
            x = x + _combine([float(b(sigma_next.item()) - b(sigma.item())) for b in basis], slopes)
    return x


def ipndm(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore, max_order: int = 4) -> Tensor:
    """iPNDM (Zhang and Chen 2023): Adams-Bashforth with the coefficients of even steps, at rising order from the first step on."""
    slopes: deque[Tensor] = deque(maxlen=max_order)
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        slopes.appendleft(slope(x, sigma, denoised))
        if sigma_next == 0:
            x = denoised
        else:
            x = x + _combine(ADAMS_BASHFORTH[len(slopes) - 1], slopes) * (sigma_next - sigma)
    return x


def ipndm_v(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore, max_order: int = 4) -> Tensor:
    """iPNDM with coefficients for uneven steps (Zhang and Chen 2023, as carried by diff-solvers)."""
    slopes: deque[Tensor] = deque(maxlen=max_order)
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        slopes.appendleft(slope(x, sigma, denoised))
        if sigma_next == 0:
            x = denoised
        else:
            steps = [(sigmas[step + 1 - k] - sigmas[step - k]).item() for k in range(len(slopes))]
            x = x + _combine(_uneven_adams(steps), slopes) * (sigma_next - sigma)
    return x


def _uneven_adams(h: Sequence[float]) -> list[float]:
    """Coefficients for the step h[0] after steps h[1], h[2], ...

    The factor before the third-order term binds differently from textbook Adams-Bashforth; pictures made with this sampler rely on it.
    """
    if len(h) == 1:
        return [1.0]
    ratio = h[0] / h[1]
    second = [(2 + ratio) / 2, -ratio / 2]
    if len(h) == 2:
        return second
    h12 = h[1] / h[2]
    third = (1 - h[0] / (3 * (h[0] + h[1])) * (h[0] * (h[0] + h[1])) / (h[1] * (h[1] + h[2]))) / 2
    if len(h) == 3:
        return [second[0] + third, second[1] - (1 + h12) * third, third * h12]
    total = h[0] + h[1] + h[2]
    fourth = (
        ((1 - h[0] / (3 * (h[0] + h[1]))) / 2 + (1 - h[0] / (2 * (h[0] + h[1]))) * h[0] / (6 * total))
        * (h[0] * (h[0] + h[1]) * total)
        / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
    )
    q = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
    return [
        second[0] + third + fourth,
        second[1] - (1 + h12) * third - (1 + h12 + q) * fourth,
        third * h12 + (h12 + q * (1 + h[2] / h[3])) * fourth,
        -fourth * q * h12,
    ]


def deis(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore, max_order: int = 3) -> Tensor:
    """tAB-DEIS (Zhang and Chen 2023): the polynomial through the last noise predictions in variance-preserving time, integrated exactly."""
    slopes: deque[Tensor] = deque(maxlen=max_order)
    path = VariancePreserving()
    times = path.time(sigmas.double().numpy())
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoiser(x, sigma)
        callback(step, x, denoised)
        slopes.appendleft(slope(x, sigma, denoised))
        if sigma_next == 0 or len(slopes) == 1:
            x = x + slopes[0] * (sigma_next - sigma)
        else:
            x = x + _combine(path.weights(times[step + 1], [times[step - k] for k in range(len(slopes))]), slopes)
    return x


class VariancePreserving:
    """The linear-beta variance-preserving diffusion (Song et al. 2021) whose levels run from 0.002 to 80 between times 0.001 and 1."""

    low, high, first_time = 0.002, 80.0, 1e-3
    points = 10000

    def __init__(self) -> None:
        log_low, log_high = np.log(self.low**2 + 1), np.log(self.high**2 + 1)
        self.slope = 2 * (log_low / self.first_time - log_high) / (self.first_time - 1)
        self.beta = log_high - 0.5 * self.slope

    def time(self, sigma: np.ndarray) -> np.ndarray:
        return (np.sqrt(self.beta**2 + 2 * self.slope * np.log(sigma**2 + 1)) - self.beta) / self.slope

    def weights(self, end: float, times: Sequence[float]) -> list[float]:
        """What each of the predictions at `times` (latest first) adds to x over the step times[0] -> end."""
        tau = np.linspace(times[0], end, self.points)
        alpha = np.exp(-0.5 * tau**2 * self.slope - tau * self.beta)
        rate = 0.5 * (tau * self.slope + self.beta) / np.sqrt(alpha * (1 - alpha))
        width = (end - times[0]) / self.points
        return [float((rate * lagrange(times, k)(tau)).sum() * width) for k in range(len(times))]


def lagrange(nodes: Sequence[float], k: int) -> Polynomial:
    """The polynomial that is 1 at nodes[k] and 0 at the other nodes."""
    others = [node for j, node in enumerate(nodes) if j != k]
    return Polynomial.fromroots(others) / np.prod([nodes[k] - node for node in others]) if others else Polynomial([1.0])


def _combine(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    total = torch.zeros_like(tensors[0])
    for weight, tensor in zip(weights, tensors, strict=True):
        total = total + weight * tensor
    return total

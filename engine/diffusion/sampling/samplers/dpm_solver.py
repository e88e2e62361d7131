"""DPM-Solver: exponential integrators of order 1 to 3 on the noise prediction, on even or on adaptive steps (Lu et al. 2022a)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers.sampler import StepCallback, ancestral_step, ignore
from engine.errors import InvalidInput

MOST_STEPS = 10_000
"""Steps that the adaptive solver tries, those that it takes back included."""
LARGEST_ERROR = 1e8
"""In units of what is allowed."""


class Stages:
    """Steps of several orders over one interval, in time t = -ln sigma, that share their evaluations of the noise prediction."""

    def __init__(self, denoiser: Denoiser, x: Tensor, t: Tensor, t_next: Tensor) -> None:
        self._denoiser, self._x, self._t, self._h = denoiser, x, t, t_next - t
        self._sigma_next = _sigma(t_next)
        self.denoised = denoiser(x, _sigma(t))
        self._noise = (x - self.denoised) / _sigma(t)
        self._between: dict[float, Tensor] = {}

    def first_order(self) -> Tensor:
        """DPM-Solver-1."""
        return self._x - self._sigma_next * self._h.expm1() * self._noise

    def second_order(self, r: float = 0.5) -> Tensor:
        """DPM-Solver-2 with its intermediate time at the share r of the step (algorithm 4)."""
        grow = self._h.expm1()
        correction = self._sigma_next / (2 * r) * grow * (self._noise_at(r) - self._noise)
        return self.first_order() - correction

    def third_order(self, r1: float = 1 / 3, r2: float = 2 / 3) -> Tensor:
        """DPM-Solver-3 with two intermediate times (algorithm 5)."""
        h, rise = self._h, self._noise_at(r1) - self._noise
        sigma = _sigma(self._t + r2 * h)
        grow = (r2 * h).expm1()
        x = self._x - sigma * grow * self._noise - sigma * (r2 / r1) * (grow / (r2 * h) - 1) * rise
        late = (x - self._denoiser(x, sigma)) / sigma
        straight = self._x - self._sigma_next * h.expm1() * self._noise
        return straight - self._sigma_next / r2 * (h.expm1() / h - 1) * (late - self._noise)

    def _noise_at(self, r: float) -> Tensor:
        """The noise prediction at the share r of the step, after a first-order step there."""
        if r not in self._between:
            sigma = _sigma(self._t + r * self._h)
            x = self._x - sigma * (r * self._h).expm1() * self._noise
            self._between[r] = (x - self._denoiser(x, sigma)) / sigma
        return self._between[r]


def dpm_fast(denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, callback: StepCallback = ignore) -> Tensor:
    """DPM-Solver-fast (Lu et al. 2022a, appendix): even steps in log sigma, of third order as long as evaluations are left.

    Spends as many evaluations as the schedule has steps, between its first and last positive level; ends at that level, not at 0.
    """
    evaluations = len(sigmas) - 1
    steps = evaluations // 3 + 1
    if evaluations % 3 == 0:
        orders = [3] * (steps - 2) + [2, 1]
    else:
        orders = [3] * (steps - 1) + [evaluations % 3]
    times = torch.linspace(-math.log(sigmas[0]), -math.log(_last_positive(sigmas)), steps + 1)
    for step, order in enumerate(orders):
        stages = Stages(denoiser, x, times[step], times[step + 1])
        callback(step, x, stages.denoised)
        x = (stages.first_order, stages.second_order, stages.third_order)[order - 1]()
    return x


def dpm_adaptive(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    callback: StepCallback = ignore,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 or -23 with adaptive steps (Lu et al. 2022a, appendix C): two orders are compared, a PID controller sets the step.

    Takes as many steps as the tolerances ask for, between the first and the last positive level; ends at that level, not at 0.
    Raises InvalidInput where that has no end.
    """
    controller = StepSize(h_init, order if not eta else 1.5, pcoeff, icoeff, dcoeff, accept_safety)
    time, end = -sigmas[0].log(), -_last_positive(sigmas).log()
    previous, tried = x, 0
    while time < end - 1e-5:
        target = torch.minimum(end, time + controller.h)
        if tried == MOST_STEPS or target <= time:
            raise InvalidInput("The adaptive sampler finds no steps that are small enough for its tolerances.", hint="Raise rtol or atol.")
        down, up = target, torch.zeros(())
        if eta:
            sigma_down, _ = ancestral_step(_sigma(time), _sigma(target), eta)
            down = torch.minimum(end, -sigma_down.log())
            up = (_sigma(target) ** 2 - _sigma(down) ** 2) ** 0.5
        stages = Stages(denoiser, x, time, down)
        callback(tried, x, stages.denoised)
        if order == 2:
            low, high = stages.first_order(), stages.second_order()
        else:
            low, high = stages.second_order(r=1 / 3), stages.third_order()
        allowed = (rtol * torch.maximum(low.abs(), previous.abs())).clamp(min=atol)
        if not high.isfinite().all():
            return high  # no step is small enough for a model that gives no numbers
        error = (torch.linalg.norm((low - high) / allowed) / x.numel() ** 0.5).item()
        if controller.accepts(error if error < LARGEST_ERROR else LARGEST_ERROR):  # also where nothing is allowed: 0 / 0
            x = high + up * s_noise * noise(_sigma(time), _sigma(target)) if eta else high
            previous, time = low, target
        tried += 1
    return x


class StepSize:
    """A PID controller of the step size (Soederlind 2003) with a smooth limit on how fast it changes."""

    def __init__(self, h: float, order: float, p: float, i: float, d: float, accept_safety: float) -> None:
        self.h, self._accept_safety = h, accept_safety
        self._exponents = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self._inverse_errors: list[float] = []

    def accepts(self, error: float) -> bool:
        """Whether a step with this error stands; sets the size of the next, or of its second try."""
        inverse = 1 / (error + 1e-8)
        self._inverse_errors = [inverse, *(self._inverse_errors[1:] or [inverse, inverse])]
        factor = math.prod(value**power for value, power in zip(self._inverse_errors, self._exponents, strict=True))
        factor = 1 + math.atan(factor - 1)
        accepted = factor >= self._accept_safety
        if accepted:
            self._inverse_errors = [inverse, inverse, self._inverse_errors[1]]
        self.h *= factor
        return accepted


def _sigma(t: Tensor) -> Tensor:
    return t.neg().exp()


def _last_positive(sigmas: Tensor) -> Tensor:
    return sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]

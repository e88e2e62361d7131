"""The shape of a sampler, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.sampling.prediction import Prediction

StepCallback = Callable[[int, Tensor, Tensor], None]
"""(step from 0, x before the step, denoised); raise from it to stop."""

NoiseKind = Callable[[Tensor, int, Tensor], Callable[..., Tensor]]
"""(x, seed, sigmas) -> the noise of a run: a NoiseSource, or for a sampler of its own kind what that one calls."""


def ignore(step: int, x: Tensor, denoised: Tensor) -> None:
    """A callback for those who do not watch."""


@dataclass(frozen=True)
class Sampler:
    """A sampling algorithm with its options, as a value.

    function(denoiser, x, sigmas, *, callback, **options) -> x, and noise=... besides where `noise` is set.
    drop_second_last: evaluates between levels, so a schedule for it leaves out the second-last one.
    needs_uncond: reads the negative prediction, which is then computed at guidance scale 1 too.
    fresh_mask_noise: the kept part of an inpainted latent gets noise of its own (seed + 1).
    last_sigma: where the last level is 0, the algorithm ends at this one instead.
    distinct: divides by the length of its steps, so no level may stand twice in a row.
    evaluations: of the network in a step (the last one may need fewer), by which prompts that change on the way are timed.
    """

    function: Callable[..., Tensor]
    noise: NoiseKind | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    drop_second_last: bool = False
    needs_uncond: bool = False
    fresh_mask_noise: bool = False
    last_sigma: float = 0.0
    distinct: bool = False
    evaluations: int = 1

    def with_options(self, **options: Any) -> Sampler:
        return replace(self, options={**self.options, **options})


def slope(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """dx/dsigma of the probability-flow ODE (Karras et al. 2022, algorithm 1)."""
    return (x - denoised) / sigma


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor]:
    """(level to step down to, standard deviation of the noise that brings x back up to sigma_next)."""
    if not eta:
        return sigma_next, torch.zeros(())
    # Python's min keeps its first argument against a NaN, which levels of infinite signal-to-noise ratio bring up.
    up = min(sigma_next, eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
    return (sigma_next**2 - up**2) ** 0.5, up


def flow_ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """The same for the straight path of flow models: (level to step down to, factor of x there, standard deviation of new noise)."""
    down = sigma_next * (1.0 + (sigma_next / sigma - 1.0) * eta)
    keep = (1.0 - sigma_next) / (1.0 - down)
    return down, keep, (sigma_next**2 - down**2 * keep**2) ** 0.5


def ancestral_levels(prediction: Prediction, sigma: Tensor, sigma_next: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """What `flow_ancestral_step` gives, for either kind of model; x keeps its size where the path is not straight."""
    if prediction.flow:
        return flow_ancestral_step(sigma, sigma_next, eta)
    down, up = ancestral_step(sigma, sigma_next, eta)
    return down, torch.ones(()), up

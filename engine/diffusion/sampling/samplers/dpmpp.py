"""DPM-Solver++: exponential integrators on the denoised prediction in half-log-SNR time (Lu et al. 2022b)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.sampling.denoiser import Denoiser
from engine.diffusion.sampling.samplers.sampler import StepCallback, ignore


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

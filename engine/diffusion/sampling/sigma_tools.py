"""Schedules as tensors: cut, turned, made finer. Nothing writes to its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from engine.diffusion.sampling.prediction import Prediction

ALMOST_NONE = 0.0001
"""The first level of a turned schedule that would begin at 0, where nothing can be predicted."""


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The levels of the first `step` steps, and those of the rest; the level between is in both."""
    return sigmas[: step + 1], sigmas[step:]


def split_by_denoise(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """The same, where the second part is the `denoise` share of all steps. With no step in it, the first part is empty too."""
    steps = max(len(sigmas) - 1, 0)
    last = round(steps * denoise)
    return sigmas[:-last] if last else sigmas[:0], sigmas[-(last + 1) :]


def flipped(sigmas: Tensor) -> Tensor:
    """From noise-free to noisy, for adding noise step by step."""
    turned = sigmas.flip(0)
    if len(turned) and turned[0] == 0:
        turned[0] = ALMOST_NONE
    return turned


def with_first(sigmas: Tensor, sigma: float) -> Tensor:
    """The same schedule beginning at another level."""
    changed = sigmas.clone()
    changed[:1] = sigma
    return changed


SPACINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda share: share,
    "cosine": lambda share: torch.sin(share * math.pi / 2),
    "sine": lambda share: 1 - torch.cos(share * math.pi / 2),
}


def extended(sigmas: Tensor, steps: int, start: float, end: float, spacing: str) -> Tensor:
    """Every step that begins between the levels `start` (below 0: any) and `end` becomes `steps` steps."""
    shares = SPACINGS[spacing](torch.linspace(0, 1, steps + 1)[1:-1])
    highest = math.inf if start < 0 else start
    levels = []
    for sigma, following in pairwise(sigmas):
        levels.append(sigma[None])
        if end <= sigma <= highest:
            levels.append(sigma + shares * (following - sigma))
    return torch.cat([*levels, sigmas[-1:]])


def sigma_at(prediction: Prediction, percent: float, actual: bool) -> float:
    """The level after a share of the denoising. actual: the ends are the model's own, not beyond them."""
    if actual and percent <= 0:
        return prediction.sigma_max
    if actual and percent >= 1:
        return prediction.sigma_min
    return prediction.percent_to_sigma(percent)


ALIGN_YOUR_STEPS = {
    "SD1": (14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904, 0.6523686016, 0.3977456272,
            0.1515232662, 0.0291671582),
    "SDXL": (14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289, 0.3798540708,
             0.2332364134, 0.1114188177, 0.0291671582),
    "SVD": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}  # fmt: skip


def align_your_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """Levels optimised for ten steps of a family of models, between them interpolated on log sigma (Sabour et al. 2024).

    denoise: the share of the steps that is run; empty if 0.
    """
    if denoise <= 0:
        return torch.empty(0)
    table = np.log(np.array(ALIGN_YOUR_STEPS[model_type]))
    levels = np.exp(np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(table)), table))
    kept = torch.tensor(levels, dtype=torch.float32)[-(round(steps * denoise) + 1) :]
    kept[-1] = 0
    return kept

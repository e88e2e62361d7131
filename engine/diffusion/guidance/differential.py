"""Differential diffusion: a grey mask says from which level on each pixel may change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.diffusion.sampling.prediction import Prediction


@dataclass(frozen=True)
class DifferentialDiffusion:
    """`mask` of GuidanceOptions: a pixel is drawn anew while its mask value is at least the share of the run that is left.

    Levin and Fried 2023, "Differential Diffusion: Giving Each Pixel Its Strength". strength below 1 blends with the mask itself.
    """

    strength: float = 1.0

    def __call__(self, mask: Tensor, sigma: Tensor, sigmas: Tensor, prediction: Prediction) -> Tensor:
        last = torch.maximum(sigmas[-1], prediction.levels.sigmas[0])
        now, first, end = (prediction.timestep(level) for level in (sigma, sigmas[0], last))
        binary = (mask >= (now - end) / (first - end)).to(mask.dtype)
        if 0 < self.strength < 1:
            return self.strength * binary + (1 - self.strength) * mask
        return binary

"""Gaussian data, for which the exact denoiser, the exact path and the exact distribution are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.diffusion.sampling.guidance import Guided
from engine.diffusion.sampling.prediction import Prediction, prediction_of


@dataclass(frozen=True)
class GaussianDenoiser:
    """The exact denoiser E[x0 | x] of data with mean `mean` and deviation `deviation`, for models that add noise or flow.

    consistency: map to the end of the path of the ODE instead, which is what a consistency model learns.
    """

    prediction: Prediction
    mean: float = 0.7
    deviation: float = 0.5
    consistency: bool = False

    def share(self, sigma: Tensor) -> Tensor:
        """The factor of the data at this level."""
        return 1 - sigma if self.prediction.flow else torch.ones_like(sigma)

    def variance(self, sigma: Tensor) -> Tensor:
        return self.share(sigma) ** 2 * self.deviation**2 + sigma**2

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        centred = x - self.share(sigma) * self.mean
        if self.consistency:
            return self.mean + centred * self.deviation / self.variance(sigma).sqrt()
        return self.mean + self.share(sigma) * self.deviation**2 / self.variance(sigma) * centred

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        denoised = self(x, sigma)
        return Guided(denoised, denoised)

    def path(self, x: Tensor, sigma: Tensor, sigma_end: Tensor) -> Tensor:
        """Where the probability-flow ODE takes x from one level to another."""
        centred = x - self.share(sigma) * self.mean
        return self.share(sigma_end) * self.mean + centred * (self.variance(sigma_end) / self.variance(sigma)).sqrt()

    def draw(self, sigma: Tensor, shape: tuple[int, ...], seed: int) -> Tensor:
        """Samples of the noised data at a level."""
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return self.share(sigma) * self.mean + noise * self.variance(sigma).sqrt()


NOISING = GaussianDenoiser(prediction_of("eps"))
FLOW = GaussianDenoiser(prediction_of("flow_sd3"))

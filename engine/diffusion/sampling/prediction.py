"""What a network predicts, and how its output becomes a denoised latent.

A `Prediction` joins the noise levels of a model (noise_levels.py) with the formula of its output. It is the whole numerical
interface between samplers and networks: samplers see (x, sigma) -> denoised and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from engine.diffusion.sampling.noise_levels import (
    Continuous,
    Discrete,
    Flow,
    FluxFlow,
    NoiseLevels,
    scaled_linear_alphas,
    zero_terminal_snr,
)


class Formula(Protocol):
    """How the input is scaled, the output read, and noise mixed with a latent. `sigma` is a float32 scalar tensor on the CPU."""

    flow: bool

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor: ...

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor: ...

    def add_noise(self, sigma: Tensor, noise: Tensor, latent: Tensor, all_noise: bool) -> Tensor: ...

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Epsilon:
    """The network predicts the noise (Ho et al. 2020): D = x - s out. The base of the variance-exploding formulas."""

    sigma_data: float = 1.0
    flow = False

    def _norm(self, sigma: Tensor) -> Tensor:
        return (sigma**2 + self.sigma_data**2).sqrt()

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / self._norm(sigma)

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return x - output * sigma

    def add_noise(self, sigma: Tensor, noise: Tensor, latent: Tensor, all_noise: bool) -> Tensor:
        """noise * s + latent; at the highest level the noise stands for the whole noised latent, of variance 1 + s^2."""
        return noise * ((1.0 + sigma**2).sqrt() if all_noise else sigma) + latent

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Velocity(Epsilon):
    """The network predicts v = alpha eps - sigma x0 (Salimans and Ho 2022)."""

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return x * self.sigma_data**2 / (sigma**2 + self.sigma_data**2) - output * sigma * self.sigma_data / self._norm(sigma)


@dataclass(frozen=True)
class Preconditioned(Epsilon):
    """The network predicts a mix of data and noise of unit variance (Karras et al. 2022, table 1)."""

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return x * self.sigma_data**2 / (sigma**2 + self.sigma_data**2) + output * sigma * self.sigma_data / self._norm(sigma)


@dataclass(frozen=True)
class Data(Epsilon):
    """The network predicts the clean latent."""

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return output


@dataclass(frozen=True)
class ImageToImage(Data):
    """The network maps a latent, taken as it is, to a clean latent."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Consistency(Epsilon):
    """A latent consistency model on noise prediction (Luo et al. 2023): boundary factors of the scaled timestep mix D with x."""

    levels: Discrete = field(default_factory=lambda: Discrete(stride=20))
    timestep_scaling: float = 10.0

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        scaled = self.levels.timestep(sigma) * self.timestep_scaling
        keep = 0.25 / (scaled**2 + 0.25)
        take = scaled / (scaled**2 + 0.25).sqrt()
        return take * (x - output * sigma) + keep * x


@dataclass(frozen=True)
class FlowVelocity:
    """The network predicts noise - data along a straight path x = s noise + (1 - s) data (Lipman et al. 2023, Liu et al. 2023)."""

    flow = True

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return x - output * sigma

    def add_noise(self, sigma: Tensor, noise: Tensor, latent: Tensor, all_noise: bool) -> Tensor:
        return sigma * noise + (1.0 - sigma) * latent

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        """A run that stops early hands on data plus noise s / (1 - s), so that the next run's mix restores it."""
        return x / (1.0 - sigma)


@dataclass(frozen=True)
class CosmosFlow(Epsilon):
    """Rectified flow on variance-exploding latents (Cosmos): the input is x / (s + 1)."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x * (1.0 - sigma / (sigma + 1))

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        share = sigma / (sigma + 1)
        return x * (1.0 - share) - output * share

    def add_noise(self, sigma: Tensor, noise: Tensor, latent: Tensor, all_noise: bool) -> Tensor:
        return noise * sigma + latent


@dataclass(frozen=True)
class Prediction:
    """The noise levels of a model and the formula of its output."""

    levels: NoiseLevels
    formula: Formula

    @property
    def flow(self) -> bool:
        """Whether the path is the straight mix of noise and data."""
        return self.formula.flow

    @property
    def sigma_min(self) -> float:
        return self.levels.sigmas[0].item()

    @property
    def sigma_max(self) -> float:
        return self.levels.sigmas[-1].item()

    def timestep(self, sigma: Tensor) -> Tensor:
        return self.levels.timestep(sigma)

    def percent_to_sigma(self, percent: float) -> float:
        return self.levels.percent_to_sigma(percent)

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.formula.scale_input(x, sigma)

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """The clean latent: output of the network in float32, x as the sampler holds it (not scaled)."""
        return self.formula.denoised(output, x, sigma)

    def add_noise(self, sigma: Tensor, noise: Tensor, latent: Tensor) -> Tensor:
        """The latent at level sigma, within a run (never taken for the highest level)."""
        return self.formula.add_noise(sigma, noise, latent, all_noise=False)

    def start(self, sigma: Tensor, noise: Tensor, latent: Tensor) -> Tensor:
        """The first x of a run at level sigma; at the model's highest level it is noise of the variance seen in training."""
        highest = self.sigma_max
        first = float(sigma)
        return self.formula.add_noise(sigma, noise, latent, all_noise=first > highest or math.isclose(first, highest, rel_tol=1e-5))

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        """What a run that ended at level sigma hands on."""
        return self.formula.finish(x, sigma)

    def log_snr(self, sigma: Tensor) -> Tensor:
        """Half the logarithm of the signal-to-noise ratio, the lambda of Lu et al. 2022."""
        return torch.logit(sigma).neg() if self.flow else sigma.log().neg()

    def sigma_of_log_snr(self, log_snr: Tensor) -> Tensor:
        return log_snr.neg().sigmoid() if self.flow else log_snr.neg().exp()

    def alpha(self, sigma: Tensor, log_snr: Tensor) -> Tensor:
        """The factor of the data at level sigma: s exp(lambda), which is 1 except for flow models."""
        return sigma * log_snr.exp()


def prediction_of(kind: str) -> Prediction:
    """The prediction of a kind of model.

    eps (SD1), v (SD2 v), v_zsnr (v with zero terminal SNR), sdxl_eps, edm (EDM scaling, data of unit variance), flow_sd3, flow_flux.
    """
    return KINDS[kind]


KINDS: dict[str, Prediction] = {
    "eps": Prediction(Discrete(), Epsilon()),
    "v": Prediction(Discrete(), Velocity()),
    "v_zsnr": Prediction(Discrete(zero_terminal_snr(scaled_linear_alphas())), Velocity()),
    "sdxl_eps": Prediction(Discrete(), Epsilon()),
    "edm": Prediction(Continuous(0.002, 80.0), Preconditioned()),
    "flow_sd3": Prediction(Flow(shift=3.0), FlowVelocity()),
    "flow_flux": Prediction(FluxFlow(), FlowVelocity()),
}

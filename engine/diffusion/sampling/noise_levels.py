"""Noise levels: the table of sigmas a model was trained on, and how a sigma becomes the timestep its network is told.

All tables are ascending float32 tensors on the CPU. A sigma is the standard deviation of the noise relative to the data
(for flow models the share of noise in the mix). Scalars stay float32 CPU tensors of no dimension: they multiply tensors of
any device without a host synchronisation, and give the same numbers on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

ALL_NOISE = 999999999.9
"""The sigma of percent 0: above every table, so that a range which starts there always holds."""


class NoiseLevels(Protocol):
    """A table of sigmas with its map to timesteps."""

    @property
    def sigmas(self) -> Tensor:
        """[N] float32, ascending."""

    def timestep(self, sigma: Tensor) -> Tensor:
        """What the network is told for a sigma; same shape, float32."""

    def sigma(self, timestep: Tensor) -> Tensor:
        """The sigma of a timestep; same shape, float32."""

    def percent_to_sigma(self, percent: float) -> float:
        """The sigma after this part of the denoising, 0 = all noise, 1 = none."""


def scaled_linear_alphas(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> Tensor:
    """Cumulative alphas [steps] float64 of betas whose square roots are evenly spaced (latent diffusion, Rombach et al. 2022)."""
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def zero_terminal_snr(alphas: Tensor) -> Tensor:
    """Cumulative alphas shifted and scaled so that the last step is (almost) pure noise (Lin et al. 2023, algorithm 1).

    The last value is kept just above zero, because sigma would be infinite there.
    """
    root = alphas.sqrt()
    first, last = root[0].clone(), root[-1].clone()
    shifted = ((root - last) * first / (first - last)) ** 2
    shifted[-1] = 4.8973451890853435e-08
    return shifted


@dataclass(frozen=True, eq=False)
class Discrete:
    """Levels of a model trained on N discrete steps; a sigma becomes the index of the nearest level in log space.

    alphas: [N] float64, cumulative, falling. stride: every stride-th level counts (for distilled models trained on few of them).
    """

    alphas: Tensor = field(default_factory=scaled_linear_alphas)
    stride: int = 1

    @cached_property
    def _exact(self) -> Tensor:
        return ((1.0 - self.alphas) / self.alphas).sqrt()[self.stride - 1 :: self.stride]

    @cached_property
    def sigmas(self) -> Tensor:
        return self._exact.float()

    @cached_property
    def log_sigmas(self) -> Tensor:
        return self._exact.log().float()

    def timestep(self, sigma: Tensor) -> Tensor:
        distance = (sigma.log().unsqueeze(-1) - self.log_sigmas).abs()
        return (distance.argmin(dim=-1) * self.stride + self.stride - 1).float()

    def sigma(self, timestep: Tensor) -> Tensor:
        position = ((timestep.float() - (self.stride - 1)) / self.stride).clamp(0, len(self.sigmas) - 1)
        low = position.floor().long()
        weight = position.frac()
        return ((1 - weight) * self.log_sigmas[low] + weight * self.log_sigmas[position.ceil().long()]).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return ALL_NOISE
        if percent >= 1:
            return 0.0
        return self.sigma(torch.tensor((1.0 - percent) * (len(self.alphas) - 1))).item()


@dataclass(frozen=True, eq=False)
class Continuous:
    """Levels between two sigmas, evenly spaced in log space, for models told a function of sigma (Karras et al. 2022)."""

    low: float = 0.002
    high: float = 120.0
    steps: int = 1000

    @cached_property
    def sigmas(self) -> Tensor:
        return torch.linspace(math.log(self.low), math.log(self.high), self.steps).exp()

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return ALL_NOISE
        if percent >= 1:
            return 0.0
        log_low = math.log(self.low)
        return math.exp((math.log(self.high) - log_low) * (1.0 - percent) + log_low)


@dataclass(frozen=True, eq=False)
class ContinuousAngle(Continuous):
    """The same levels for v-prediction models that are told the angle atan(sigma), as a share of a quarter turn."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep * math.pi / 2).tan()


@dataclass(frozen=True, eq=False)
class Flow:
    """Levels of a rectified flow whose time is shifted towards noise: s = a u / (1 + (a - 1) u) (Esser et al. 2024, eq. 23).

    shift: a. multiplier: the network is told sigma times this.
    """

    shift: float = 1.0
    multiplier: float = 1000.0
    steps: int = 1000

    def _shifted(self, share: Tensor) -> Tensor:
        return share if self.shift == 1.0 else self.shift * share / (1 + (self.shift - 1) * share)

    @cached_property
    def sigmas(self) -> Tensor:
        return self.sigma(torch.arange(1, self.steps + 1) / self.steps * self.multiplier)

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._shifted(timestep / self.multiplier)

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return 1.0
        if percent >= 1:
            return 0.0
        return self._shifted(torch.tensor(1.0 - percent, dtype=torch.float64)).item()


@dataclass(frozen=True, eq=False)
class FluxFlow(Flow):
    """The flow levels of Flux: s = e^mu / (e^mu + 1/u - 1), told to the network as they are."""

    shift: float = 1.15
    multiplier: float = 1.0
    steps: int = 10000

    def _shifted(self, share: Tensor) -> Tensor:
        return math.exp(self.shift) / (math.exp(self.shift) + (1 / share - 1))


def flux_shift(width: int, height: int, base: float = 0.5, largest: float = 1.15) -> float:
    """mu for a picture of this many pixels: linear in its 16x16 patches, base at 256 of them and largest at 4096 (Flux)."""
    slope = (largest - base) / (4096 - 256)
    return base + slope * (width * height / 256 - 256)


@dataclass(frozen=True, eq=False)
class Cosine:
    """Cosine schedule with a shifted log-SNR, told to the network as a share of time (Wuerstchen, Pernias et al. 2023)."""

    shift: float = 2.0
    steps: int = 10000
    offset: float = 0.008

    def _alphas(self, share: Tensor) -> Tensor:
        start = math.cos(self.offset / (1 + self.offset) * math.pi / 2) ** 2
        alphas = ((share + self.offset) / (1 + self.offset) * math.pi / 2).cos() ** 2 / start
        if self.shift != 1.0:
            log_snr = torch.logit(alphas) + 2 * math.log(1 / self.shift)
            alphas = log_snr.sigmoid()
        return alphas.clamp(0.0001, 0.9999)

    @cached_property
    def sigmas(self) -> Tensor:
        return self.sigma(torch.arange(1, self.steps + 1) / self.steps)

    def timestep(self, sigma: Tensor) -> Tensor:
        alphas = 1 / (sigma * sigma + 1)
        if self.shift != 1.0:
            alphas = (torch.logit(alphas) - 2 * math.log(1 / self.shift)).sigmoid()
        start = math.cos(self.offset / (1 + self.offset) * math.pi / 2) ** 2
        angle = (alphas * start).sqrt().clamp(0, 1).acos()
        return angle / (math.pi / 2) * (1 + self.offset) - self.offset

    def sigma(self, timestep: Tensor) -> Tensor:
        alphas = self._alphas(timestep)
        return ((1 - alphas) / alphas).sqrt()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return ALL_NOISE
        if percent >= 1:
            return 0.0
        return self.sigma(torch.tensor(1.0 - percent)).item()

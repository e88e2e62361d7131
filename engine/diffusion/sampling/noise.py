"""Noise: where every random number of a run comes from. The global generators are never touched.

A seed is 0 .. 2^64 - 1. The first noise is drawn on the CPU, so it is the same on every device. What an ancestral sampler adds
between steps comes from a generator of the device it runs on, and what an SDE sampler adds from a Brownian path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torchsde
from torch import Tensor

from engine.values.latent import Latent

NoiseSource = Callable[[Tensor, Tensor], Tensor]
"""(sigma, next sigma) -> fresh unit noise of the shape of x, for the step between two levels."""


def initial_noise(shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """The first noise of a batch: float32 of `shape` [B, C, h, w] on the CPU, one stream of the seed over the whole batch.

    With `batch_index`, image k gets the index[k]-th slab of that stream, so that it can be drawn again without the others.
    """
    generator = torch.Generator().manual_seed(seed)
    if batch_index is None:
        return torch.randn(tuple(shape), generator=generator)
    wanted = set(batch_index)
    slabs = {}
    for index in range(max(wanted) + 1):
        slab = torch.randn((1, *shape[1:]), generator=generator)
        if index in wanted:
            slabs[index] = slab
    return torch.cat([slabs[index] for index in batch_index])


class StepNoise:
    """Independent draws for ancestral samplers, from one generator on the device of x, seeded like the first noise."""

    def __init__(self, x: Tensor, seed: int) -> None:
        self._like = x
        self._generator = torch.Generator(x.device).manual_seed(seed)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        x = self._like
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=self._generator)


class BrownianNoise:
    """Increments of one Brownian path over [sigma_min, sigma_max], scaled to unit variance.

    The path does not depend on the steps taken over it, so more steps refine the same picture. On the CPU (`on_cpu`) it is also
    the same for every device.
    """

    def __init__(self, x: Tensor, seed: int, sigma_min: Tensor, sigma_max: Tensor, *, on_cpu: bool = True) -> None:
        self._device = x.device
        self._start = torch.zeros_like(x, device="cpu" if on_cpu else x.device)
        self._seed, self._range = seed, (sigma_min, sigma_max)

    @cached_property
    def _path(self) -> torchsde.BrownianTree:
        # Made when first asked for: a schedule of a single step has an empty interval and draws nothing.
        low, high = self._range
        return torchsde.BrownianTree(t0=low, w0=self._start, t1=high, entropy=self._seed)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        if not (sigma + sigma_next).isfinite():
            return torch.full_like(self._start, math.nan, device=self._device)  # torchsde would look for such a time for ever
        low, high, sign = (sigma_next, sigma, -1.0) if sigma > sigma_next else (sigma, sigma_next, 1.0)
        # torchsde rounds its interval to this many digits and warns of queries that its own rounding puts outside.
        increment = self._path(round(float(low), 6), round(float(high), 6))
        length = float((high - low).sqrt())
        return (increment * (sign / length if length else 0.0)).to(self._device)


@dataclass(frozen=True)
class Noise:
    """The noise a run starts from: drawn from a seed, or none. The seed also drives the noise of later steps."""

    seed: int = 0
    enabled: bool = True

    def draw(self, latent: Latent) -> Tensor:
        """Noise for every image of a latent, [B, C, h, w] float32 on the CPU; zeros if disabled."""
        if not self.enabled:
            return torch.zeros_like(latent.samples, dtype=torch.float32, device="cpu")
        return initial_noise(latent.samples.shape, self.seed, latent.batch_index)


def step_noise(x: Tensor, seed: int, sigmas: Tensor) -> NoiseSource:
    return StepNoise(x, seed)


def brownian_noise(x: Tensor, seed: int, sigmas: Tensor) -> NoiseSource:
    """A Brownian path on the CPU over the positive levels of a schedule."""
    return BrownianNoise(x, seed, sigmas[sigmas > 0].min(), sigmas.max())


def brownian_noise_on_device(x: Tensor, seed: int, sigmas: Tensor) -> NoiseSource:
    """A Brownian path on the device of x over the positive levels of a schedule."""
    return BrownianNoise(x, seed, sigmas[sigmas > 0].min(), sigmas.max(), on_cpu=False)

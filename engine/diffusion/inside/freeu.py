"""FreeU: what the way up through a U-Net gets from below made stronger, what it gets from aside filtered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from engine.diffusion.inside.unet_blocks import Module, input_blocks, output_blocks
from engine.diffusion.sampling.inside import Evaluation


@dataclass(frozen=True)
class FreeU:
    """Si et al. 2023, "FreeU: Free Lunch in Diffusion U-Net", section 3.

    b1, s1 count where the features have 4 times the channels of the first level, b2, s2 where they have twice. b: factor of the
    first half of the features; s: factor of the lowest frequencies of the skip connection. by_structure: as the paper's second
    version, b is weighed at each pixel by the mean of all channels there, scaled to 0..1.
    """

    b1: float
    b2: float
    s1: float
    s2: float
    by_structure: bool = False

    def __call__(self, network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
        base = network.conv_in.out_channels
        factors = {4 * base: (self.b1, self.s1), 2 * base: (self.b2, self.s2)}
        for block, source in zip(output_blocks(network), reversed(input_blocks(network)), strict=True):
            skipped = source.first.out_channels
            b, s = factors.get(block.first.in_channels - skipped, (1.0, 1.0))
            if (b, s) != (1.0, 1.0):
                yield block.first.register_forward_pre_hook(partial(self._mixed, skipped=skipped, b=b, s=s))

    def _mixed(self, module: Module, args: tuple[Tensor, Any], *, skipped: int, b: float, s: float) -> tuple[Tensor, Any]:
        joined, *rest = args
        features, skip = joined.split([joined.shape[1] - skipped, skipped], dim=1)
        return (torch.cat([self.stronger(features, b), filtered(skip, s)], dim=1), *rest)

    def stronger(self, features: Tensor, b: float) -> Tensor:
        """[B, C, h, w] with its first C / 2 channels stronger."""
        factor: float | Tensor = b
        if self.by_structure and b != 1.0:
            factor = (b - 1.0) * _structure(features) + 1.0
        half = features.shape[1] // 2
        return torch.cat([features[:, :half] * factor, features[:, half:]], dim=1)


def _structure(features: Tensor) -> Tensor:
    """The mean over channels [B, 1, h, w], each image's scaled to 0..1; zeros where it is the same everywhere."""
    mean = features.mean(dim=1, keepdim=True)
    lowest, highest = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
    extent = highest - lowest
    return torch.where(extent > 0, (mean - lowest) / extent, torch.zeros_like(mean))


def filtered(x: Tensor, factor: float) -> Tensor:
    """[B, C, h, w] with its lowest frequencies, two in each direction, times a factor; x itself for a factor of 1."""
    if factor == 1.0:
        return x
    spectrum = torch.fft.fftshift(torch.fft.fft2(x.float()), dim=(-2, -1))
    rows, columns = (slice(max(0, size // 2 - 1), size // 2 + 1) for size in x.shape[-2:])
    spectrum[..., rows, columns] *= factor
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real.to(x.dtype)

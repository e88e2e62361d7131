"""The scaling between a VAE's latents and the latents a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentFormat:
    """model = (vae - shift) * scale; scale and shift are one number or one per channel."""

    channels: int = 4
    scale: float | tuple[float, ...] = 0.18215
    shift: float | tuple[float, ...] = 0.0

    def process_in(self, samples: Tensor) -> Tensor:
        """[B, C, h, w] from the VAE's space to the network's."""
        return (samples - self._per_channel(self.shift, samples)) * self._per_channel(self.scale, samples)

    def process_out(self, samples: Tensor) -> Tensor:
        """The exact inverse of `process_in`."""
        return samples / self._per_channel(self.scale, samples) + self._per_channel(self.shift, samples)

    @staticmethod
    def _per_channel(value: float | tuple[float, ...], samples: Tensor) -> float | Tensor:
        if isinstance(value, float):
            return value
        return torch.tensor(value, dtype=samples.dtype, device=samples.device).view(1, -1, *[1] * (samples.ndim - 2))

"""What sampling needs to know of a model: its network as a function, and the numbers around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.diffusion.sampling.guidance import GuidanceOptions
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.prediction import Prediction
from engine.values.conditioning import Condition


class Network(Protocol):
    """x [n, C, h, w] and context [n, N, D] in the model's dtype, timestep [n] float32, all on its device -> [n, C, h, w], any dtype.

    extras: further inputs by name; and, where the model's options or a guidance method ask for changes inside it, `changes`
    (sampling.inside.Changes).
    """

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, **extras: Any) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Start:
    """What a run starts from, on the device: noise and latent [B, C, h, w] in the network's space, mask [B, 1, h, w] or None."""

    noise: Tensor
    latent: Tensor
    mask: Tensor | None
    seed: int = 0


def no_inputs(condition: Condition, start: Start) -> Mapping[str, Tensor]:
    return {}


def always_fits(shape: torch.Size) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A network with its prediction, its latent space and the guidance hung on it.

    inputs(condition, start): the further named inputs of the network for one condition (an SDXL vector, inpainting channels);
        called once per run; each tensor has a first dimension of 1 or B. The one named "concat" is cropped with areas.
    fits(shape): whether a network input of this shape fits in memory; conditions that do are computed in one call.
    repeat_context: whether contexts of unequal lengths may be repeated to a common one (true for cross-attention without masks).
    """

    network: Network
    prediction: Prediction
    latent_format: LatentFormat
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    options: GuidanceOptions = field(default_factory=GuidanceOptions)
    inputs: Callable[[Condition, Start], Mapping[str, Tensor]] = no_inputs
    fits: Callable[[torch.Size], bool] = always_fits
    repeat_context: bool = True

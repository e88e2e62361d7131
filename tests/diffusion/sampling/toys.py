"""Small models that record how they were called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.model import DiffusionModel
from engine.diffusion.sampling.prediction import prediction_of
from engine.values.conditioning import Condition, Conditioning
from engine.values.latent import Latent


@dataclass
class Recorder:
    """A network that predicts noise from x and the prompt's mean, each pixel for itself, and keeps what it was given."""

    inputs: list[Tensor] = field(default_factory=list)
    timesteps: list[Tensor] = field(default_factory=list)
    contexts: list[Tensor] = field(default_factory=list)
    extras: list[dict[str, Tensor]] = field(default_factory=list)

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, **extras: Tensor) -> Tensor:
        self.inputs.append(x)
        self.timesteps.append(timestep)
        self.contexts.append(context)
        self.extras.append(extras)
        return torch.tanh(x) * 0.8 + 0.1 * context.mean(dim=(1, 2)).view(-1, 1, 1, 1)


def toy_model(network: Any = None, kind: str = "eps", **changes: Any) -> DiffusionModel:
    channels = 16 if kind.startswith("flow") else 4
    settings = {"latent_format": LatentFormat(channels=channels), **changes}
    return DiffusionModel(network=network or Recorder(), prediction=prediction_of(kind), **settings)


def prompt(value: float, tokens: int = 77, **changes: Any) -> Conditioning:
    """A prompt whose every number is `value`."""
    return Conditioning([Condition(torch.full((1, tokens, 8), value), **changes)])


def empty(height: int = 8, width: int = 8, batch: int = 1, channels: int = 4, **changes: Any) -> Latent:
    return Latent(torch.zeros(batch, channels, height, width), **changes)


def picture(height: int = 8, width: int = 8, batch: int = 1) -> Latent:
    """A latent of arbitrary values."""
    return Latent(torch.randn(batch, 4, height, width, generator=torch.Generator().manual_seed(1)))

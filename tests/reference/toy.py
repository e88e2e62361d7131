"""The toy network that the recorded figures were made with, as the models of seven kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.model import DiffusionModel
from engine.diffusion.sampling.prediction import prediction_of

SD1 = LatentFormat()
SDXL = LatentFormat(scale=0.13025)
FORMATS = {
    "eps": SD1,
    "v": SD1,
    "v_zsnr": SD1,
    "sdxl_eps": SDXL,
    "edm": SDXL,
    "flow_sd3": LatentFormat(channels=16, scale=1.5305, shift=0.0609),
    "flow_flux": LatentFormat(channels=16, scale=0.3611, shift=0.1159),
}


@dataclass(frozen=True)
class ToyNetwork:
    """tanh(x (0.5 + t/2000)) + 0.1 mean(context) cos(t/300), t being the timestep times `time_scale`."""

    time_scale: float = 1.0

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, **extras: Any) -> Tensor:
        t = (timestep * self.time_scale).view(-1, 1, 1, 1)
        prompt = context.mean(dim=(1, 2)).view(-1, 1, 1, 1)
        return torch.tanh(x * (0.5 + t / 2000)) + 0.1 * prompt * torch.cos(t / 300)


def toy_model(kind: str) -> DiffusionModel:
    return DiffusionModel(
        network=ToyNetwork(1000.0 if kind == "flow_flux" else 1.0),
        prediction=prediction_of(kind),
        latent_format=FORMATS[kind],
        repeat_context=not kind.startswith("flow"),
    )


def starting_latent(channels: int, height: int, width: int) -> Tensor:
    """The latent R of the recorded cases."""
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(7)) * 0.8


def latent_tolerance(sampler: str) -> float:
    """Relative tolerance of a latent: looser where a tiny difference of a level decides over a step or a draw."""
    loose = "sde" in sampler or sampler in ("dpm_adaptive", "dpm_fast") or sampler.startswith(("seeds_", "sa_solver"))
    return 1e-3 if loose else 1e-4

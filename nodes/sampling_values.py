"""What a custom sampling run is put together from, as port types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from engine.diffusion.sampling.guidance import Guider
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.samplers import Sampler
from engine.graph import Port, port
from engine.values.model import Model

RunNoise = Annotated[Noise, Port("NOISE", color="#b0b0b0")]
"""The noise a run starts from."""

RunSampler = Annotated[Sampler, Port("SAMPLER", color="#ecb4b4")]
"""An algorithm with its options."""


@port("GUIDER", color="#66ffff")
@dataclass(frozen=True, eq=False)
class ModelGuider:
    """A model with the prompts it follows."""

    model: Model
    guider: Guider

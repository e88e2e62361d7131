"""A schedule of noise levels as a port type."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from engine.graph import Port
from engine.values.image import TensorCodec

Sigmas = Annotated[Tensor, Port("SIGMAS", color="#cdffcd", codec=TensorCodec())]
"""[n + 1] float32 noise levels on the CPU, usually falling to 0."""

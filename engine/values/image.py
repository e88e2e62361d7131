"""Pictures and masks: plain tensors, named as port types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from torch import Tensor

from engine.graph import Port


class TensorCodec:
    """Stores one tensor as it is."""

    def encode(self, value: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"tensor": value}, {}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Tensor:
        return tensors["tensor"]


Image = Annotated[Tensor, Port("IMAGE", color="#64b5f6", codec=TensorCodec())]
"""A batch of pictures: [B, H, W, 3] (or 4, with alpha) float32 on the CPU, 0 = dark, 1 = light."""

Mask = Annotated[Tensor, Port("MASK", color="#81c784", codec=TensorCodec())]
"""A batch of masks: [B, H, W] float32 on the CPU, 1 = selected, drawn anew."""

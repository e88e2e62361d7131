"""A LoRA or another adapter: a small set of tensors that changes the weights of a larger network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from torch import Tensor

from engine.graph import port


class LoraCodec:
    def encode(self, value: Lora) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(value.tensors), {"metadata": dict(value.metadata)}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Lora:
        return Lora(dict(tensors), metadata["metadata"])


@port("LORA_MODEL", codec=LoraCodec())
@dataclass(frozen=True, eq=False)
class Lora:
    """tensors by the names that adapter files give them; metadata: texts from the file's header. key: equal for equal adapters."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    key: Hashable = field(default_factory=lambda: uuid4().hex)

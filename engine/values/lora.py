"""A LoRA or another adapter: a small set of tensors that changes the weights of a larger network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from engine.graph import port
from engine.values.checksum import sum_of


class LoraCodec:
    def encode(self, value: Lora) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(value.tensors), {"metadata": dict(value.metadata)}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Lora:
        return Lora(dict(tensors), metadata["metadata"])


@port("LORA_MODEL", codec=LoraCodec())
@dataclass(frozen=True, eq=False)
class Lora:
    """tensors by the names that adapter files give them; metadata: texts from the file's header. file: which one it was read from, with
    what tells it from another one of that name."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    file: Hashable = None

    @cached_property
    def key(self) -> Hashable:
        """Equal for equal adapters, also after a restart."""
        return sum_of(self.tensors) if self.file is None else self.file

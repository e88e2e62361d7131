"""A learned word: vectors that stand in a prompt where other words have the embeddings of their tokens (textual inversion)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from engine.graph import port

ANY_ENCODER = "*"
"""The key of vectors of which the file does not say for which text encoder they are."""


class EmbeddingCodec:
    def encode(self, value: Embedding) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(value.vectors), {"name": value.name, "metadata": dict(value.metadata)}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Embedding:
        return Embedding(metadata["name"], dict(tensors), metadata["metadata"])


@port("EMBEDDING", color="#8fd694", codec=EmbeddingCodec())
@dataclass(frozen=True, eq=False)
class Embedding:
    """name: what a prompt calls it by. vectors: [n, D] float32 on the CPU for each text encoder ("clip_l", "clip_g", "clip_h").

    metadata: texts that are kept in its file's header.
    """

    name: str
    vectors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def of(self, encoder: str) -> Tensor | None:
        """The vectors for a text encoder, or None if it has none for this one."""
        found = self.vectors.get(encoder)
        return self.vectors.get(ANY_ENCODER) if found is None else found

"""Models as values: where their weights lie and what is done to them. They hold no weights; loading is the memory manager's work.

All are immutable: a LoRA or an option on a model is another model.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from engine.errors import Unstorable
from engine.graph import port
from engine.values.embedding import Embedding
from engine.values.weights import Weights

Change = Callable[[Tensor], Tensor]
"""A float32 weight -> the changed weight, float32, same shape, on the same device. Never writes to its argument."""


class Patch(Protocol):
    """A change of a network's weights, such as a LoRA at some strength.

    key: equal for patches that do the same. changes(): what happens to each weight, by the module's tensor names.
    """

    @property
    def key(self) -> Hashable: ...

    def changes(self) -> Mapping[str, Change]: ...


def _encode(weights: Weights, patches: tuple[Patch, ...]) -> dict[str, Any]:
    if patches:
        raise Unstorable("A model with patches is made again from its file.")
    return {"weights": weights.to_json()}


def _decode(metadata: Mapping[str, Any]) -> Weights:
    """Raises MissingFile or ModelFormatError if a file is not what it was when the value was stored."""
    weights = Weights.from_json(metadata["weights"])
    weights.check()
    return weights


class ModelCodec:
    """Stores a reference to the file."""

    def encode(self, value: Model) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if value.options:
            raise Unstorable("A model with options is made again from its file.")
        return {}, {**_encode(value.weights, value.patches), "latent_rgb": value.latent_rgb}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Model:
        return Model(_decode(metadata), latent_rgb=tuple(tuple(row) for row in metadata["latent_rgb"]))


class ClipCodec:
    """Stores a reference to the file."""

    def encode(self, value: Clip) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if value.embeddings:
            raise Unstorable("A text encoder with embeddings is made again from its file.")
        return {}, {**_encode(value.weights, value.patches), "skip": value.skip}

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Clip:
        return Clip(_decode(metadata), skip=metadata["skip"])


class VaeCodec:
    """Stores a reference to the file."""

    def encode(self, value: Vae) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, _encode(value.weights, ())

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Vae:
        return Vae(_decode(metadata))


@port("MODEL", color="#b39ddb", codec=ModelCodec())
@dataclass(frozen=True, eq=False)
class Model:
    """A diffusion network.

    options: what changes its use but not its weights, by name: guidance (sampling.guidance.GuidanceOptions), prediction
    (sampling.prediction.Prediction). latent_rgb: rows of (red, green, blue) per latent channel for previews; empty: the family's.
    """

    weights: Weights
    patches: tuple[Patch, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    latent_rgb: tuple[tuple[float, ...], ...] = ()

    def with_patches(self, *patches: Patch) -> Model:
        """The same model with further patches, applied after those it has."""
        return replace(self, patches=self.patches + patches)

    def with_options(self, **options: Any) -> Model:
        """The same model with these options set."""
        return replace(self, options=MappingProxyType({**self.options, **options}))


@port("CLIP", color="#ffd500", codec=ClipCodec())
@dataclass(frozen=True, eq=False)
class Clip:
    """A text encoder.

    skip: the layer that is read, -1 the last one, -2 the one before; None: as the family is used to. embeddings: learned words that
    prompts may call by name besides those of files; of two with one name the later counts.
    """

    weights: Weights
    patches: tuple[Patch, ...] = ()
    skip: int | None = None
    embeddings: tuple[Embedding, ...] = ()

    def with_patches(self, *patches: Patch) -> Clip:
        """The same encoder with further patches, applied after those it has."""
        return replace(self, patches=self.patches + patches)

    def with_skip(self, skip: int) -> Clip:
        """The same encoder, read at another layer (-1, -2, ...)."""
        return replace(self, skip=skip)

    def with_embedding(self, embedding: Embedding) -> Clip:
        """The same encoder that knows one more word."""
        return replace(self, embeddings=(*self.embeddings, embedding))


@port("VAE", color="#ff6e6e", codec=VaeCodec())
@dataclass(frozen=True, eq=False)
class Vae:
    """An autoencoder between pictures and latent images."""

    weights: Weights

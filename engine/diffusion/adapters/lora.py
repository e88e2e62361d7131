"""Adapter files as values, and as patches of a model and its text encoder."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.diffusion.adapters.blocks import BlockWeights
from engine.diffusion.adapters.formulas import merged
from engine.diffusion.adapters.limits import check_header
from engine.diffusion.adapters.reading import Located, Source, locate, tensors_of
from engine.diffusion.adapters.targets import Network
from engine.diffusion.checkpoint_files import Place
from engine.diffusion.families import ADAPTERS
from engine.diffusion.loading import DTYPES, Reader
from engine.diffusion.weights_file import read_header
from engine.errors import ModelFormatError
from engine.values.lora import Lora
from engine.values.model import Change, Clip, Model
from engine.values.weights import Weights


class Adapted(NamedTuple):
    """unused: tensors of the adapter that belong to no weight of the family's networks, of those at hand or of others."""

    model: Model
    clip: Clip | None
    unused: tuple[str, ...]


def load_lora(path: Path) -> Lora:
    """Open an adapter file; its tensors are mapped into memory. Raises MissingFile, ModelFormatError."""
    file = read_header(path)
    check_header(file)
    reader, cpu = Reader(), torch.device("cpu")
    tensors = {name: reader.read(Place(file, info), DTYPES[info.dtype], cpu) for name, info in file.tensors.items()}
    return Lora(tensors, file.metadata, file=(str(path), file.size, file.modified_ns))


def apply_lora(
    model: Model, clip: Clip | None, lora: Lora, strength_model: float, strength_clip: float, blocks: BlockWeights | None = None
) -> Adapted:
    """The model and text encoder with the adapter on them; a network it has nothing for, or whose strength is 0, stays as it is.

    blocks: factors of the diffusion network's blocks. Raises ModelFormatError for a file that has nothing for either network.
    """
    networks = {model.weights.part: model.weights} | ({clip.weights.part: clip.weights} if clip is not None else {})
    found = located(lora, networks)
    if found.parts.keys().isdisjoint(networks):
        raise ModelFormatError(
            f"The LoRA has nothing for this model: none of its {len(lora.tensors)} tensors belongs to it "
            f"({', '.join(sorted(lora.tensors)[:3])[:400]}).",
            hint="Use a LoRA that was made for this family of models.",
        )
    if model.weights.part in found.parts and strength_model:
        model = model.with_patches(LoraPatch(lora, model.weights, float(strength_model), blocks))
    if clip is not None and clip.weights.part in found.parts and strength_clip:
        clip = clip.with_patches(LoraPatch(lora, clip.weights, float(strength_clip)))
    return Adapted(model, clip, found.unused)


@dataclass(frozen=True, eq=False)
class LoraPatch:
    """An adapter on one network at some strength. blocks: factors of its blocks, None for 1 everywhere."""

    lora: Lora
    weights: Weights
    strength: float
    blocks: BlockWeights | None = None

    @property
    def key(self) -> Hashable:
        return "lora", self.lora.key, self.weights.part, self.strength, self.blocks

    def changes(self) -> Mapping[str, Change]:
        network = Network.of(self.weights)
        changes: dict[str, Change] = {}
        for path, source in located(self.lora, {self.weights.part: self.weights}).parts.get(self.weights.part, {}).items():
            strength = self.strength * (1.0 if self.blocks is None else self.blocks.of(path))
            if not strength:
                continue
            roles = dict(source.roles)
            if (bias := roles.pop("bias", None)) is not None and (name := network.parameter(path, "bias")) is not None:
                changes[name] = _Merge(self.lora, path, Source(source.stored, {"diff": bias}, source.piece, source.pieces), strength)
            if roles.keys() - {"alpha", "dora_scale"} and (name := network.parameter(path, "weight")) is not None:
                changes[name] = _Merge(self.lora, path, Source(source.stored, roles, source.piece, source.pieces), strength)
        return changes


def located(lora: Lora, networks: Mapping[str, Weights]) -> Located:
    """The adapter's modules in these networks, and in the family's others, of which any path will do."""
    known = {part: Network.of(weights) for part, weights in networks.items()}
    configs = {part: weights.arguments for part, weights in networks.items()}

    def exists(part: str, path: str, parameter: str) -> bool:
        return part not in known or known[part].parameter(path, parameter) is not None

    family = next(iter(networks.values())).family
    return locate(lora.tensors, ADAPTERS[family], configs, exists)


@dataclass(frozen=True)
class _Merge:
    lora: Lora
    path: str
    source: Source
    strength: float

    def __call__(self, weight: Tensor) -> Tensor:
        try:
            tensors = {role: tensor.to(weight) for role, tensor in tensors_of(self.lora, self.source).items()}
            result = merged(weight, tensors, self.strength)
        except (KeyError, RuntimeError, IndexError, ValueError) as error:
            raise ModelFormatError(
                f"The LoRA does not fit {self.path} of shape {list(weight.shape)}: {self._shapes()}.",
                hint="Use one that was made for this model.",
            ) from error
        if not result.isfinite().all():
            raise ModelFormatError(
                f"The LoRA makes {self.path} infinite or not a number: {self._shapes()}.",
                hint="The file is damaged, or its strength too large.",
            )
        return result

    def _shapes(self) -> str:
        return ", ".join(f"{name} {list(self.lora.tensors[name].shape)}" for name in self.source.roles.values())[:1000]

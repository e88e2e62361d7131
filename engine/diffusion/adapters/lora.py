"""Adapter files as values, and as patches of a model and its text encoder."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.diffusion.adapters.formulas import merged
from engine.diffusion.adapters.names import modules, split
from engine.diffusion.checkpoint_files import Place
from engine.diffusion.loading import DTYPES, Reader
from engine.diffusion.weights_file import read_header
from engine.errors import ModelFormatError
from engine.values.lora import Lora
from engine.values.model import Change, Clip, Model
from engine.values.weights import Weights


class Adapted(NamedTuple):
    """unused: tensors of the adapter that belong to no weight of the two networks."""

    model: Model
    clip: Clip | None
    unused: tuple[str, ...]


def load_lora(path: Path) -> Lora:
    """Open an adapter file; its tensors are mapped into memory. Raises MissingFile, ModelFormatError."""
    file = read_header(path)
    reader, cpu = Reader(), torch.device("cpu")
    tensors = {name: reader.read(Place(file, info), DTYPES[info.dtype], cpu) for name, info in file.tensors.items()}
    return Lora(tensors, file.metadata, key=(str(path), file.size, file.modified_ns))


def apply_lora(model: Model, clip: Clip | None, lora: Lora, strength_model: float, strength_clip: float) -> Adapted:
    """The model and text encoder with the adapter on them; a network it has nothing for, or whose strength is 0, stays as it is.

    Raises ModelFormatError for a file that has nothing for either network.
    """
    of_model = _grouped(lora, model.weights)
    of_clip = _grouped(lora, clip.weights) if clip is not None else {}
    used = {name for group in (*of_model.values(), *of_clip.values()) for name in group.values()}
    unused = tuple(sorted(lora.tensors.keys() - used))
    if not used:
        raise ModelFormatError(
            f"The LoRA has nothing for this model: none of its {len(unused)} tensors belongs to it ({', '.join(unused[:3])}).",
            hint="Use a LoRA that was made for this family of models.",
        )
    if of_model and strength_model:
        model = model.with_patches(LoraPatch(lora, model.weights, float(strength_model)))
    if clip is not None and of_clip and strength_clip:
        clip = clip.with_patches(LoraPatch(lora, clip.weights, float(strength_clip)))
    return Adapted(model, clip, unused)


@dataclass(frozen=True, eq=False)
class LoraPatch:
    """An adapter on one network at some strength."""

    lora: Lora
    weights: Weights
    strength: float

    @property
    def key(self) -> Hashable:
        return "lora", self.lora.key, self.weights.part, self.strength

    def changes(self) -> Mapping[str, Change]:
        changes: dict[str, Change] = {}
        for path, group in _grouped(self.lora, self.weights).items():
            roles = dict(group)
            if (bias := roles.pop("bias", None)) is not None:
                changes[f"{path}.bias"] = _Merge(self.lora, path, {"diff": bias}, self.strength)
            if roles.keys() - {"alpha", "dora_scale"}:
                changes[f"{path}.weight"] = _Merge(self.lora, path, roles, self.strength)
        return changes


def _grouped(lora: Lora, weights: Weights) -> dict[str, dict[str, str]]:
    """Module path -> role -> name of the tensor in the adapter."""
    known = modules(weights)
    groups: dict[str, dict[str, str]] = {}
    for name in lora.tensors:
        if (found := split(name)) is not None and found[0] in known:
            groups.setdefault(known[found[0]], {})[found[1]] = name
    return groups


@dataclass(frozen=True)
class _Merge:
    lora: Lora
    path: str
    roles: Mapping[str, str]
    strength: float

    def __call__(self, weight: Tensor) -> Tensor:
        tensors = {role: self.lora.tensors[name].to(weight) for role, name in self.roles.items()}
        try:
            return merged(weight, tensors, self.strength)
        except (KeyError, RuntimeError, IndexError) as error:
            shapes = ", ".join(f"{name} {list(self.lora.tensors[name].shape)}" for name in self.roles.values())
            raise ModelFormatError(
                f"The LoRA does not fit {self.path} of shape {list(weight.shape)}: {shapes}.", hint="Use one that was made for this model."
            ) from error

"""A network's weights in full precision as its patches make them, read from its files without loading it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from engine.diffusion.families import FAMILIES
from engine.diffusion.loading import tensors
from engine.values.model import Patch
from engine.values.weights import Weights


def patched_tensors(weights: Weights, patches: tuple[Patch, ...], names: Collection[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor in float32 on the CPU) one by one; names: those that are wanted, None for all. Integers keep their type.

    Raises MissingFile or ModelFormatError if a file is gone or has changed.
    """
    shapes = FAMILIES[weights.family].parts[weights.part].tensor_shapes(weights.arguments)
    changes = [patch.changes() for patch in patches]
    for name, tensor in tensors(weights, torch.float32, torch.device("cpu")):
        if name not in shapes or (names is not None and name not in names):
            continue
        tensor = tensor.reshape(shapes[name])
        for change in changes:
            if name in change:
                tensor = change[name](tensor)
        yield name, tensor

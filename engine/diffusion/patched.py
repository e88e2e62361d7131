"""A network's weights in full precision as its patches make them, read from its files without loading it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor

from engine.diffusion.checkpoint_files import places_of
from engine.diffusion.families import FAMILIES
from engine.diffusion.loading import Reader
from engine.values.model import Patch
from engine.values.weights import Weights


def patched_reader(weights: Weights, patches: tuple[Patch, ...]) -> tuple[list[str], Callable[[str], Tensor]]:
    """The names of a network's tensors in the order of its files, and what reads one: in float32 on the CPU, integers in their type.

    Raises MissingFile or ModelFormatError if a file is gone or has changed.
    """
    part = FAMILIES[weights.family].parts[weights.part]
    shapes, renaming = part.tensor_shapes(weights.arguments), part.renaming(weights.arguments)
    found = sorted(places_of(weights).items(), key=lambda item: (str(item[1].file.path), item[1].info.start))
    places = {name: place for stored, place in found if (name := renaming.to_module(stored)) in shapes}
    changes = [patch.changes() for patch in patches]
    reader, cpu = Reader(), torch.device("cpu")

    def read(name: str) -> Tensor:
        tensor = reader.read(places[name], torch.float32, cpu).reshape(shapes[name])
        for change in changes:
            if name in change:
                tensor = change[name](tensor)
        return tensor

    return [name for name in places if name is not None], read


def patched_tensors(weights: Weights, patches: tuple[Patch, ...], names: Collection[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) one by one, as `patched_reader` reads them; names: those that are wanted, None for all."""
    present, read = patched_reader(weights, patches)
    for name in present:
        if names is None or name in names:
            yield name, read(name)

"""What a training step needs of memory, and ways to compute it with less."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from engine.errors import OutOfMemory

GIB = 2**30
MARGIN = 1.2
"""What a step takes beside what is counted here: intermediate results, and the memory that lies between pieces of it."""


@dataclass(frozen=True)
class Economy:
    """How a step is computed. Its result is the same but for rounding.

    checkpointing: activations are computed again in the backward pass instead of kept. pieces: how many parts of a batch go through the
    network one after the other.
    """

    checkpointing: bool = False
    pieces: int = 1

    def __str__(self) -> str:
        ways = ["gradient checkpointing"] * self.checkpointing + [f"batches in {self.pieces} pieces"] * (self.pieces > 1)
        return " and ".join(ways) or "nothing saved"


def ladder(checkpointing: bool, batch_size: int) -> list[Economy]:
    """From what was asked for to the most frugal way: gradient checkpointing, then ever smaller pieces of a batch."""
    pieces = [1]
    while pieces[-1] < batch_size:
        pieces.append(min(2 * pieces[-1], batch_size))
    asked = [] if checkpointing else [Economy()]
    return asked + [Economy(True, count) for count in pieces]


@dataclass(frozen=True)
class Activations:
    """Bytes that a forward pass of one picture keeps for the backward pass. frugal: with gradient checkpointing, the block that is
    computed again included."""

    plain: float
    frugal: float

    def of(self, economy: Economy) -> float:
        return self.frugal if economy.checkpointing else self.plain


@dataclass(frozen=True)
class Estimate:
    """Activations of pictures of any size, by those of two small ones: they grow in proportion to the latent's area.

    trained: bytes of the trained tensors; an optimizer's two moments are twice as many. gradients: bytes of those held at once.
    """

    small: tuple[int, Activations]
    large: tuple[int, Activations]
    trained: int
    gradients: int

    def bytes(self, economy: Economy, area: int, batch_size: int) -> float:
        """For a step with latents of this area and batches of this size."""
        (first, low), (second, high) = ((size, kept.of(economy)) for size, kept in (self.small, self.large))
        slope = (high - low) / (second - first)
        pictures = -(-batch_size // economy.pieces)
        return pictures * (low + slope * (area - first)) + 2 * self.trained + self.gradients


def chosen(needed: Mapping[Economy, float], free: float, device: str) -> Economy:
    """The least frugal way that fits with a margin, else the most frugal one. needed: bytes of each, as `ladder` orders them.

    Raises OutOfMemory when that does not fit either.
    """
    last = list(needed)[-1]
    if needed[last] > free:
        raise OutOfMemory(
            f"A training step needs at least {needed[last] / GIB:.1f} GiB of the memory of {device}, of which {free / GIB:.1f} GiB are "
            f"free, also with {last}.",
            hint="Use smaller buckets, train fewer modules, set fp8_base or `swap` in the plan, or close what else uses the device.",
        )
    return next((way for way, size in needed.items() if size * MARGIN <= free), last)


@dataclass
class _Count:
    """Counts the storages that autograd keeps, each once, and not those of weights. units: bytes by block; inputs: by storage."""

    weights: set[int]
    total: int = 0
    units: list[int] = field(default_factory=list)
    inputs: dict[int, int] = field(default_factory=dict)
    seen: dict[int, torch.UntypedStorage] = field(default_factory=dict)  # held, so that no address comes twice

    def pack(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.seen and storage.data_ptr() not in self.weights:
            self.seen[storage.data_ptr()] = storage
            self.total += storage.nbytes()

    def unit(self, module: nn.Module, *arguments: Any) -> Any:
        """Stands for the function that checkpoints a block: calls it, and counts it by itself."""
        before = self.total
        output = module(*arguments)
        self.units.append(self.total - before)
        for tensor in _tensors(arguments):
            storage = tensor.untyped_storage()
            self.inputs[storage.data_ptr()] = storage.nbytes()
        return output


def activations(network: Any, modules: Iterable[nn.Module], forward: Callable[[], object]) -> Activations:
    """What `forward` keeps for a backward pass. network: the one whose blocks may be checkpointed, a module of diffusers.

    modules: all whose weights take part.
    """
    checkpointed = network.is_gradient_checkpointing
    weights = {tensor.untyped_storage().data_ptr() for module in modules for tensor in (*module.parameters(), *module.buffers())}
    count = _Count(weights)
    network.enable_gradient_checkpointing(count.unit)
    try:
        with torch.enable_grad(), saved_tensors_hooks(count.pack, _never):
            forward()
    finally:
        if checkpointed:
            network.enable_gradient_checkpointing()
        else:
            network.disable_gradient_checkpointing()
    blocks = sum(count.units)
    return Activations(count.total, count.total - blocks + sum(count.inputs.values()) + max(count.units, default=0))


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


def _never(packed: None) -> Tensor:
    raise AssertionError("there is no backward pass")

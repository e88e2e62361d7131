"""Two networks of one shape as one: weighted sums of their weights, as a patch on the first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from engine.diffusion.families import FAMILIES
from engine.diffusion.patched import patched_reader
from engine.errors import InvalidInput
from engine.values.model import Change, Clip, Model, Patch
from engine.values.weights import Weights

N = TypeVar("N", Model, Clip)
Share = tuple[str, float, float]
"""Beginning of stored names, factor of the first network, factor of the second. The longest beginning that fits counts."""


@dataclass(frozen=True, eq=False)
class Blend:
    """A patch of a network with `weights`: each weight times a factor, plus that of another network times another factor."""

    weights: Weights
    other: Weights
    other_patches: tuple[Patch, ...]
    shares: tuple[Share, ...]

    @property
    def key(self) -> Hashable:
        return "blend", self.other, tuple(patch.key for patch in self.other_patches), self.shares

    def changes(self) -> Mapping[str, Change]:
        renaming = FAMILIES[self.weights.family].parts[self.weights.part].renaming(self.weights.arguments)
        names, read = patched_reader(self.other, self.other_patches)
        changes: dict[str, Change] = {}
        for name in names:
            own, others = self._factors(renaming.to_stored(name) or name)
            if (own, others) != (1.0, 0.0):
                changes[name] = _Sum(name, read, own, others)
        return changes

    def _factors(self, stored: str) -> tuple[float, float]:
        _, own, others = max((share for share in self.shares if stored.startswith(share[0])), key=lambda share: len(share[0]))
        return own, others


@dataclass(frozen=True)
class _Sum:
    name: str
    read: Callable[[str], Tensor]
    own: float
    others: float

    def __call__(self, weight: Tensor) -> Tensor:
        kept = weight * self.own
        return kept + self.others * self.read(self.name).to(weight) if self.others else kept


def blended(first: N, second: N, own: float, others: float, shares: Sequence[Share] = ()) -> N:
    """own * first + others * second, weight by weight; shares: other factors for parts of the network. It keeps the options of the first.

    Raises InvalidInput for networks of different shapes.
    """
    one, other = first.weights, second.weights
    if (one.family, one.part) != (other.family, other.part) or _shapes(one) != _shapes(other):
        raise InvalidInput("The two models have different shapes.", hint="Both must be of one family and size.")
    return first.with_patches(Blend(one, other, second.patches, (("", own, others), *shares)))


def _shapes(weights: Weights) -> Mapping[str, tuple[int, ...]]:
    return FAMILIES[weights.family].parts[weights.part].tensor_shapes(weights.arguments)

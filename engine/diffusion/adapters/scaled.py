"""Weights of chosen modules times a number, as a patch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor

from engine.diffusion.families import FAMILIES
from engine.values.model import Change
from engine.values.weights import Weights


@dataclass(frozen=True)
class ScaledModules:
    """Weights and biases of every module whose path ends with a pattern of `factors`, times its factor. Factors of 1 change nothing.

    A pattern is a path in which * stands for any characters.
    """

    weights: Weights
    factors: tuple[tuple[str, float], ...]

    @property
    def key(self) -> Hashable:
        return "scaled", self.weights.part, self.factors

    def changes(self) -> Mapping[str, Change]:
        changes: dict[str, Change] = {}
        for name in FAMILIES[self.weights.family].parts[self.weights.part].tensor_shapes(self.weights.arguments):
            for pattern, factor in self.factors:
                if factor != 1.0 and fnmatchcase(name.rpartition(".")[0], f"*.{pattern}"):
                    changes[name] = _Times(factor)
        return changes


@dataclass(frozen=True)
class _Times:
    factor: float

    def __call__(self, weight: Tensor) -> Tensor:
        return weight * self.factor

"""What a replay reports: one result per recorded case."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import EaselError


@dataclass(frozen=True)
class Selection:
    """Which cases to replay; None takes all."""

    kind: str | None = None
    sampler: str | None = None

    def takes(self, *, kind: str | None = None, sampler: str | None = None) -> bool:
        """Whether a case of this kind and sampler is wanted. A case without a sampler is left out when one is asked for."""
        return self.kind in (None, kind) and self.sampler in (None, sampler)


@dataclass(frozen=True)
class Result:
    """One case. error: max|a-b| / max|b| or what the tolerance is about; None if there was nothing to compare.

    tensors: what this engine made, under the keys of the folder's safetensors files, for --dump.
    """

    part: str
    name: str
    state: Literal["ok", "wrong", "missing"]
    error: float | None = None
    note: str = ""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def missing(part: str, name: str, note: str) -> Result:
    return Result(part, name, "missing", note=note)


def compared(
    part: str, name: str, got: Tensor, wanted: Tensor, tolerance: float, *, absolute: bool = False, key: str | None = None
) -> Result:
    """Judge one tensor by its tolerance; `key` is where --dump writes it (None: not written)."""
    tensors = {} if key is None else {key: got}
    if got.shape != wanted.shape:
        return Result(part, name, "wrong", math.inf, f"shape {tuple(got.shape)}, wanted {tuple(wanted.shape)}", tensors)
    error = difference(got, wanted, absolute=absolute)
    return Result(part, name, "ok" if error <= tolerance else "wrong", error, tensors=tensors)


def difference(got: Tensor, wanted: Tensor, *, absolute: bool = False) -> float:
    """max|a-b| / max|b| (or without the division) where both are numbers; infinite if they are not numbers at different places."""
    got, wanted = got.double(), wanted.double()
    if not torch.equal(got.isfinite(), wanted.isfinite()):
        return math.inf
    finite = wanted.isfinite()
    if not finite.any():
        return 0.0
    largest = (got - wanted)[finite].abs().max().item()
    scale = 1.0 if absolute else wanted[finite].abs().max().item()
    return largest / scale if scale else largest


def figures_of(path: Path) -> Figures:
    """The tensors of a file, none if it is not there."""
    return Figures(load_file(path) if path.exists() else {})


class Unrecorded(Exception):
    """A case without its figure; `args[0]` is the figure's key."""


class Figures(dict[str, Tensor]):
    """The tensors of a folder's safetensors file."""

    def __missing__(self, key: str) -> Tensor:
        raise Unrecorded(key)


def attempt(part: str, name: str, run: Callable[[], Result]) -> Result:
    """A case that raises one of the engine's own errors is wrong, and says why; one whose figures are not there is missing."""
    try:
        return run()
    except EaselError as error:
        return Result(part, name, "wrong", math.inf, error.message)
    except Unrecorded as key:
        return missing(part, name, f"the folder has no figure {key}")

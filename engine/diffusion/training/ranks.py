"""Data-parallel training: processes that share each step's batch and sum their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import nn


class Ranks(Protocol):
    """number: which of `count` processes this is."""

    number: int
    count: int

    def of(self, size: int) -> slice:
        """The rows of a batch that this process computes."""

    def sum(self, value: float) -> float: ...

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None: ...


class Alone:
    """One process."""

    number = 0
    count = 1

    def of(self, size: int) -> slice:
        return slice(0, size)

    def sum(self, value: float) -> float:
        return value

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        pass


class Parallel:
    """The processes that `accelerate launch` (or torchrun) has started. The result is that of one process with the whole batch."""

    def __init__(self, state: PartialState | None = None) -> None:
        self._state = state or PartialState()
        self.number = self._state.process_index
        self.count = self._state.num_processes

    def of(self, size: int) -> slice:
        return slice(self.number * size // self.count, (self.number + 1) * size // self.count)

    def sum(self, value: float) -> float:
        return float(reduce(torch.tensor(value, dtype=torch.float64, device=self._state.device), "sum"))

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """A parameter without a gradient here counts as 0; one without a gradient anywhere gets none."""
        present = reduce(torch.tensor([float(p.grad is not None) for p in parameters], device=self._state.device), "sum")
        for parameter, anywhere in zip(parameters, present.tolist(), strict=True):
            if anywhere:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = reduce(own, "sum")


ALONE = Alone()

"""One training in several processes of one thread each: for narrow layers faster than one process of several threads."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

import torch
from torch import multiprocessing


class Team:
    """The processes that train together. `shared` is float32 [size, n] in shared memory, n at least the number of weights."""

    def __init__(self, rank: int, shared: torch.Tensor, barrier: Barrier) -> None:
        self.rank, self.size = rank, len(shared)
        self._shared, self._barrier = shared, barrier

    def average(self, tensors: list[torch.Tensor]) -> None:
        """Replace the tensors by their mean over the team. Everyone calls it with tensors of the same shapes."""
        total = sum(tensor.numel() for tensor in tensors)
        torch.cat([tensor.reshape(-1) for tensor in tensors], out=self._shared[self.rank, :total])
        self._barrier.wait()
        mean = self._shared[:, :total].mean(0)
        self._barrier.wait()
        for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def _member(rank: int, work: Callable[..., None], shared: torch.Tensor, barrier: Barrier, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    work(Team(rank, shared, barrier), *arguments)


LARGEST = 16_000_000


def run_team(work: Callable[..., None], size: int, *arguments: Any) -> None:
    """Run `work(team, *arguments)` in `size` processes; raises if one of them fails. A network has at most LARGEST weights."""
    context = multiprocessing.get_context("spawn")
    shared = torch.zeros(size, LARGEST).share_memory_()
    multiprocessing.spawn(_member, (work, shared, context.Barrier(size), arguments), nprocs=size)

"""Data-parallel training: processes that share each step's batch and sum their gradients."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

import torch
import torch.distributed as distributed
from safetensors.torch import load, save
from torch import Tensor, nn

from engine.errors import NodeFailed
from engine.values.training import TrainingState

Order = tuple[bytes, object] | None
"""What the first process has the others do: go on from a state (its tensors as a file, its record), or take a step (None)."""

READY = ""
"""What a process says first: it has started. Anything else that it says is why it ends."""
TIMEOUT = timedelta(minutes=10)
"""Of one exchange; beside the exchange itself it is how much slower one process loads the networks or computes a step."""
ENDING_SECONDS = 10.0
"""How long a process that breaks off an exchange may take to end."""


def divided(rows: slice, count: int) -> list[slice]:
    """Rows in `count` parts of nearly the same size, in order."""
    size = rows.stop - rows.start
    ends = [rows.start + number * size // count for number in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]


@dataclass(frozen=True, eq=False)
class Follower:
    """Another process, as the first one sees it. orders: what it is told, and what it says."""

    number: int
    device: str
    process: SpawnProcess
    orders: Connection

    def said(self) -> str:
        """What it says next. Raises NodeFailed if it says nothing any more."""
        try:
            return self.orders.recv()
        except (EOFError, OSError) as error:
            raise self.ended() from error

    def ended(self, why: str = "") -> NodeFailed:
        """How it came to an end."""
        self.process.join(ENDING_SECONDS)
        code = self.process.exitcode
        hint = "The log may say more."
        if not why and code is not None and code < 0:
            why, hint = f"it was ended by {signal.Signals(-code).name}", "It may have run out of memory."
        return NodeFailed(f"Process {self.number} of the training, on {self.device}, ended: {why or f'exit code {code}'}", hint=hint)


def await_start(followers: Sequence[Follower]) -> None:
    """Return when all have started. Raises NodeFailed as soon as one has ended instead."""
    waiting = {follower.orders: follower for follower in followers}
    while waiting:
        for orders in wait(list(waiting)):
            follower = waiting.pop(orders)  # type: ignore[call-overload]
            if why := follower.said():
                raise follower.ended(why)


class Ranks(Protocol):
    """number: which of `count` processes this is; 0 is the one that says what is done."""

    number: int
    count: int

    def load(self, state: TrainingState) -> None:
        """Let the others go on from a state too."""

    def step(self) -> None:
        """Let the others take a step too."""

    def of(self, size: int) -> slice:
        """The rows of a batch that this process computes."""

    def sum(self, values: Tensor) -> Tensor:
        """Those of all processes together; float64 on the CPU."""

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None: ...


class Alone:
    """One process."""

    number = 0
    count = 1

    def load(self, state: TrainingState) -> None:
        pass

    def step(self) -> None:
        pass

    def of(self, size: int) -> slice:
        return slice(0, size)

    def sum(self, values: Tensor) -> Tensor:
        return values

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        pass


class Parallel:
    """One of several processes. The result is that of one process with the whole batch; sums go through main memory, by gloo.

    meeting: a URL that names a new file, by which the processes find each other. others: as the first process sees them.
    """

    def __init__(self, number: int, count: int, meeting: str, others: Sequence[Follower] = ()) -> None:
        self.number = number
        self.count = count
        self._others = others
        distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=count, timeout=TIMEOUT)

    def close(self) -> None:
        distributed.destroy_process_group()

    def load(self, state: TrainingState) -> None:
        if self._others:
            self._send((save(dict(state.tensors)), state.record))

    def step(self) -> None:
        self._send(None)

    def of(self, size: int) -> slice:
        return divided(slice(0, size), self.count)[self.number]

    def sum(self, values: Tensor) -> Tensor:
        return self._summed(values)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """A parameter without a gradient here counts as 0; one without a gradient anywhere gets none. All are one exchange."""
        own = [torch.zeros(p.numel()) if p.grad is None else p.grad.detach().flatten().float().cpu() for p in parameters]
        present = torch.tensor([float(p.grad is not None) for p in parameters])
        present, *gradients = self._summed(torch.cat([present, *own])).split([len(parameters), *(len(part) for part in own)])
        for parameter, anywhere, gradient in zip(parameters, present.tolist(), gradients, strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter) if anywhere else None

    def _summed(self, tensor: Tensor) -> Tensor:
        try:
            distributed.all_reduce(tensor)
        except RuntimeError as error:
            raise self._lost() from error
        return tensor

    def _send(self, order: Order) -> None:
        try:
            for other in self._others:
                other.orders.send(order)
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> NodeFailed:
        """What another process said before it ended, or how it ended."""
        told = wait([other.orders for other in self._others], ENDING_SECONDS)
        for other in self._others:
            if other.orders in told:
                try:
                    return other.ended(other.said())
                except NodeFailed as failure:
                    return failure
        return NodeFailed("The exchange with the other processes of the training failed.", hint="The log may say why.")


def state_of(order: tuple[bytes, object]) -> TrainingState:
    """The state that another process is to go on from."""
    tensors, record = order
    return TrainingState(load(tensors), record)  # type: ignore[arg-type]


ALONE = Alone()

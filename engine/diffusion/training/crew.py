"""A training in several processes, one for each graphics device: this one leads, it starts the others and ends them."""

from __future__ import annotations

import copyreg
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch

from engine.diffusion.devices import PrecisionName, choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.ranks import READY, Follower, Parallel, await_start, state_of
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.trainer import Trainer
from engine.errors import EaselError, InvalidInput
from engine.values.dataset import TrainingSet
from engine.values.lora import Lora
from engine.values.model import Clip, Model

log = logging.getLogger("easel.training")
LEAVE_SECONDS = 10.0


def _frozen(options: dict[str, Any]) -> MappingProxyType[str, Any]:
    """The options of a model, arrived in another process."""
    return MappingProxyType(options)


copyreg.pickle(MappingProxyType, lambda options: (_frozen, (dict(options),)))


@dataclass(frozen=True)
class Work:
    """What every process opens its trainer with."""

    model: Model
    clip: Clip | None
    data: TrainingSet
    recipe: Recipe


@contextmanager
def open_crew(memory: Memory, work: Work, start: Lora | None, notice: Callable[[str, str], None]) -> Iterator[Trainer]:
    """The trainer of the first of `recipe.processes` processes, at step 0; the others do what it does, on the next devices.

    Raises what `open_trainer` does, and InvalidInput when there are too few devices.
    """
    count = work.recipe.processes
    devices = _devices(memory.numerics.device, count)
    threads = max(1, torch.get_num_threads() // count)
    with TemporaryDirectory(prefix="easel-ranks-") as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        others = [_start(number, meeting, str(devices[number]), memory.numerics.precision, threads, work) for number in range(1, count)]
        try:
            await_start(others)
            ranks = Parallel(0, count, meeting, others)
            try:
                with open_trainer(memory, work.model, work.clip, work.data, work.recipe, start, ranks, notice) as trainer:
                    ranks.load(trainer.state())
                    yield trainer
            finally:
                ranks.close()
        finally:
            for other in others:
                other.orders.close()  # its sign to leave
                other.process.join(LEAVE_SECONDS)
                other.process.kill()
                other.process.join()


def _devices(first: torch.device, count: int) -> list[torch.device]:
    if first.type != "cuda":
        return [first] * count
    devices = [torch.device("cuda", (first.index or 0) + number) for number in range(count)]
    present = torch.cuda.device_count()
    if present <= devices[-1].index:
        raise InvalidInput(
            f"{count} processes need as many graphics devices from {devices[0]} on, and {present} are here.",
            hint=f"Set processes to {present - devices[0].index} or less.",
        )
    return devices


def _start(number: int, meeting: str, device: str, precision: PrecisionName, threads: int, work: Work) -> Follower:
    context = multiprocessing.get_context("spawn")
    own, its = context.Pipe()
    process = context.Process(
        target=_follow, args=(number, meeting, device, precision, threads, work, its), name=f"easel-rank-{number}", daemon=True
    )
    process.start()
    its.close()
    return Follower(number, device, process, own)


def _follow(number: int, meeting: str, device: str, precision: PrecisionName, threads: int, work: Work, orders: Connection) -> None:
    """What another process does: the steps that the first one takes, until that is gone or closes the pipe."""
    torch.set_num_threads(threads)
    orders.send(READY)
    try:
        ranks = Parallel(number, work.recipe.processes, meeting)
        memory = Memory(choose(device, precision))
        with open_trainer(memory, work.model, work.clip, work.data, work.recipe, ranks=ranks) as trainer:
            while True:
                try:
                    order = orders.recv()
                except EOFError:
                    return
                if order is None:
                    trainer.advance()
                else:
                    trainer.load(state_of(order))
                    if not trainer.step:
                        trainer.fit()
    except EaselError as error:
        _say(orders, f"{error.message} {error.hint}".strip())
        raise
    except Exception as error:
        _say(orders, f"{type(error).__name__}: {error}")
        raise


def _say(orders: Connection, text: str) -> None:
    try:
        orders.send(text)
    except OSError:  # the first process is gone
        log.warning("%s", text)

"""Training from one state to another, in steps that may be interrupted between any two."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from engine.diffusion.training.state import Keep
from engine.diffusion.training.trainer import Step, Trainer
from engine.errors import NodeFailed, Unstorable
from engine.values.training import TrainingState

KEEP_SECONDS = 60.0
"""How often the state is kept within a segment, so that a killed process costs no more than this."""


@dataclass(frozen=True)
class Progress:
    """A step with what it says about speed: pictures a second and seconds left of the segment, by a running mean; bytes in use."""

    step: Step
    until: int
    images_per_second: float
    seconds_left: float
    memory: int


def train(trainer: Trainer, until: int, keep: Keep, *, tell: Callable[[Progress], None], check: Callable[[], None]) -> TrainingState:
    """Train to step `until`, or to where `keep` asks for an early end, and return the state there.

    keep: holds the state of an interrupted segment; a segment that finds one goes on from it. check: raises Cancelled to stop; it is
    called before each step. tell: may raise it too. Whatever stops the segment between two steps or before a step's weights have moved
    (a job that makes way or is cancelled, a loss that is no number, a file that is gone, too little memory) leaves the last good state
    in `keep`. Raises NodeFailed when a state cannot be kept, such as on a full disk; the one kept before then stays.
    """
    kept = keep.load()
    if kept is not None and trainer.step < kept.step <= until:
        trainer.load(kept)
    if trainer.step == 0:
        trainer.fit()
    keeper = _Keeper(keep, trainer)
    pace = _Pace(trainer.step)
    while trainer.step < until and not keep.finish:
        try:
            check()
            tell(pace.after(trainer.advance(), until))
        except BaseException:  # also Ctrl+C
            if trainer.whole:
                keeper.save()
            raise
        if keeper.due and trainer.step < until:
            keeper.save()
    return trainer.state()


class _Keeper:
    """Keeps the state of a training from time to time."""

    def __init__(self, keep: Keep, trainer: Trainer) -> None:
        self._keep = keep
        self._trainer = trainer
        self._step = trainer.step
        self._time = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._time > KEEP_SECONDS

    def save(self) -> None:
        """Keep the state if it is another one than is kept. Raises NodeFailed."""
        if self._trainer.step == self._step:
            return
        state = self._trainer.state()
        try:
            self._keep.save(state)
        except (OSError, Unstorable) as error:
            raise NodeFailed(
                f"The training stopped: its state at step {state.step} could not be kept: {error}. Kept is that of step {self._step}.",
                hint="Make room on the disk, or raise the setting disk_cache, and run it again: it goes on from there.",
            ) from error
        self._step, self._time = state.step, time.monotonic()


class _Pace:
    """Seconds of a step as a running mean; the first step, which allocates and compiles, does not count."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._last = time.monotonic()
        self._mean = 0.0

    def after(self, step: Step, until: int) -> Progress:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        done = step.number - self._first
        self._mean = seconds if done <= 2 else self._mean + (seconds - self._mean) / min(done, 20)
        speed = step.pictures / self._mean if self._mean else 0.0
        return Progress(step, until, speed, (until - step.number) * self._mean, memory_in_use())


def memory_in_use() -> int:
    """Bytes that this process has on the graphics device, else in main memory."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss

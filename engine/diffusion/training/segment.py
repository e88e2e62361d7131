"""Training from one state to another, in steps that may be interrupted between any two."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from engine.diffusion.training.state import Keep
from engine.diffusion.training.trainer import Step, Trainer
from engine.errors import Cancelled, InvalidInput
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
    called before each step. tell: may raise it too. What stops the segment (a cancelled job, a loss that is no number) leaves the last
    good state in `keep`.
    """
    kept = keep.load()
    if kept is not None and trainer.step < kept.step <= until:
        trainer.load(kept)
    pace = _Pace(trainer.step)
    kept_at = time.monotonic()
    while trainer.step < until and not keep.finish:
        try:
            check()
            tell(pace.after(trainer.advance(), until))
        except (Cancelled, InvalidInput):
            keep.save(trainer.state())
            raise
        if time.monotonic() - kept_at > KEEP_SECONDS and trainer.step < until:
            keep.save(trainer.state())
            kept_at = time.monotonic()
    return trainer.state()


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

"""A step of a run as the lanes see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.graph.steps import Step

if TYPE_CHECKING:
    from engine.graph.run import Run


class StepTask:
    """A step in a lane's queue."""

    __slots__ = ("_run", "_step", "slow")

    def __init__(self, run: Run, step: Step) -> None:
        self._run = run
        self._step = step
        self.slow = step.loading or step.kind.slow

    def begin(self) -> bool:
        return self._run.begin(self._step)

    def work(self) -> Callable[[], None]:
        return self._run.performer.work(self._step)

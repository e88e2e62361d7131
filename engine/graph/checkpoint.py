"""How a node that works for long makes way in the middle, and goes on another time from where it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Checkpoint:
    """Of one call of a node. What is saved is kept under the call's digest, over restarts, until the call has returned.

    A node that can go on does so in its loop:

        state = ctx.checkpoint.load() or first_state
        while state.step < steps and not ctx.checkpoint.finish:
            try:
                ctx.progress(state.step, steps)
            except Preempted:  # it is asked to make way
                ctx.checkpoint.save(state)
                raise
            state = next_state(state)

    Without arguments it is one for tests, which keeps what is saved in itself.
    """

    def __init__(
        self,
        *,
        finish: Callable[[], bool] = lambda: False,
        load: Callable[[], Any] | None = None,
        save: Callable[[Any], None] | None = None,
    ) -> None:
        self._finish = finish
        self._load = load or (lambda: self._own)
        self._save = save or self._keep
        self._own: Any = None

    @property
    def finish(self) -> bool:
        """The node is asked to return what it has now. What a node returns that has seen this is used in the run, but not kept."""
        return self._finish()

    def load(self) -> Any:
        """What an earlier call with the same digest saved last, or None."""
        return self._load()

    def save(self, state: Any) -> None:
        """Keep a value in place of the last one; it is on the disk at return. It is JSON, or of a port type with a codec.

        Raises Unstorable for another value, OSError when it cannot be written; the last one then stays.
        """
        self._save(state)

    def _keep(self, state: Any) -> None:
        self._own = state

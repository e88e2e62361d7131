"""The token by which a run is asked to stop: set from any thread, checked by the executor between nodes and by nodes at every step."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import Cancelled, Preempted


class CancelToken:
    """`cancelled`: the run is to stop, for good or (`giving_way`) to go on later.

    `finishing`: nodes that can are to end with what they have.
    """

    def __init__(self) -> None:
        self.giving_way = False
        self.finishing = False
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        """Stop for good, also what is about to make way."""
        self._stop(giving_way=False)

    def give_way(self) -> None:
        """Stop at the next step. What the nodes saved is there when the graph is run again."""
        self._stop(giving_way=True)

    def finish(self) -> None:
        self.finishing = True

    def check(self, node_id: str | None = None) -> None:
        """Raises Cancelled, or Preempted, when the run is to stop."""
        if self._event.is_set():
            raise (
                Preempted("The job makes way.", node_id=node_id)
                if self.giving_way
                else Cancelled("The job was cancelled.", node_id=node_id)
            )

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call it once when the token is set, at once if it is already."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Do not call it any more, nor hold what it belongs to."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def _stop(self, *, giving_way: bool) -> None:
        with self._lock:
            if giving_way and self.cancelled:
                return  # what is to stop for good does
            self.giving_way = giving_way
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

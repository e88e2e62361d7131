"""The token by which a run is asked to stop: set from any thread, checked by the executor between nodes and by nodes at every step."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import Cancelled


class CancelToken:
    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def check(self) -> None:
        if self._event.is_set():
            raise Cancelled("The job was cancelled.")

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call it once when the token is set, at once if it is already."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

"""Python's collector of unreachable objects, in processes through which large graphs go.

A graph of 100,000 nodes is a million objects that live on while it is read and run. By its own measure the collector looks through all of
them again and again, which at that size took as long as everything else.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def collect_rarely() -> None:
    """Let more objects come together before they are looked through."""
    gc.set_threshold(10_000, 20, 50)


def keep_what_is_there() -> None:
    """What a process has loaded when it is ready stays for ever: it is not looked through again."""
    gc.collect()
    gc.freeze()


class _Pauses:
    """Switches the collector off for the first who asks and on for the last who leaves: several threads read graphs at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_on = False

    def begin(self) -> None:
        with self._lock:
            if not self._count:
                self._was_on = gc.isenabled()
                gc.disable()
            self._count += 1

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count and self._was_on:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def not_collected() -> Iterator[None]:
    """For a while in which many objects are made and none of them is garbage: a graph is read, checked or planned."""
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()

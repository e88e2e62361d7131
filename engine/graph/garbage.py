"""Python's collector of unreachable objects, in processes through which large graphs go.

A graph of 100,000 nodes is a million objects that live on while it is read and run. By its own measure the collector looks through all of
them again and again, which at that size took as long as everything else.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_rarely() -> None:
    """Let more objects come together before they are looked through."""
    gc.set_threshold(10_000, 20, 50)


def keep_what_is_there() -> None:
    """What a process has loaded when it is ready stays for ever: it is not looked through again."""
    gc.collect()
    gc.freeze()


@contextmanager
def not_collected() -> Iterator[None]:
    """For a while in which many objects are made and none of them is garbage: a graph is read, checked or planned."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

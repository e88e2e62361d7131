"""The threads that nodes run on: one per device, a small CPU pool, a pool for waiting on files, and one event loop for coroutines.

A thread that ends a task takes the next one itself, so a chain of quick nodes runs without a change of thread. Further threads of a pool
are woken only for tasks that take long: handing on a task of ten microseconds costs more than the task.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from engine.graph.catalogue import Lane

_STUCK = 0.02  # seconds a quick task may take before another thread looks after the rest


class Task(Protocol):
    """Work for a lane. `begin` and the function that `work` returns run under the lanes' lock, `work` itself does not. None may raise."""

    slow: bool

    def begin(self) -> bool:
        """Whether the task is still wanted."""

    def work(self) -> Callable[[], None]:
        """Do it; returns what makes the outcome known."""


class _Entry(NamedTuple):
    order: tuple[int, int]
    number: int
    task: Task


class _Pool:
    def __init__(self, name: str, size: int, lock: Any) -> None:
        self.name = name
        self.size = size
        self.heap: list[_Entry] = []
        self.condition = threading.Condition(lock)
        self.threads = 0
        self.idle = 0
        self.slow_running = 0
        self.last_taken = 0.0


class Lanes:
    """`lock` guards the lanes and all that their tasks share."""

    def __init__(self, *, cpu_threads: int = 2, io_threads: int = 4) -> None:
        self.lock = threading.RLock()
        self._pools = {
            Lane.DEVICE: _Pool("device", 1, self.lock),
            Lane.CPU: _Pool("cpu", cpu_threads, self.lock),
            Lane.IO: _Pool("io", io_threads, self.lock),
        }
        self._number = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def push(self, lane: Lane, order: tuple[int, int], task: Task) -> None:
        """Queue a task; of those that wait, the lowest order runs first. Call with the lock held."""
        pool = self._pools[lane]
        self._number += 1
        heapq.heappush(pool.heap, _Entry(order, self._number, task))
        busy = pool.threads - pool.idle
        if busy == pool.slow_running or time.monotonic() - pool.last_taken > _STUCK:
            self._wake(pool)

    def start_coroutine(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the event loop of the lanes."""
        with self.lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="easel-coroutines", daemon=True).start()
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call_in_loop(self, function: Callable[[], None]) -> None:
        """Call a function in the thread of the event loop, if there is one."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """End the threads; tasks that run are finished, those that wait are dropped."""
        with self.lock:
            self._closed = True
            for pool in self._pools.values():
                pool.heap.clear()
                pool.condition.notify_all()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _wake(self, pool: _Pool) -> None:
        if pool.idle:
            pool.condition.notify()
        elif pool.threads < pool.size:
            pool.threads += 1
            pool.idle += 1
            threading.Thread(target=self._serve, args=(pool,), name=f"easel-{pool.name}-{pool.threads}", daemon=True).start()

    def _serve(self, pool: _Pool) -> None:
        with self.lock:
            yielding = False  # after a quick task, leave the queue to the other threads while they keep up with it
            while True:
                while not pool.heap or (yielding and self._is_served(pool)):
                    if self._closed:
                        return
                    pool.condition.wait(_STUCK if pool.heap else None)
                pool.idle -= 1
                yielding = self._run(pool)
                pool.idle += 1

    @staticmethod
    def _is_served(pool: _Pool) -> bool:
        """Whether a thread that is not busy with something long looks after the queue."""
        busy = pool.threads - pool.idle
        return busy > pool.slow_running and time.monotonic() - pool.last_taken < _STUCK

    def _run(self, pool: _Pool) -> bool:
        """Take and do one task, with the lock held at both ends; returns whether it was a quick one."""
        task = heapq.heappop(pool.heap).task
        if not task.begin():
            return True
        pool.last_taken = time.monotonic()
        slow = task.slow
        pool.slow_running += slow
        if slow and pool.heap:
            self._wake(pool)
        self.lock.release()
        try:
            conclude = task.work()
        finally:
            self.lock.acquire()
            pool.slow_running -= slow
        conclude()
        return not slow

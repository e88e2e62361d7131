"""Keeps one worker process alive: starts it, watches it, starts another when it dies."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from engine.errors import Busy, InvalidInput
from engine.graph.wire import Frame, dump_json
from engine.jobs.worker_process import COMMAND, WorkerProcess

log = logging.getLogger("easel.worker")

STOP_SECONDS = 5.0
LAST_WORDS_SECONDS = 2.0
LONGEST_PAUSE = 30.0
MOST_QUESTIONS = 50
"""Open at a time: the worker answers one after the other."""


class Supervisor:
    """`ready` while a worker waits for or does work; `hello` is what it said about itself, `stats` its latest figures."""

    def __init__(
        self,
        settings_json: str,
        *,
        on_catalogue: Callable[[bytes], None],
        silence: float = 120.0,
        command: Sequence[str] = COMMAND,
        said: Callable[[str], None] = lambda text: None,
    ) -> None:
        """said: hears what a worker prints."""
        self.ready = False
        self.hello: dict[str, Any] = {}
        self.stats: dict[str, Any] = {}
        self.starts = 0
        self._settings_json = settings_json
        self._on_catalogue = on_catalogue
        self._silence = silence
        self._command = command
        self._said = said
        self._worker: WorkerProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._up = asyncio.Event()
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)

    async def start(
        self,
        *,
        on_frame: Callable[[Frame], Awaitable[None]],
        on_ready: Callable[[], None],
        on_death: Callable[[str], Awaitable[None]],
    ) -> None:
        """on_death gets how the process ended, in words, before another one is started."""
        self._on_frame, self._on_ready, self._on_death = on_frame, on_ready, on_death
        self._task = asyncio.create_task(self._keep_alive())

    async def stop(self) -> None:
        self._stopping.set()
        if self._worker is not None:
            await self._worker.stop(STOP_SECONDS)
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def send(self, header: dict[str, Any], parts: Iterable[bytes] = ()) -> None:
        """To the worker of this moment; without one there is nothing to tell."""
        if self._worker is not None:
            await self._worker.send(header, parts)

    async def ask(self, kind: str, data: Any, wait: float = 30.0) -> Any:
        """What the worker answers to a question, also while it runs a job; waits for one that is starting.

        Raises Busy when there is no answer within `wait` seconds or too many questions are open, InvalidInput for one that it refuses.
        """
        if len(self._questions) >= MOST_QUESTIONS:
            raise Busy(f"{MOST_QUESTIONS} questions wait for the worker already", hint="Try again in a moment.")
        number = next(self._numbers)
        answer = self._questions[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(wait):
                await self._up.wait()
                await self.send({"type": "ask", "id": number, "kind": kind}, (dump_json(data),))
                return await answer
        except TimeoutError as error:
            raise Busy(f"The worker did not answer within {wait:g} s", hint="Try again.") from error
        finally:
            del self._questions[number]

    def _answered(self, frame: Frame) -> None:
        future = self._questions.get(frame.header["id"])
        if future is None or future.done():
            return
        if "error" in frame.header:
            told = frame.header["error"]
            future.set_exception(InvalidInput(told["message"], hint=told["hint"], details=told["details"]))
        else:
            future.set_result(json.loads(frame.parts[0]))

    def kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    @property
    def pid(self) -> int | None:
        return self._worker.pid if self._worker is not None else None

    @property
    def last_lines(self) -> list[str]:
        """What the worker printed last."""
        return list(self._worker.last_lines) if self._worker is not None else []

    async def _keep_alive(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            began = time.monotonic()
            reason, was_ready = await self._one_life()
            if self._stopping.is_set():
                return
            try:
                await self._on_death(reason)
            except Exception:  # such as a full disk; a server that goes on without a worker helps nobody
                log.exception("The end of the worker could not be noted")
            lasted = time.monotonic() - began
            pause = 0.0 if was_ready and lasted > 5 else min(LONGEST_PAUSE, max(0.25, pause * 2))
            log.warning("The worker is gone: %s. Another one starts%s.", reason, f" in {pause:g} s" if pause else "")

    async def _one_life(self) -> tuple[str, bool]:
        try:
            worker = self._worker = await WorkerProcess.spawn(self._settings_json, self._command, self._said)
        except OSError as error:
            return f"no process could be started: {error}", False
        self.starts += 1
        watch = asyncio.create_task(self._watch(worker))
        was_ready = False
        try:
            async for frame in worker.frames():
                match frame.header["type"]:
                    case "catalogue":
                        self._on_catalogue(frame.parts[0])
                    case "ready":
                        self.hello = frame.header["about"]
                        self.ready = was_ready = True
                        log.info("The worker is ready")
                        self._up.set()
                        self._on_ready()
                    case "alive":
                        self.stats = frame.header["stats"]
                    case "answer":
                        self._answered(frame)
                    case _:
                        await self._on_frame(frame)
        except Exception:  # whatever one frame led to, the next worker must come
            log.exception("A message of the worker could not be handled; it is ended")
        finally:
            self.ready = False
            self._up.clear()
            watch.cancel()
            for question in self._questions.values():
                if not question.done():
                    question.set_exception(Busy("The worker ended before it answered", hint="Try again in a moment."))
        await worker.stop(LAST_WORDS_SECONDS)
        return await worker.ended(), was_ready

    async def _watch(self, worker: WorkerProcess) -> None:
        while True:
            await asyncio.sleep(1)
            if worker.silent_seconds > self._silence:
                log.error("The worker gave no sign of life for %g s: it is ended", self._silence)
                worker.kill()
                return

"""One worker process as the server sees it: start, frames both ways, its last words, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from engine.graph.wire import Frame, pack, read_frame_async

COMMAND = (sys.executable, "-m", "engine.worker")
_POSIX = os.name == "posix"


class WorkerProcess:
    """Frames go over the child's stdin and stdout; what it prints is copied to this process's stderr and told, its last lines are kept."""

    def __init__(self, process: Process, said: Callable[[str], None]) -> None:
        self._process = process
        self._said = said
        self._last_sign = time.monotonic()
        self.last_lines: deque[str] = deque(maxlen=50)
        self._copy = asyncio.create_task(self._copy_stderr())

    @classmethod
    async def spawn(
        cls, settings_json: str, command: Sequence[str] = COMMAND, said: Callable[[str], None] = lambda text: None
    ) -> WorkerProcess:
        """The child is a session of its own: a Ctrl-C in the terminal reaches the server, which decides. `said` hears what it prints."""
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=_POSIX)
        worker = cls(process, said)
        await worker.send({"type": "hello", "settings": settings_json})
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self._last_sign

    async def send(self, header: dict[str, object], parts: Iterable[bytes] = ()) -> None:
        """Nothing is raised when the child is gone: its end is noticed where its frames are read."""
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():
            return
        try:
            stdin.write(pack(header, parts))
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            stdin.close()

    async def frames(self) -> AsyncIterator[Frame]:
        """Until the child closes its end."""
        stdout = self._process.stdout
        if stdout is None:
            return
        while True:
            try:
                frame = await read_frame_async(stdout.readexactly)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return
            self._last_sign = time.monotonic()
            yield frame

    def kill(self) -> None:
        """End the child and whatever it started."""
        if self._process.returncode is not None:
            return
        try:
            if _POSIX:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except ProcessLookupError:
            return

    async def stop(self, grace: float) -> None:
        """Close its input, which is its sign to leave, and kill it when it has not left after `grace` seconds."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            self.kill()
        await self.ended()

    async def ended(self) -> str:
        """Wait for the end; returns how it ended, in words."""
        code = await self._process.wait()
        await self._copy
        if code < 0:
            name = signal.Signals(-code).name
            why = ", often a sign of too little memory" if name == "SIGKILL" else ""
            return f"its process was ended by signal {-code} ({name}){why}"
        return f"its process ended with exit code {code}"

    async def _copy_stderr(self) -> None:
        stderr = self._process.stderr
        if stderr is None:
            return
        while data := await stderr.read(65_536):
            text = data.decode("utf-8", "replace")
            sys.stderr.write(text)
            sys.stderr.flush()
            self._said(text)
            self.last_lines.extend(line for line in text.splitlines() if line.strip())

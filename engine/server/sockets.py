"""ComfyUI's WebSocket: who is connected, and what each of them hears."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from engine.comfy.protocol.messages import STATE_SECONDS, Message, RunMessages, run_is_over, status
from engine.errors import Busy
from engine.jobs.jobs import Jobs
from engine.jobs.records import Job, Result

log = logging.getLogger("easel.server")

BUSY_BYTES = 1 * 2**20
"""A client that has this much still to receive gets no previews and no progress."""
LOST_BYTES = 256 * 2**20
"""A client that is this far behind is disconnected; it reads the state anew when it comes back."""

MOST_SOCKETS = 200
"""Open connections of all clients together."""
MOST_OF_ONE = 20
"""Of one client id: a page has one, a tab that was duplicated a second."""

_TEXT, _BINARY = 0x81, 0x82


def encode_frame(payload: bytes, kind: int) -> bytes:
    """One unfragmented, unmasked WebSocket frame (RFC 6455, 5.2). Many of them go out in one write."""
    size = len(payload)
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65_536:
        return bytes((kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


class Client:
    """One connection. `rich`: it understands previews with metadata."""

    def __init__(self, sid: str, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.sid = sid
        self.socket = socket
        self.rich = False
        self._transport = transport
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, messages: Iterable[Message]) -> None:
        """In order, as one write. Never waits; a client that cannot keep up loses what may be lost first."""
        busy = self._transport.get_write_buffer_size() + self._waiting_bytes > BUSY_BYTES
        for message in messages:
            if busy and message.droppable:
                continue
            picture = message.rich if self.rich else message.plain
            frame = encode_frame(message.text, _TEXT) if message.text else encode_frame(picture, _BINARY)
            self._waiting.append(frame)
            self._waiting_bytes += len(frame)
        self._flush()

    def _flush(self) -> None:
        if self.socket.closed or self._transport.is_closing():
            self._waiting.clear()
            self._waiting_bytes = 0
            return
        if self._transport.get_write_buffer_size() <= BUSY_BYTES:
            self._transport.write(b"".join(self._waiting))
            self._waiting.clear()
            self._waiting_bytes = 0
        elif self._waiting_bytes > LOST_BYTES:
            log.warning("A client of the WebSocket does not read; it is disconnected")
            self._transport.abort()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0.05, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self._flush()


class Hub:
    """A listener of the queue that tells every connection what concerns it.

    Messages of a job go to the connection whose id is the job's client; `status` goes to all, and of a job without a client the public
    messages do too.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._clients: dict[str, Client] = {}
        self._open: Counter[str] = Counter()
        self._run: RunMessages | None = None
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def admitted(self, sid: str) -> Iterator[None]:
        """Room for a connection of a client, for as long as it is open. Raises Busy when there is none."""
        if self._open.total() >= MOST_SOCKETS:
            raise Busy(f"{MOST_SOCKETS} WebSockets are open", hint="Close pages and clients that are not needed, and try again.")
        if self._open[sid] >= MOST_OF_ONE:
            raise Busy(
                f"{MOST_OF_ONE} WebSockets of this clientId are open",
                hint="Close those that are not needed, or give each client an id of its own.",
            )
        self._open[sid] += 1
        try:
            yield
        finally:
            self._open[sid] -= 1
            if not self._open[sid]:
                del self._open[sid]

    def add(self, client: Client) -> None:
        """The latest connection of an id is the one that hears."""
        self._clients[client.sid] = client
        client.send([Message(status(self._jobs.remaining, client.sid))])
        run = self._run
        if run is not None and run.job.client_id == client.sid and run.at_work is not None:
            client.send([Message(run.at_work_message())])

    def remove(self, client: Client) -> None:
        if self._clients.get(client.sid) is client:
            del self._clients[client.sid]

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for client in list(self._clients.values()):
            await client.socket.close(code=1001, message=b"The server is stopping")

    def on_events(self, job: Job, result: Result, batch: list[dict[str, Any]], previews: Sequence[bytes]) -> None:
        if self._run is None or self._run.job.id != job.id or self._run.job.attempt != job.attempt:
            if batch[0]["type"] == "job_finished" and not job.attempt:
                return  # it was cancelled before it began
            self._run = RunMessages(job, result)
        self._tell(self._run, self._run.translate(batch, previews))
        if self._run.pending and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STATE_SECONDS, self._tick)

    def on_queue(self, remaining: int) -> None:
        message = [Message(status(remaining))]
        for client in list(self._clients.values()):
            client.send(message)

    def on_over(self, job: Job) -> None:
        if self._run is not None and self._run.job.id == job.id:
            self._run = None
        client = self._clients.get(job.client_id)
        if client is not None and job.attempt:
            client.send([Message(run_is_over(job.id))])

    def _tick(self) -> None:
        self._timer = None
        if self._run is not None:
            self._tell(self._run, self._run.tick())

    def _tell(self, run: RunMessages, messages: list[Message]) -> None:
        if not messages or not self._clients:
            return
        if run.job.client_id:
            client = self._clients.get(run.job.client_id)
            if client is not None:
                client.send(messages)
            return
        public = [message for message in messages if message.public]
        for client in list(self._clients.values()):
            client.send(public)

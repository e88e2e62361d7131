"""What happens: the events of one job, and a stream of the whole queue."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from engine.errors import Busy
from engine.graph.wire import dump_json
from engine.jobs.jobs import Jobs
from engine.jobs.records import Job, Result
from engine.jobs.running import Listener
from engine.server.responses import LARGEST_INT, json_response
from engine.server.state import server_of
from engine.server.v1.forms import StateName
from engine.server.v1.queue import summary
from engine.server.v1.routing import Answer, Query, Table, read_query

table = Table("events")

SSE_SILENCE = 15.0
SSE_BACKLOG = 200
"""Events that a stream has not sent, above which it gets no more progress and previews."""
SSE_LOST = 100_000
"""Above this the stream ends: its client comes back with Last-Event-ID and reads what is kept."""
SSE_PAUSE = 0.1
"""Seconds between two states of the queue in a stream."""
MOST_STREAMS = 200
"""Open streams of all clients together; a page has three at most."""
MOST_OVER = 1_000
"""Jobs that are over and that a slow client has not been told of; of more, it hears of the last ones."""


class EventQuery(Query):
    after: Annotated[int, Field(ge=0, le=LARGEST_INT, description="Only events with a greater sequence number.")] = 0
    wait: Annotated[float, Field(ge=0, le=60, description="Seconds to wait for the first one.")] = 0.0


class EventList(Answer):
    state: StateName
    events: list[dict[str, Any]] = Field(description="In order of `sequence`; `type` says what each is. Gaps between numbers mean nothing.")


@table.add("GET", "/jobs/{id}/events", query=EventQuery, answer=EventList)
async def events(request: web.Request) -> web.StreamResponse:
    """What happened since an event that the client knows. With `Accept: text/event-stream`, all that follows as it happens, progress and
    previews too, until the job is over; there `Last-Event-ID` says what is known.
    """
    query = read_query(request, EventQuery)
    jobs, job_id = server_of(request).jobs, request.match_info["id"]
    if "text/event-stream" in request.headers.get("Accept", ""):
        return await _stream(request, await jobs.store.get(job_id), query.after)
    job, found = await jobs.events_after(job_id, query.after, query.wait)
    return json_response({"state": job.state.value, "events": found})


@table.add("GET", "/events", media="text/event-stream")
async def everything(request: web.Request) -> web.StreamResponse:
    """A stream of `{"type": "queue", ...}`, the state of the queue as `/api/v1/queue/state` gives it, now and whenever it changes, and of
    `{"type": "job", "id", "state"}` for each job that is over. Of states that follow each other quickly the last is told.
    """
    jobs = server_of(request).jobs
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    watch = _Watch()
    _listen(jobs, watch)
    try:
        await response.prepare(request)
        while True:
            told = [{"type": "job", "id": job.id, "state": job.state.value} for job in watch.over]
            watch.over.clear()
            watch.changed.clear()
            for event in (*told, {"type": "queue", **summary(jobs)}):
                await response.write(b"data: %s\n\n" % dump_json(event))
            await asyncio.sleep(SSE_PAUSE)
            while not watch.changed.is_set():
                try:
                    await asyncio.wait_for(watch.changed.wait(), SSE_SILENCE)
                except TimeoutError:
                    await response.write(b": still here\n\n")
    except ConnectionResetError:
        return response
    finally:
        with contextlib.suppress(ValueError):
            jobs.listeners.remove(watch)


def _listen(jobs: Jobs, stream: Listener) -> None:
    """Raises Busy when there are as many streams as there may be."""
    if len(jobs.listeners) > MOST_STREAMS:
        raise Busy(f"{MOST_STREAMS} streams of events are open", hint="Close pages that are not needed, and try again.")
    jobs.listeners.append(stream)


class _Watch:
    """Listens for changes of the queue."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.over: deque[Job] = deque(maxlen=MOST_OVER)

    def on_events(self, job: Job, result: Result, batch: list[dict[str, Any]], previews: Sequence[bytes]) -> None:
        """Of interest only to those who follow the job."""

    def on_queue(self, remaining: int) -> None:
        self.changed.set()

    def on_over(self, job: Job) -> None:
        self.over.append(job)
        self.changed.set()


class _Tap:
    """Listens for one job and keeps what a stream has not sent yet; of too much, progress and previews go first."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._lost = False
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def on_events(self, job: Job, result: Result, batch: list[dict[str, Any]], previews: Sequence[bytes]) -> None:
        if job.id != self._job_id or self._lost:
            return
        if self.queue.qsize() + len(batch) > SSE_LOST:
            self._lost = True
            self.queue.put_nowait(None)
            return
        full = self.queue.qsize() > SSE_BACKLOG
        for event in batch:
            if not (full and event["type"] in ("node_progress", "preview")):
                self.queue.put_nowait(_with_picture(event, previews))

    def on_queue(self, remaining: int) -> None:
        """Not of interest here."""

    def on_over(self, job: Job) -> None:
        if job.id == self._job_id and not self._lost:
            self.queue.put_nowait(None)


async def _stream(request: web.Request, job: Job, after: int) -> web.StreamResponse:
    jobs = server_of(request).jobs
    known = request.headers.get("Last-Event-ID", "")
    last = max(after, int(known) if known.isdecimal() and len(known) < 20 else 0)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    tap = _Tap(job.id)
    _listen(jobs, tap)
    try:
        await response.prepare(request)
        job, past = await jobs.events_after(job.id, last)
        for told in past:
            last = told["sequence"]
            await response.write(_sse(told))
        while not job.state.over:
            try:
                event = await asyncio.wait_for(tap.queue.get(), SSE_SILENCE)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if event is None:
                break
            if event["sequence"] > last:
                last = event["sequence"]
                await response.write(_sse(event))
        await response.write_eof()
    except ConnectionResetError:
        return response
    finally:
        with contextlib.suppress(ValueError):
            jobs.listeners.remove(tap)
    return response


def _with_picture(event: dict[str, Any], previews: Sequence[bytes]) -> dict[str, Any]:
    """A stream of text carries a preview as base64."""
    if event["type"] != "preview":
        return event
    picture = base64.b64encode(previews[event["part"]]).decode()
    return {**{name: value for name, value in event.items() if name != "part"}, "data": picture}


def _sse(event: dict[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (event["sequence"], dump_json(event))

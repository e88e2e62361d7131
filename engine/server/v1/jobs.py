"""Jobs and their events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from engine.errors import BadRequest, Conflict
from engine.graph.wire import dump_json
from engine.jobs.records import Job, Result
from engine.jobs.states import State
from engine.server.responses import json_response
from engine.server.state import Server, server_of
from engine.server.submission import off_loop, strict_job
from engine.server.v1.models import EventList, EventQuery, JobAnswer, JobList, JobQuery, JobRequest, NodeRecords
from engine.server.v1.routing import Table, read_body, read_query

table = Table("jobs")

SSE_SILENCE = 15.0
SSE_BACKLOG = 200
"""Events that a stream has not sent, above which it gets no more progress and previews."""
SSE_LOST = 100_000
"""Above this the stream ends: its client comes back with Last-Event-ID and reads what is kept."""


@table.add("POST", "/jobs", body=JobRequest, answer=JobAnswer, status=201)
async def submit(request: web.Request) -> web.Response:
    """Queue a workflow: all of it or, with every problem listed, nothing. 201 for a new job, 200 for one that was there already."""
    server = server_of(request)
    wanted = await read_body(request, JobRequest)
    catalogue = await server.catalogue.current()

    def work() -> Any:
        return strict_job(
            wanted.workflow,
            catalogue,
            server.limits,
            job_id=wanted.id,
            targets=wanted.targets,
            extra=wanted.extra,
            client_id=wanted.client_id,
            front=wanted.front,
        )

    job, fresh = await server.jobs.submit(await off_loop(request.content_length or 0, work))
    return json_response(JobAnswer.of(job).model_dump(), 201 if fresh else 200)


@table.add("GET", "/jobs", query=JobQuery, answer=JobList)
async def page(request: web.Request) -> web.Response:
    """Jobs, newest first."""
    query = read_query(request, JobQuery)
    try:
        states = [State(name) for name in (query.state or "").split(",") if name]
    except ValueError as error:
        raise BadRequest(f"state: {error}", hint=f"States are {', '.join(State)}.") from error
    jobs = await server_of(request).jobs.store.page(states=states, before=query.before, limit=query.limit)
    following = jobs[-1].row if len(jobs) == query.limit else None
    return json_response(JobList(jobs=[JobAnswer.of(job) for job in jobs], next=following).model_dump())


@table.add("GET", "/jobs/{id}", answer=JobAnswer)
async def one(request: web.Request) -> web.Response:
    """A job: its state, and how far it is or what came out."""
    server = server_of(request)
    job = await server.jobs.store.get(request.match_info["id"])
    return json_response(await describe(server, job))


@table.add("GET", "/jobs/{id}/workflow")
async def workflow(request: web.Request) -> web.Response:
    """What was asked for: the workflow, or the API prompt of a job that came over /prompt."""
    server = server_of(request)
    body = await server.jobs.store.body(await server.jobs.store.get(request.match_info["id"]))
    extra = json.loads(body.extra)
    return json_response(extra.get("easel") or json.loads(body.prompt))


@table.add("GET", "/jobs/{id}/nodes", answer=NodeRecords)
async def nodes(request: web.Request) -> web.Response:
    """Why each node of the job ran or did not."""
    server = server_of(request)
    job = await server.jobs.store.get(request.match_info["id"])
    records = await asyncio.to_thread(server.records, job.id)
    return json_response({"nodes": records})


@table.add("POST", "/jobs/{id}/cancel", answer=JobAnswer)
async def cancel(request: web.Request) -> web.Response:
    """Cancel a job that is not over. One that runs stops at its next step; one that does not stop ends with its process."""
    server = server_of(request)
    return json_response(await describe(server, await server.jobs.cancel(request.match_info["id"])))


@table.add("POST", "/jobs/{id}/release", answer=JobAnswer)
async def release(request: web.Request) -> web.Response:
    """Let a parked or paused job wait again."""
    server = server_of(request)
    return json_response(await describe(server, await server.jobs.release(request.match_info["id"])))


@table.add("DELETE", "/jobs/{id}", status=204)
async def delete(request: web.Request) -> web.Response:
    """Forget a job that is over, with the results that were kept only for it. Files that it wrote stay."""
    server, job_id = server_of(request), request.match_info["id"]
    job = await server.jobs.store.get(job_id)
    if not await server.jobs.delete([job_id]):
        raise Conflict(f"The job {job_id} is {job.state}", hint="Cancel it first.")
    return web.Response(status=204)


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


async def describe(server: Server, job: Job) -> dict[str, Any]:
    running = server.jobs.running
    more: dict[str, Any] = {}
    if running is not None and running.job.id == job.id:
        more["progress"] = running.to_json()
    elif job.state.over:
        result = await server.jobs.store.result(job) or Result()
        more = {"outputs": result.ui, "failures": result.failures}
    return JobAnswer.of(job, **more).model_dump()


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
    jobs.listeners.append(tap)
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
    import base64

    picture = base64.b64encode(previews[event["part"]]).decode()
    return {**{name: value for name, value in event.items() if name != "part"}, "data": picture}


def _sse(event: dict[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (event["sequence"], dump_json(event))

"""The queue: what runs and waits, in which order, and whether it goes on."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from engine.jobs.jobs import Jobs
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.forms import JobAnswer
from engine.server.v1.routing import Answer, Strict, Table, read_body

table = Table("queue")

MOST_IDS = 1_000


class QueueState(Answer):
    paused: bool = Field(description="No further job starts.")
    running: str | None = Field(description="The id of the job that runs.")
    waiting: list[str] = Field(description="The ids of the first thousand jobs that wait, in their order.")
    remaining: int = Field(description="How many run and wait.")


class QueueAnswer(QueueState):
    jobs: list[JobAnswer] = Field(description="The job that runs with its progress, then those that wait, in their order.")


class MoveRequest(Strict):
    """A new place."""

    before: str | None = Field(None, description="The waiting job before which it is to run; null: last.")


def summary(jobs: Jobs) -> dict[str, Any]:
    running = jobs.running
    state = QueueState(
        paused=jobs.paused,
        running=running.job.id if running is not None else None,
        waiting=jobs.waiting[:MOST_IDS],
        remaining=jobs.remaining,
    )
    return state.model_dump()


@table.add("GET", "/queue", answer=QueueAnswer)
async def queue(request: web.Request) -> web.Response:
    """What runs and waits, job by job."""
    jobs = server_of(request).jobs
    running = jobs.running
    listed = [JobAnswer.of(running.job, progress=running.to_json()).model_dump()] if running is not None else []
    listed += [JobAnswer.of(job).model_dump() for job in await jobs.store.waiting(MOST_IDS)]
    return json_response({**summary(jobs), "jobs": listed})


@table.add("GET", "/queue/state", answer=QueueState)
async def state(request: web.Request) -> web.Response:
    """What runs and waits, ids only."""
    return json_response(summary(server_of(request).jobs))


@table.add("POST", "/queue/pause", answer=QueueState)
async def pause(request: web.Request) -> web.Response:
    """Start no further job, also after a restart; the one that runs goes on."""
    return await _paused(request, True)


@table.add("POST", "/queue/resume", answer=QueueState)
async def resume(request: web.Request) -> web.Response:
    """Let the queue go on."""
    return await _paused(request, False)


@table.add("POST", "/queue/clear", answer=QueueState)
async def clear(request: web.Request) -> web.Response:
    """Cancel all jobs that wait."""
    jobs = server_of(request).jobs
    await jobs.cancel_waiting()
    return json_response(summary(jobs))


@table.add("POST", "/jobs/{id}/move", body=MoveRequest, answer=QueueState)
async def move(request: web.Request) -> web.Response:
    """Put a waiting job before another one, or last. Jobs that train come after all others, whatever their place."""
    jobs = server_of(request).jobs
    wanted = await read_body(request, MoveRequest)
    await jobs.move(request.match_info["id"], wanted.before)
    return json_response(summary(jobs))


async def _paused(request: web.Request, paused: bool) -> web.Response:
    jobs = server_of(request).jobs
    await jobs.pause_queue(paused)
    return json_response(summary(jobs))

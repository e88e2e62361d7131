"""`/queue` and `/history`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.comfy.protocol.history import history_entry, queue_item
from engine.errors import BadRequest, MissingJob
from engine.jobs.records import Job, Result
from engine.server.responses import json_response, nothing, query_int, read_object
from engine.server.state import Server, server_of

routes = web.RouteTableDef()


@routes.get("/queue")
async def queue(request: web.Request) -> web.Response:
    server = server_of(request)
    store = server.jobs.store
    return json_response(
        {
            "queue_running": [queue_item(job, await store.body(job)) for job in await store.running()],
            "queue_pending": [queue_item(job, await store.body(job)) for job in await store.waiting()],
        }
    )


@routes.post("/queue")
async def change_queue(request: web.Request) -> web.Response:
    """Cancel jobs that wait: all of them, or some by id."""
    body = await read_object(request)
    jobs = server_of(request).jobs
    if body.get("clear"):
        await jobs.cancel_waiting()
    if body.get("delete"):
        await jobs.cancel_waiting(_ids(body))
    return nothing()


@routes.get("/history")
async def history(request: web.Request) -> web.Response:
    """Oldest first. Without an offset the newest `max_items`, with one those after the `offset` oldest."""
    server = server_of(request)
    limit, offset = query_int(request, "max_items"), query_int(request, "offset")
    if limit is not None and limit < 0:
        raise BadRequest("max_items is negative")
    jobs = await server.jobs.store.over(limit=limit, offset=offset if offset is not None and offset >= 0 else None)
    return json_response({job.id: await _entry(server, job) for job in jobs})


@routes.get("/history/{prompt_id}")
async def history_of(request: web.Request) -> web.Response:
    server = server_of(request)
    try:
        job = await server.jobs.store.get(request.match_info["prompt_id"])
    except MissingJob:
        return json_response({})
    return json_response({job.id: await _entry(server, job)} if job.state.over and job.attempt else {})


@routes.post("/history")
async def change_history(request: web.Request) -> web.Response:
    body = await read_object(request)
    jobs = server_of(request).jobs
    if body.get("clear"):
        await jobs.delete()
    if body.get("delete"):
        await jobs.delete(_ids(body))
    return nothing()


async def _entry(server: Server, job: Job) -> dict[str, Any]:
    store = server.jobs.store
    return history_entry(job, await store.body(job), await store.result(job) or Result())


def _ids(body: dict[str, Any]) -> list[str]:
    ids = body["delete"]
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise BadRequest("delete is not a list of ids")
    return ids

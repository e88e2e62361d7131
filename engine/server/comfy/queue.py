"""`/queue` and `/history`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from engine.comfy.protocol.history import history_entry, queue_item
from engine.errors import BadRequest, MissingJob
from engine.graph.wire import dump_json
from engine.jobs.records import Body, Job, Result
from engine.jobs.store import JobStore
from engine.server.responses import json_response, nothing, query_int, read_object
from engine.server.state import Server, server_of

routes = web.RouteTableDef()


@routes.get("/queue")
async def queue(request: web.Request) -> web.Response:
    store = server_of(request).jobs.store
    running, waiting = await _with_bodies(store, await store.running()), await _with_bodies(store, await store.waiting())
    return await _answer(
        lambda: {"queue_running": [queue_item(*item) for item in running], "queue_pending": [queue_item(*item) for item in waiting]}
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
    return await _history(server, jobs)


@routes.get("/history/{prompt_id}")
async def history_of(request: web.Request) -> web.Response:
    server = server_of(request)
    try:
        job = await server.jobs.store.get(request.match_info["prompt_id"])
    except MissingJob:
        return json_response({})
    return await _history(server, [job] if job.state.over and job.attempt else [])


@routes.post("/history")
async def change_history(request: web.Request) -> web.Response:
    body = await read_object(request)
    jobs = server_of(request).jobs
    if body.get("clear"):
        await jobs.delete()
    if body.get("delete"):
        await jobs.delete(_ids(body))
    return nothing()


async def _history(server: Server, jobs: Sequence[Job]) -> web.Response:
    store = server.jobs.store
    found = [(job, body, await store.result(job) or Result()) for job, body in await _with_bodies(store, jobs)]
    return await _answer(lambda: {entry[0].id: history_entry(*entry) for entry in found})


async def _with_bodies(store: JobStore, jobs: Sequence[Job]) -> list[tuple[Job, Body]]:
    found = []
    for job in jobs:
        with suppress(MissingJob):  # it was deleted since it was listed
            found.append((job, await store.body(job)))
    return found


async def _answer(make: Callable[[], Any]) -> web.Response:
    """Thousands of jobs may be in it, each with its whole prompt: others need not wait for that."""
    body = await asyncio.to_thread(lambda: dump_json(make()))
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _ids(body: dict[str, Any]) -> list[str]:
    ids = body["delete"]
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise BadRequest("delete is not a list of ids")
    return ids

"""`/prompt`, `/interrupt` and `/free`."""

from __future__ import annotations

from aiohttp import web

from engine.errors import Conflict, EaselError, MissingJob
from engine.graph.strict_json import read_json
from engine.server.responses import json_response, nothing, off_loop, read_object
from engine.server.state import server_of
from engine.server.submission import Refused, comfy_job

routes = web.RouteTableDef()


@routes.get("/prompt")
async def remaining(request: web.Request) -> web.Response:
    return json_response({"exec_info": {"queue_remaining": server_of(request).jobs.remaining}})


@routes.post("/prompt")
async def submit(request: web.Request) -> web.Response:
    """Queue what is valid. The job is on disk before the answer goes out."""
    server = server_of(request)
    body = await request.read()
    catalogue = await server.catalogue.current()
    try:
        new, node_errors = await off_loop(len(body), lambda: comfy_job(body, catalogue, server.limits))
        job, _ = await server.jobs.submit(new)
    except Refused as refused:
        return json_response(refused.answer, 400)
    except EaselError as error:
        told = {"type": error.code, "message": error.message, "details": error.hint, "extra_info": error.details}
        return json_response({"error": told, "node_errors": {}}, error.http_status)
    return json_response({"prompt_id": job.id, "number": job.number, "node_errors": node_errors})


@routes.post("/interrupt")
async def interrupt(request: web.Request) -> web.Response:
    """Cancel the job that runs; with a prompt_id only if it is that one. A body that cannot be read counts as none."""
    jobs = server_of(request).jobs
    try:
        body = read_json(await request.read(), server_of(request).limits)
    except EaselError:
        body = {}
    wanted = body.get("prompt_id") if isinstance(body, dict) else None
    running = jobs.running
    if running is not None and (not wanted or running.job.id == wanted):
        try:
            await jobs.cancel(running.job.id)
        except (Conflict, MissingJob):
            return nothing()  # it ended at this moment
    return nothing()


@routes.post("/free")
async def free(request: web.Request) -> web.Response:
    body = await read_object(request)
    cache = bool(body.get("free_memory"))
    await server_of(request).jobs.free(models=bool(body.get("unload_models", cache)), cache=cache)
    return nothing()

"""Jobs: asking for them, looking at them, changing what becomes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from engine.errors import BadRequest, Conflict, EaselError
from engine.graph.wire import dump_json
from engine.jobs.records import Job, NewJob, Result
from engine.jobs.states import State
from engine.server.responses import LARGEST_INT, json_response, off_loop
from engine.server.state import Server, server_of
from engine.server.submission import comfy_job, strict_job
from engine.server.v1.forms import JobAnswer, job_files
from engine.server.v1.routing import Answer, Query, Strict, Table, read_body, read_query

table = Table("jobs")


class JobRequest(Strict):
    """A workflow to run."""

    workflow: dict[str, Any] = Field(description="A workflow in the format easel/1, or a bare API prompt.")
    id: str | None = Field(
        None, min_length=1, max_length=200, description="A name for the job: asking again with the same body gives the same job."
    )
    targets: list[str] | None = Field(None, description="Ids of the nodes to run up to; without it, all output nodes.")
    front: bool = Field(False, description="Run before everything that waits.")
    client_id: str = Field("", max_length=200, description="The WebSocket client that is to hear of the job.")
    extra: dict[str, Any] = Field(
        default_factory=dict, description="Kept with the job; savers embed `extra_pnginfo`, and nothing where `metadata` is false."
    )


class JobList(Answer):
    jobs: list[JobAnswer]
    next: int | None = Field(description="Give it as `before` for the next page; null on the last one.")


class JobQuery(Query):
    state: Annotated[str | None, Field(description="States, separated by commas.")] = None
    client_id: Annotated[str | None, Field(max_length=200, description="Only jobs of this client.")] = None
    results: Annotated[bool, Field(description="With outputs, files and failures of the jobs that are over.")] = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    before: Annotated[int | None, Field(ge=0, le=LARGEST_INT, description="`next` of the page before.")] = None


class DeleteQuery(Query):
    files: Annotated[bool, Field(description="Also the files of output and temp that it wrote.")] = False


class NodeRecord(Answer):
    node_id: str
    display_id: str = Field(description="The submitted node: another one than node_id inside a run-time expansion.")
    class_type: str
    reason: str = Field(description="Why it ran or did not, such as `hit disk` or `input steps changed 20 -> 25`.")
    cached: bool
    seconds: float
    digest: str = Field(description="The name of the computation.")
    memory: int | None = Field(
        description="The most bytes in use while it computed on the device: of the device, or of the worker's main memory on a CPU."
    )


class NodeRecords(Answer):
    nodes: list[NodeRecord] = Field(description="In the order in which they ended.")


@table.add("POST", "/jobs", body=JobRequest, answer=JobAnswer, status=201)
async def submit(request: web.Request) -> web.Response:
    """Queue a workflow: all of it or, with every problem listed, nothing. 201 for a new job, 200 for one that was there already."""
    server = server_of(request)
    wanted, size = await read_body(request, JobRequest), len(await request.read())
    catalogue = await server.catalogue.current()

    def work() -> NewJob:
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

    job, fresh = await server.jobs.submit(await off_loop(size, work))
    return json_response(JobAnswer.of(job).model_dump(), 201 if fresh else 200)


@table.add("GET", "/jobs", query=JobQuery, answer=JobList)
async def page(request: web.Request) -> web.Response:
    """Jobs, newest first."""
    server, query = server_of(request), read_query(request, JobQuery)
    try:
        states = [State(name) for name in (query.state or "").split(",") if name]
    except ValueError as error:
        raise BadRequest(f"state: {error}", hint=f"States are {', '.join(State)}.") from error
    jobs = await server.jobs.store.page(states=states, client_id=query.client_id, before=query.before, limit=query.limit)
    following = jobs[-1].row if len(jobs) == query.limit else None
    listed = [await describe(server, job) if query.results else JobAnswer.of(job).model_dump() for job in jobs]
    return json_response({"jobs": listed, "next": following})


@table.add("GET", "/jobs/{id}", answer=JobAnswer)
async def one(request: web.Request) -> web.Response:
    """A job: its state, and how far it is or what came out."""
    return json_response(await describe(server_of(request), await _job(request)))


@table.add("GET", "/jobs/{id}/workflow")
async def workflow(request: web.Request) -> web.Response:
    """What was asked for: the workflow, or the API prompt of a job that came over /prompt."""
    body = await server_of(request).jobs.store.body(await _job(request))

    def asked() -> web.Response:
        return json_response(json.loads(body.extra).get("easel") or json.loads(body.prompt))

    return await off_loop(len(body.extra) + len(body.prompt), asked)


@table.add("GET", "/jobs/{id}/nodes", answer=NodeRecords)
async def nodes(request: web.Request) -> web.Response:
    """Why each node of the job ran or did not, and how long it took."""
    job = await _job(request)
    return json_response({"nodes": await asyncio.to_thread(server_of(request).records, job.id)})


@table.add("POST", "/jobs/{id}/cancel", answer=JobAnswer)
async def cancel(request: web.Request) -> web.Response:
    """Cancel a job that is not over. One that runs stops at its next step; one that does not stop ends with its process."""
    server = server_of(request)
    return json_response(await describe(server, await server.jobs.cancel(request.match_info["id"])))


@table.add("POST", "/jobs/{id}/pause", answer=JobAnswer)
async def pause(request: web.Request) -> web.Response:
    """Keep a waiting job from starting, or stop the running one at its next step; nothing of what it did is lost."""
    server = server_of(request)
    return json_response(await describe(server, await server.jobs.pause(request.match_info["id"])))


@table.add("POST", "/jobs/{id}/release", answer=JobAnswer)
async def release(request: web.Request) -> web.Response:
    """Let a paused or parked job wait again; it goes on where it stopped."""
    server = server_of(request)
    return json_response(await describe(server, await server.jobs.release(request.match_info["id"])))


@table.add("POST", "/jobs/{id}/finish", answer=JobAnswer)
async def finish(request: web.Request) -> web.Response:
    """Let a training that runs end at its next step with what it has learned; the nodes after it run."""
    server = server_of(request)
    return json_response(await describe(server, await server.jobs.finish_early(request.match_info["id"])))


@table.add("POST", "/jobs/{id}/retry", answer=JobAnswer, status=201)
async def retry(request: web.Request) -> web.Response:
    """Ask anew for what a job that is over asked for. The answer is a new job; nodes whose results are kept do not run again."""
    server, job = server_of(request), await _job(request)
    if not job.state.over:
        raise Conflict(f"The job {job.id} is {job.state}", hint="Only a job that is over can be asked for again.")
    body = await server.jobs.store.body(job)
    catalogue = await server.catalogue.current()

    def work() -> NewJob:
        extra = json.loads(body.extra)
        document = extra.pop("easel", None)
        if document is not None:
            return strict_job(
                document, catalogue, server.limits, job_id=None, targets=job.targets, extra=extra, client_id=job.client_id, front=False
            )
        asked = {"prompt": json.loads(body.prompt), "extra_data": extra, "partial_execution_targets": list(job.targets)}
        return comfy_job(dump_json(asked), catalogue, server.limits)[0]

    new, _ = await server.jobs.submit(await off_loop(len(body.extra) + len(body.prompt), work))
    return json_response(JobAnswer.of(new).model_dump(), 201)


@table.add("DELETE", "/jobs/{id}", query=DeleteQuery, status=204)
async def delete(request: web.Request) -> web.Response:
    """Forget a job that is over, with the results that were kept only for it. Files that it wrote stay unless `files` is asked for."""
    server, job, query = server_of(request), await _job(request), read_query(request, DeleteQuery)
    result = await server.jobs.store.result(job) if query.files else None
    if not await server.jobs.delete([job.id]):
        raise Conflict(f"The job {job.id} is {job.state}", hint="Cancel it first.")
    if result is not None:
        await asyncio.to_thread(_remove_files, server, result.ui)
    return web.Response(status=204)


def _remove_files(server: Server, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    for file in job_files(outputs):
        if file.root != "input":
            try:
                server.folders.resolve(file.root, file.name).unlink(missing_ok=True)
            except EaselError:
                continue  # it is gone already


async def _job(request: web.Request) -> Job:
    return await server_of(request).jobs.store.get(request.match_info["id"])


async def describe(server: Server, job: Job) -> dict[str, Any]:
    running = server.jobs.running
    more: dict[str, Any] = {}
    if job.state.over:  # asked first: the job that has just ended is still the running one until all have heard of it
        result = await server.jobs.store.result(job) or Result()
        more = {"outputs": result.ui, "files": job_files(result.ui), "failures": result.failures}
    elif running is not None and running.job.id == job.id:
        more["progress"] = running.to_json()
    return JobAnswer.of(job, **more).model_dump()

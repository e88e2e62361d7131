"""What runs here, and on what."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated, Any, Literal

import psutil
from aiohttp import web
from pydantic import Field

import engine
from engine.server.comfy.system import package_version
from engine.server.log_book import Level
from engine.server.responses import LARGEST_INT, json_response
from engine.server.state import server_of
from engine.server.v1.routing import Answer, Query, Strict, Table, read_body, read_query

table = Table("system")


class Version(Answer):
    easel: str
    api: int
    python: str
    torch: str
    worker: Literal["ready", "starting"]
    device: dict[str, Any] | None


class SystemAnswer(Answer):
    """Sizes in bytes."""

    easel: str
    python: str
    platform: str
    packages: dict[str, str]
    cpus: int
    memory_total: int
    memory_free: int
    disk_total: int = Field(description="Of the disk that the data folder lies on.")
    disk_free: int
    server_memory: int
    worker: Literal["ready", "starting"]
    worker_starts: int = Field(description="How often a worker was started since the server was.")
    worker_memory: int | None
    device: dict[str, Any] | None = Field(description="Name, type and memory of the device that the worker computes on.")
    cache: dict[str, Any] | None = Field(description="Entries and bytes of the results kept in memory and on disk.")
    packs_failed: dict[str, str] = Field(description="Packs of nodes that did not load, and why.")


class LogQuery(Query):
    after: Annotated[int, Field(ge=0, le=LARGEST_INT, description="Only lines with a greater number.")] = 0
    job: Annotated[str, Field(max_length=200, description="Only lines about this job.")] = ""
    node: Annotated[str, Field(max_length=1000, description="Only lines about this node, or about what lies in it.")] = ""


class LogEntry(Answer):
    number: int
    time: float = Field(description="Seconds since 1970.")
    source: Literal["server", "worker"]
    level: Level
    name: str = Field(description="Of the part that said it; empty for what was merely printed.")
    job: str = Field(description="The job that it is about; empty for none, or where the worker did not know.")
    node: str = Field(description="The submitted node that it is about; empty for none.")
    text: str


class LogAnswer(Answer):
    lines: list[LogEntry]
    last: int = Field(description="The number of the last line of all; less than before after a restart of the server.")


class FreeRequest(Strict):
    """What to let go of."""

    models: bool = Field(False, description="Loaded models.")
    results: bool = Field(False, description="Results of nodes that are kept in memory; those on disk stay.")


@table.add("GET", "/version", answer=Version)
async def version(request: web.Request) -> web.Response:
    """What runs here."""
    supervisor = server_of(request).supervisor
    answer = Version(
        easel=engine.__version__,
        api=1,
        python=sys.version.split()[0],
        torch=package_version("torch"),
        worker="ready" if supervisor.ready else "starting",
        device=supervisor.stats.get("device") or supervisor.hello.get("device"),
    )
    return json_response(answer.model_dump())


@table.add("GET", "/system", answer=SystemAnswer)
async def system(request: web.Request) -> web.Response:
    """The machine, the worker and what it holds."""
    server = server_of(request)
    supervisor, memory, disk = server.supervisor, psutil.virtual_memory(), shutil.disk_usage(server.folders.data)
    failures = supervisor.hello.get("failures") or {}
    answer = SystemAnswer(
        easel=engine.__version__,
        python=sys.version.split()[0],
        platform=sys.platform,
        packages={name: package_version(name) for name in ("torch", "diffusers", "transformers", "peft")},
        cpus=os.cpu_count() or 1,
        memory_total=memory.total,
        memory_free=memory.available,
        disk_total=disk.total,
        disk_free=disk.free,
        server_memory=psutil.Process().memory_info().rss,
        worker="ready" if supervisor.ready else "starting",
        worker_starts=supervisor.starts,
        worker_memory=supervisor.stats.get("memory"),
        device=supervisor.stats.get("device") or supervisor.hello.get("device"),
        cache=supervisor.stats.get("cache"),
        packs_failed={str(name): str(why) for name, why in failures.items()},
    )
    return json_response(answer.model_dump())


@table.add("GET", "/system/log", query=LogQuery, answer=LogAnswer)
async def log(request: web.Request) -> web.Response:
    """The last two thousand lines of the log, of the server and of its worker."""
    query, book = read_query(request, LogQuery), server_of(request).log_book
    lines = [LogEntry.model_validate(vars(line)) for line in book.after(query.after, query.job, query.node)]
    return json_response(LogAnswer(lines=lines, last=book.last).model_dump())


@table.add("POST", "/system/free", body=FreeRequest, status=204)
async def free(request: web.Request) -> web.Response:
    """Let go of loaded models or kept results, after the job that runs."""
    wanted = await read_body(request, FreeRequest)
    await server_of(request).jobs.free(models=wanted.models, cache=wanted.results)
    return web.Response(status=204)

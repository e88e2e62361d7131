"""The HTTP application: what it is made of, and how it starts and stops."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiohttp import web

from engine import address
from engine.graph import garbage
from engine.graph.folders import Folders
from engine.graph.limits import Limits
from engine.graph.records import RecordStore, records_path
from engine.jobs.catalogue import CatalogueCache
from engine.jobs.jobs import Jobs
from engine.jobs.lock import DataLock
from engine.jobs.store import JobStore
from engine.jobs.supervisor import Supervisor
from engine.jobs.worker_process import COMMAND
from engine.log_lines import log_to
from engine.server import access, pages
from engine.server.comfy import files, nodes, prompt, queue, socket, system, userdata
from engine.server.connections import KEPT_SECONDS, Silence, allow_many
from engine.server.listening import listen, url_of
from engine.server.log_book import LogBook
from engine.server.model_search import ModelSearch
from engine.server.responses import add_headers, errors_to_json
from engine.server.sockets import Hub
from engine.server.state import SERVER, Server
from engine.server.sweep import sweeping
from engine.server.thumbnails import Thumbnails
from engine.server.v1 import TABLES, openapi
from engine.settings import Settings

log = logging.getLogger("easel.server")

COMFY_ROUTES = (prompt.routes, queue.routes, files.routes, nodes.routes, system.routes, userdata.routes, socket.routes)
SHUTDOWN_SECONDS = 2.0
SILENCE = web.AppKey("silence", Silence)


def create_app(settings: Settings, *, worker: Sequence[str] = COMMAND) -> web.Application:
    """The application; its parts come to life when it starts. Raises InvalidSettings for settings that are not safe to serve with."""
    access.check_settings(settings)
    silence = Silence()
    app = web.Application(
        middlewares=[silence.heard, errors_to_json, access.guard(settings)],
        client_max_size=int(settings.max_body),
        handler_args={"max_line_size": 32_768},
    )
    app[SILENCE] = silence
    app.on_response_prepare.append(add_headers)
    for routes in COMFY_ROUTES:
        for route in routes:
            if isinstance(route, web.RouteDef):
                for path in (route.path, f"/api{route.path}"):
                    web.RouteDef(route.method, path, route.handler, route.kwargs).register(app.router)
    described = [route for table in TABLES for route in table.routes]
    for described_route in described:
        web.RouteDef(described_route.method, described_route.path, described_route.handler, {}).register(app.router)
    openapi.add_to(app.router, described)
    pages.add_to(app.router)
    app.cleanup_ctx.append(_running(settings, worker))
    return app


def _running(settings: Settings, worker: Sequence[str]) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(app: web.Application) -> AsyncIterator[None]:
        folders = Folders.of(settings)
        folders.create()
        lock = DataLock(folders.data)
        log_book = LogBook()
        logging.getLogger().addHandler(log_book)
        try:
            catalogue = CatalogueCache.of(settings, folders)
            catalogue.load()
            supervisor = Supervisor(
                settings.for_worker(),
                on_catalogue=catalogue.receive,
                silence=settings.worker_silence,
                command=worker,
                said=log_book.worker_said,
            )
            store = JobStore(folders.state / "jobs.db", max_history=settings.max_history, max_history_bytes=int(settings.max_history_bytes))
            jobs = Jobs(store, supervisor, cancel_grace=settings.cancel_grace, max_waiting=settings.max_waiting)
            hub = Hub(jobs)
            jobs.listeners.append(hub)
            app[socket.HUB] = hub
            thumbnails = Thumbnails(settings.max_pixels)
            app[SERVER] = Server(
                settings,
                folders,
                Limits.of(settings),
                catalogue,
                jobs,
                supervisor,
                _records(folders),
                thumbnails,
                log_book,
                ModelSearch(folders),
            )
            await jobs.start()
            try:
                with sweeping(folders, settings.max_temp):
                    yield
            finally:
                await hub.close()
                await jobs.stop()
                thumbnails.close()
        finally:
            logging.getLogger().removeHandler(log_book)
            lock.close()

    return run  # type: ignore[return-value]


def _records(folders: Folders) -> Callable[[str], list[dict[str, Any]]]:
    """Reads what the worker wrote about a job's nodes."""
    opened: list[RecordStore] = []

    def read(job_id: str) -> list[dict[str, Any]]:
        if not opened:
            opened.append(RecordStore(records_path(folders.state)))
        return [record.to_json() for record in opened[0].of_job(job_id)]

    return read


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; prints the address when it listens."""
    log_to(sys.stderr, settings.log_level)
    allow_many()
    garbage.collect_rarely()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    sockets = await listen(settings)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handler_cancellation=False, keepalive_timeout=KEPT_SECONDS
    )
    await runner.setup()
    assert runner.server is not None  # noqa: S101 (it is there from now on)
    watching = asyncio.create_task(app[SILENCE].watch(runner.server))
    garbage.keep_what_is_there()
    try:
        for one in sockets:
            await web.SockSite(runner, one).start()
        url = url_of(settings.host, runner.addresses[0][1])
        address.publish(settings.data, url)
        try:
            print(f"Easel is at {url}", flush=True)
            await _until_stopped()
        finally:
            address.withdraw(settings.data)
    finally:
        watching.cancel()
        await runner.cleanup()


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows: Ctrl+C raises KeyboardInterrupt instead
            continue
    await stopped.wait()

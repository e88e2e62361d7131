"""The files of web/ and the routes that tell whether the server is well."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from engine.server.responses import json_response
from engine.server.state import server_of
from engine.settings import ROOT

WEB = ROOT / "web"
MEDIA = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


def add_to(router: web.UrlDispatcher, folder: Path = WEB) -> None:
    """Every file of the folder at its own path, and index.html at /. Nothing else of the disk is reachable this way."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in MEDIA and path.is_file():
            router.add_get(f"/{path.relative_to(folder).as_posix()}", _page(path))
    router.add_get("/", _page(folder / "index.html"))
    router.add_get("/livez", live)
    router.add_get("/readyz", ready)


def _page(path: Path):  # type: ignore[no-untyped-def]
    async def page(request: web.Request) -> web.StreamResponse:
        response = web.FileResponse(path, headers={"Cache-Control": "no-cache"})
        response.content_type = MEDIA[path.suffix]
        return response

    return page


async def live(request: web.Request) -> web.Response:
    """The event loop answers."""
    return json_response({"live": True})


async def ready(request: web.Request) -> web.Response:
    """Jobs can be taken and a worker runs them."""
    server = server_of(request)
    state = {"catalogue": server.catalogue.known, "worker": server.supervisor.ready}
    return json_response({"ready": all(state.values()), **state}, 200 if all(state.values()) else 503)

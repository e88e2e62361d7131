"""The files of web/ and the routes that tell whether the server is well."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from aiohttp import web

from engine.server.responses import compress_for_others, json_response, not_modified
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
TEXTS = {".html", ".js", ".css", ".svg", ".json"}
COMMENTS = re.compile(rb"/\*\*(?:(?!\*/).)*\*/|^[ \t]*//[^\n]*$", re.DOTALL | re.MULTILINE)
"""What a reader and the type checker need and a browser does not: JSDoc, and lines that are nothing else than a comment."""


def add_to(router: web.UrlDispatcher, folder: Path = WEB) -> None:
    """Every file of the folder at its own path, and index.html at /. Nothing else of the disk is reachable this way."""

    async def page(request: web.Request) -> web.StreamResponse:
        path = files.get(request.match_info.get("file", "index.html"))
        if path is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "no-cache"}
        if path.suffix == ".js":
            return script(request, path, headers)
        response = web.FileResponse(path, headers=headers)
        response.content_type = MEDIA[path.suffix]
        if path.suffix in TEXTS:
            compress_for_others(request, response)
        return response

    found = (path for path in folder.rglob("*") if path.suffix in MEDIA and path.is_file())
    files = {path.relative_to(folder).as_posix(): path for path in found}
    router.add_get("/livez", live)
    router.add_get("/readyz", ready)
    router.add_get("/", page)
    router.add_get("/{file:.+}", page)


def script(request: web.Request, path: Path, headers: dict[str, str]) -> web.Response:
    """A module without its comments, which are a quarter of it. What is left stands on the lines where it stood."""
    changed = path.stat().st_mtime_ns
    headers = {**headers, "ETag": f'"{changed:x}"'}
    if not_modified(request, f"{changed:x}"):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=without_comments(path, changed), content_type=MEDIA[".js"], charset="utf-8", headers=headers)
    compress_for_others(request, response)
    return response


@lru_cache(maxsize=500)
def without_comments(path: Path, changed: int) -> bytes:
    """The text of a module; `changed` is when it was written, so that another text is read anew."""
    return COMMENTS.sub(lambda found: b"\n" * found[0].count(b"\n"), path.read_bytes())


async def live(request: web.Request) -> web.Response:
    """The event loop answers."""
    return json_response({"live": True})


async def ready(request: web.Request) -> web.Response:
    """Jobs can be taken and a worker runs them."""
    server = server_of(request)
    state = {"catalogue": server.catalogue.known, "worker": server.supervisor.ready}
    return json_response({"ready": all(state.values()), **state}, 200 if all(state.values()) else 503)

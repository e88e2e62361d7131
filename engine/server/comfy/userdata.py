"""What an editor keeps on the server: `/users`, `/settings` and `/userdata`. One user, whose files lie in user/default."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from engine.errors import BadRequest, EaselError, Forbidden, UnsafePath
from engine.graph.paths import inside
from engine.graph.strict_json import read_json
from engine.graph.wire import dump_json
from engine.server.files import Incoming, file_response, make_folder
from engine.server.responses import json_response, nothing, read_object
from engine.server.state import server_of

routes = web.RouteTableDef()

USER = "default"
SETTINGS = "comfy.settings.json"


@routes.get("/users")
async def users(request: web.Request) -> web.Response:
    return json_response({"storage": "server", "migrated": _home(request).is_dir()})


@routes.get("/settings")
async def all_settings(request: web.Request) -> web.Response:
    return json_response(_read_settings(request))


@routes.get("/settings/{id}")
async def one_setting(request: web.Request) -> web.Response:
    return json_response(_read_settings(request).get(request.match_info["id"]))


@routes.post("/settings")
async def change_settings(request: web.Request) -> web.Response:
    changes = await read_object(request)
    _write_settings(request, {**_read_settings(request), **changes})
    return nothing()


@routes.post("/settings/{id}")
async def change_setting(request: web.Request) -> web.Response:
    value = read_json(await request.read(), server_of(request).limits)
    _write_settings(request, {**_read_settings(request), request.match_info["id"]: value})
    return nothing()


@routes.get("/userdata")
async def list_files(request: web.Request) -> web.Response:
    """Names in a folder: plain, split into parts, or with sizes and times."""
    query = request.query
    if not query.get("dir"):
        raise BadRequest("Directory not provided", hint="Add dir=NAME.")
    folder = _inside(request, query["dir"])
    if not folder.is_dir():
        raise web.HTTPNotFound
    recurse = query.get("recurse", "").lower() == "true"
    found = await asyncio.to_thread(_files_below, folder, recurse)
    if query.get("full_info", "").lower() == "true":
        return json_response([_info(path, folder) for path in found])
    names = [path.relative_to(folder).as_posix() for path in found]
    return json_response([[name, *name.split("/")] for name in names] if query.get("split", "").lower() == "true" else names)


@routes.get("/v2/userdata")
async def list_entries(request: web.Request) -> web.Response:
    home = _home(request)
    folder = _inside(request, request.query["path"]) if request.query.get("path") else home
    if not folder.exists():
        if folder == home:
            return json_response([])
        raise web.HTTPNotFound
    if not folder.is_dir():
        raise BadRequest("path is not a folder")
    return json_response(await asyncio.to_thread(_entries_below, folder, home))


@routes.get("/userdata/{file}")
async def read_file(request: web.Request) -> web.StreamResponse:
    path = _named(request, "file")
    if not path.is_file():
        raise web.HTTPNotFound
    return file_response(path)


@routes.post("/userdata/{file}")
async def write_file(request: web.Request) -> web.Response:
    path = _named(request, "file")
    _refuse_overwriting(request, path)
    incoming = Incoming(path.parent, int(server_of(request).settings.max_body))
    try:
        await incoming.read(request.content)
        await asyncio.to_thread(incoming.place, path, overwrite=True)
    finally:
        incoming.discard()
    return _told(request, path)


@routes.delete("/userdata/{file}")
async def delete_file(request: web.Request) -> web.Response:
    path = _named(request, "file")
    if not path.is_file():
        raise web.HTTPNotFound
    path.unlink()
    return web.Response(status=204)


@routes.post("/userdata/{file}/move/{dest}")
async def move_file(request: web.Request) -> web.Response:
    source, target = _named(request, "file"), _named(request, "dest")
    if not source.is_file():
        raise web.HTTPNotFound
    _refuse_overwriting(request, target)
    make_folder(target.parent)
    os.replace(source, target)
    return _told(request, target)


def _home(request: web.Request) -> Path:
    return server_of(request).folders.user / USER


def _named(request: web.Request, part: str) -> Path:
    name = request.match_info[part]
    return _inside(request, unquote(name) if "%" in name else name)


def _inside(request: web.Request, name: str) -> Path:
    try:
        return inside(_home(request), name.strip("/"))
    except UnsafePath as error:
        raise Forbidden(error.message, hint=error.hint) from error


def _refuse_overwriting(request: web.Request, path: Path) -> None:
    if path.is_dir():
        raise BadRequest("There is a folder of this name")
    if request.query.get("overwrite") == "false" and path.exists():
        raise web.HTTPConflict


def _told(request: web.Request, path: Path) -> web.Response:
    home = _home(request)
    full = request.query.get("full_info", "").lower() == "true"
    return json_response(_info(path, home) if full else path.relative_to(home).as_posix())


def _files_below(folder: Path, recurse: bool) -> list[Path]:
    return sorted(path for path in (folder.rglob("*") if recurse else folder.iterdir()) if path.is_file())


def _entries_below(folder: Path, home: Path) -> list[dict[str, Any]]:
    """Folders first, each group by name."""
    return [_entry(path, home) for path in sorted(folder.rglob("*"), key=lambda path: (path.is_file(), path.as_posix()))]


def _info(path: Path, base: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "path": path.relative_to(base).as_posix(),
        "size": status.st_size,
        "modified": status.st_mtime,
        "created": status.st_ctime,
    }


def _entry(path: Path, base: Path) -> dict[str, Any]:
    named = {"name": path.name, "path": path.relative_to(base).as_posix()}
    if path.is_dir():
        return {**named, "type": "directory"}
    status = path.stat()
    return {**named, "type": "file", "size": status.st_size, "modified": status.st_mtime}


def _read_settings(request: web.Request) -> dict[str, Any]:
    try:
        value = read_json((_home(request) / SETTINGS).read_bytes(), server_of(request).limits)
    except (OSError, EaselError):  # clients can write the file as user data too
        return {}
    return value if isinstance(value, dict) else {}


def _write_settings(request: web.Request, settings: dict[str, Any]) -> None:
    home = _home(request)
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f"{SETTINGS}.new"
    temporary.write_bytes(dump_json(settings))
    temporary.replace(home / SETTINGS)

"""Files of input, output and temp, and the workflows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.errors import BadRequest, EaselError, Forbidden, MissingFile
from engine.graph.folders import Folders
from engine.graph.paths import inside
from engine.graph.strict_json import read_json
from engine.graph.workflow_reader import parse_document
from engine.server.files import Incoming, file_response, find
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.models import FileList, FileRecord, PutQuery, WorkflowEntry, WorkflowList
from engine.server.v1.routing import Table, read_query

table = Table("files")

ROOTS = ("input", "output", "temp")


@table.add("GET", "/files/{root}", answer=FileList)
async def files(request: web.Request) -> web.Response:
    """The files of input, output or temp."""
    folders, root = server_of(request).folders, _root(request)

    def listed() -> list[dict[str, Any]]:
        found = []
        for name in folders.list(root):
            try:
                status = folders.resolve(root, name).stat()
            except (OSError, EaselError):
                continue  # gone since it was listed
            found.append({"name": name, "size": status.st_size, "modified": status.st_mtime})
        return found

    return json_response({"files": await asyncio.to_thread(listed)})


@table.add("GET", "/files/{root}/{name:.+}", media="application/octet-stream")
async def file(request: web.Request) -> web.StreamResponse:
    """One file; ranges and ETags work."""
    return file_response(find(server_of(request).folders, _root(request), request.match_info["name"]))


@table.add("PUT", "/files/{root}/{name:.+}", query=PutQuery, answer=FileRecord, status=201, raw_body=True)
async def put(request: web.Request) -> web.Response:
    """Store the body as a file of input; the answer has the name that it got."""
    server = server_of(request)
    query = read_query(request, PutQuery)
    if _root(request) != "input":
        raise Forbidden("Only files of input can be written", hint="PUT /api/v1/files/input/NAME")
    path = inside(server.folders.input, request.match_info["name"])
    incoming = Incoming(path.parent, int(server.settings.max_body))
    try:
        await incoming.read(request.content)
        placed = await asyncio.to_thread(incoming.place, path, overwrite=query.overwrite)
    finally:
        incoming.discard()
    return json_response(server.folders.record("input", placed), 201)


@table.add("GET", "/workflows", answer=WorkflowList)
async def workflows(request: web.Request) -> web.Response:
    """The workflows of the data folder and the examples."""
    folders = server_of(request).folders
    found = [_describe(folders, name) for name in folders.list("workflows")]
    return json_response(WorkflowList(workflows=found).model_dump())


@table.add("GET", "/workflows/{name:.+}")
async def workflow(request: web.Request) -> web.Response:
    """One workflow as it was written."""
    path = _workflow(server_of(request).folders, request.match_info["name"])
    return web.Response(body=path.read_bytes(), content_type="application/json", charset="utf-8")


@table.add("PUT", "/workflows/{name:.+}", answer=WorkflowEntry, status=201, raw_body=True)
async def put_workflow(request: web.Request) -> web.Response:
    """Keep a workflow in the data folder. It must be readable as one; whether it can run is not asked."""
    server = server_of(request)
    name = request.match_info["name"]
    if not name.endswith(".json"):
        raise BadRequest("The name of a workflow ends in .json")
    body = await request.read()
    parse_document(read_json(body, server.limits), server.limits, checked=True)
    path = inside(server.folders.workflows, name)
    incoming = Incoming(path.parent, int(server.settings.max_body))
    try:
        incoming.write(body)
        incoming.place(path, overwrite=True)
    finally:
        incoming.discard()
    return json_response(_describe(server.folders, name).model_dump(), 201)


@table.add("DELETE", "/workflows/{name:.+}", status=204)
async def delete_workflow(request: web.Request) -> web.Response:
    """Remove a workflow from the data folder; the examples stay."""
    folders, name = server_of(request).folders, request.match_info["name"]
    path = inside(folders.workflows, name)
    if not path.is_file():
        _workflow(folders, name)
        raise Forbidden(f"{name} is an example that comes with Easel")
    path.unlink()
    return web.Response(status=204)


def _root(request: web.Request) -> str:
    root = request.match_info["root"]
    if root not in ROOTS:
        raise MissingFile(f"There is no folder {root[:40]!r}", hint="Folders are input, output and temp.")
    return root


def _workflow(folders: Folders, name: str) -> Path:
    if not name.endswith(".json"):
        raise MissingFile(f"There is no workflow {name[:100]!r}", hint="/api/v1/workflows lists them.")
    return find(folders, "workflows", name)


def _describe(folders: Folders, name: str) -> WorkflowEntry:
    path = folders.resolve("workflows", name)
    return WorkflowEntry(name=name, writable=path.is_relative_to(folders.workflows), title=_title(path))


def _title(path: Path) -> str:
    """What the file calls itself, else its name in words."""
    try:
        document = json.loads(path.read_bytes())
        title = document.get("title") if isinstance(document, dict) else None
    except (OSError, ValueError, RecursionError):
        title = None
    return title if isinstance(title, str) and title else path.stem.replace("_", " ").capitalize()

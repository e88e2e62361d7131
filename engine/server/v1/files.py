"""Files of input, output and temp."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from engine.errors import EaselError, Forbidden, MissingFile
from engine.graph.folders import Folders
from engine.graph.model_folders import kind_of
from engine.graph.paths import inside
from engine.server import pictures
from engine.server.files import Incoming, disposition, file_response, find, new_file, same_content
from engine.server.responses import SANDBOX, json_response
from engine.server.state import server_of
from engine.server.v1.forms import FileKind, Paged
from engine.server.v1.routing import Answer, Query, Table, read_query

table = Table("files")

ROOTS = ("input", "output", "temp")


class FileEntry(Answer):
    name: str
    kind: FileKind
    size: int
    modified: float = Field(description="Seconds since 1970.")


class FileList(Answer):
    files: list[FileEntry]
    total: int = Field(description="How many there are in all.")


class FilesQuery(Paged):
    kind: Annotated[FileKind | None, Field(description="Only files of this kind.")] = None
    search: Annotated[str, Field(max_length=200, description="Only names that contain this, in any case.")] = ""
    order: Annotated[Literal["name", "newest"], Field(description="By name, or the newest first.")] = "name"


class FileRecord(Answer):
    filename: str
    subfolder: str
    type: str


class PutQuery(Query):
    overwrite: Annotated[bool, Field(description="Replace a file of this name; else the new one gets a free name.")] = False
    reuse: Annotated[bool, Field(description="Where input has a file with the same content, take that one instead (status 200).")] = False


class GetQuery(Query):
    metadata: Annotated[bool, Field(description="False leaves out the texts of a PNG, such as the workflow.")] = True


@table.add("GET", "/files/{root}", query=FilesQuery, answer=FileList)
async def files(request: web.Request) -> web.Response:
    """The files of input, output or temp."""
    folders, root, query = server_of(request).folders, _root(request), read_query(request, FilesQuery)
    return json_response(await asyncio.to_thread(_listed, folders, root, query))


def _listed(folders: Folders, root: str, query: FilesQuery) -> dict[str, Any]:
    sought = query.search.casefold()
    found: list[dict[str, Any]] = []
    for name in folders.list(root):
        kind = kind_of(name)
        if query.kind not in (None, kind) or sought not in name.casefold():
            continue
        try:
            status = folders.resolve(root, name).stat()
        except (OSError, EaselError):
            continue  # gone since it was listed
        found.append({"name": name, "kind": kind, "size": status.st_size, "modified": status.st_mtime})
    if query.order == "newest":
        found.sort(key=lambda entry: (-entry["modified"], entry["name"]))
    return {"files": found[query.start : query.start + query.limit], "total": len(found)}


@table.add("GET", "/files/{root}/{name:.+}", query=GetQuery, media="application/octet-stream")
async def file(request: web.Request) -> web.StreamResponse:
    """One file; ranges and ETags work."""
    query = read_query(request, GetQuery)
    path = find(server_of(request).folders, _root(request), request.match_info["name"])
    if query.metadata:
        return file_response(path)
    bare = await asyncio.to_thread(pictures.without_texts, path)
    headers = {"Content-Disposition": disposition(path.name, inline=False), "Content-Security-Policy": SANDBOX}
    return web.Response(body=bare, content_type="image/png", headers=headers)


@table.add("PUT", "/files/{root}/{name:.+}", query=PutQuery, answer=FileRecord, status=201, raw_body=True)
async def put(request: web.Request) -> web.Response:
    """Store the body as a file of input; the answer has the name that it got. What is named as a picture must be one."""
    server = server_of(request)
    query = read_query(request, PutQuery)
    if _root(request) != "input":
        raise Forbidden("Only files of input can be written", hint="PUT /api/v1/files/input/NAME")
    name = request.match_info["name"]
    path = new_file(server.folders.input, name)
    incoming = Incoming(path.parent, int(server.settings.max_body))

    def placed() -> tuple[Path, bool]:
        if kind_of(name) == "image":
            incoming.check_picture(server.settings.max_pixels)
        present = _with_content(server.folders, incoming) if query.reuse else None
        return (present, False) if present is not None else (incoming.place(path, overwrite=query.overwrite), True)

    try:
        await incoming.read(request.content)
        stored, fresh = await asyncio.to_thread(placed)
    finally:
        incoming.discard()
    return json_response(server.folders.record("input", stored), 201 if fresh else 200)


@table.add("DELETE", "/files/{root}/{name:.+}", status=204)
async def delete(request: web.Request) -> web.Response:
    """Remove a file of input, output or temp from the disk."""
    folders, root = server_of(request).folders, _root(request)
    path = find(folders, root, request.match_info["name"])
    await asyncio.to_thread(path.unlink, missing_ok=True)
    return web.Response(status=204)


def _with_content(folders: Folders, incoming: Incoming) -> Path | None:
    """A file of input that holds what just came in."""
    for name in folders.list("input"):
        try:
            path = inside(folders.input, name)
            if same_content(path, incoming.size, incoming.digest):
                return path
        except (OSError, EaselError):
            continue  # gone since it was listed
    return None


def _root(request: web.Request) -> str:
    root = request.match_info["root"]
    if root not in ROOTS:
        raise MissingFile(f"There is no folder {root[:40]!r}", hint="Folders are input, output and temp.")
    return root

"""Drafts: unsaved work of the editor's pages, found again from another browser or machine. Few, bounded, and swept when old."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, ValidationError

from engine.errors import BadRequest, MissingFile, QuotaExceeded
from engine.graph.folders import Folders
from engine.graph.limits import Limits
from engine.graph.paths import inside
from engine.graph.strict_json import read_json
from engine.server.files import Incoming
from engine.server.responses import LARGEST_INT, json_response, off_loop
from engine.server.state import server_of
from engine.server.v1.routing import Answer, Query, Table, read_query

table = Table("drafts")

MOST = 50
LARGEST = 10_000_000
"""Bytes of one draft."""
IN_ALL = 100_000_000
"""Bytes of all of them."""
KEPT_SECONDS = 30 * 24 * 3600.0
LONGEST_HEAD = 32_768

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DraftHead(Query):
    """Where the open document came from: the first line of the file of a draft, what the page shows of it in a list."""

    title: Annotated[str, Field(max_length=200, description="What the page shows as its title.")] = ""
    name: Annotated[str, Field(max_length=4096, description="The workflow of the server that was opened; empty for none.")] = ""
    writable: Annotated[bool, Field(description="Whether that workflow lies in the data folder.")] = False
    opened: Annotated[int, Field(ge=0, le=LARGEST_INT, description="The revision of that workflow.")] = 0


class DraftEntry(Answer):
    id: str
    title: str
    name: str
    writable: bool
    opened: int
    size: int
    modified: float = Field(description="Seconds since 1970.")


class DraftList(Answer):
    drafts: list[DraftEntry] = Field(description="The newest first.")


@table.add("GET", "/drafts", answer=DraftList)
async def drafts(request: web.Request) -> web.Response:
    """Unsaved work that pages left, for a month."""
    return json_response(await asyncio.to_thread(_listed, server_of(request).folders))


@table.add("GET", "/drafts/{id}")
async def draft(request: web.Request) -> web.Response:
    """The document of a draft, as the page sent it."""
    path = _path(server_of(request).folders, request.match_info["id"])
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError as error:
        raise MissingFile("There is no such draft", hint="/api/v1/drafts lists them.") from error
    return web.Response(body=data.partition(b"\n")[2], content_type="application/json", charset="utf-8")


@table.add("PUT", "/drafts/{id}", query=DraftHead, answer=DraftEntry, status=201, raw_body=True)
async def keep(request: web.Request) -> web.Response:
    """Keep unsaved work, byte for byte, under a UUID that the page chose. The oldest drafts make room for it."""
    server, head = server_of(request), read_query(request, DraftHead)
    path = _path(server.folders, request.match_info["id"])
    body = await request.read()
    await off_loop(len(body), lambda: _check(body, server.limits))

    def kept() -> dict[str, Any]:
        incoming = Incoming(path.parent, LARGEST + LONGEST_HEAD)
        try:
            incoming.write(head.model_dump_json().encode() + b"\n" + body)
            incoming.place(path, overwrite=True)
        finally:
            incoming.discard()
        _sweep(path.parent, path)
        return DraftEntry(**head.model_dump(), id=path.name, size=len(body), modified=path.stat().st_mtime).model_dump()

    async with server.saving:
        return json_response(await asyncio.to_thread(kept), 201)


@table.add("DELETE", "/drafts/{id}", status=204)
async def drop(request: web.Request) -> web.Response:
    """Forget a draft: its work was saved, or is not wanted. One that is not there is forgotten already."""
    server = server_of(request)
    path = _path(server.folders, request.match_info["id"])
    async with server.saving:  # not while the same one is being kept
        await asyncio.to_thread(path.unlink, missing_ok=True)
    return web.Response(status=204)


def _path(folders: Folders, id: str) -> Path:
    if not _ID.fullmatch(id):
        raise BadRequest("The id of a draft is no UUID in small letters")
    return inside(folders.state / "drafts", id)


def _check(body: bytes, limits: Limits) -> None:
    """Only a workflow that the editor can open again is kept, also a faulty one. Raises InvalidWorkflow, BadRequest or QuotaExceeded."""
    if len(body) > LARGEST:
        raise QuotaExceeded(f"The draft is larger than {LARGEST} bytes", hint="Save the workflow.", details={"limit": LARGEST})
    document = read_json(body, limits, nan=True)
    if not (isinstance(document, dict) and isinstance(document.get("nodes"), dict)):
        raise BadRequest('The draft is no workflow: it has no table of "nodes"')


def _listed(folders: Folders) -> dict[str, Any]:
    found = []
    for path, modified, size in _newest_first(folders.state / "drafts"):
        if modified < time.time() - KEPT_SECONDS:
            break
        try:
            with path.open("rb") as file:
                line = file.readline(LONGEST_HEAD)
            head = DraftHead.model_validate_json(line)
        except (FileNotFoundError, ValidationError):
            continue  # gone since it was listed, or no draft of ours
        found.append(DraftEntry(**head.model_dump(), id=path.name, size=size - len(line), modified=modified))
    return DraftList(drafts=found).model_dump()


def _newest_first(folder: Path) -> list[tuple[Path, float, int]]:
    """Each draft with its time in seconds since 1970 and its size in bytes."""
    return sorted(_files(folder), key=lambda file: (-file[1], file[0]))


def _files(folder: Path) -> Iterator[tuple[Path, float, int]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if _ID.fullmatch(path.name) and not path.is_symlink():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            yield path, status.st_mtime, status.st_size


def _sweep(folder: Path, fresh: Path) -> None:
    """Remove what is older than a month, and of the rest the oldest until they are few and small enough; never the one just kept."""
    size = fresh.stat().st_size
    others = [file for file in _newest_first(folder) if file[0] != fresh]
    for number, (path, modified, own) in enumerate(others, 1):
        size += own
        if number >= MOST or size > IN_ALL or modified < time.time() - KEPT_SECONDS:
            path.unlink(missing_ok=True)

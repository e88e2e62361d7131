"""Workflows: those of the data folder, and the templates that come with Easel."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from engine.errors import BadRequest, Conflict, EaselError, Forbidden, MissingFile
from engine.graph.folders import EXAMPLE_WORKFLOWS, Folders
from engine.graph.limits import DEFAULT_LIMITS, Limits
from engine.graph.saving import put_new
from engine.graph.strict_json import read_json
from engine.graph.workflow_reader import parse_document
from engine.server.files import Incoming, find, make_folder, new_file
from engine.server.responses import LARGEST_INT, json_response
from engine.server.state import server_of
from engine.server.thumbnails import pictures_beside
from engine.server.v1.routing import Answer, Query, Strict, Table, read_body, read_query

table = Table("workflows")

TEMPLATES = EXAMPLE_WORKFLOWS / "templates.toml"
LONGEST_WORDS = {"title": 200, "description": 2_000}
"""Characters of what a document says of itself, that a list shows."""


class WorkflowEntry(Answer):
    name: str
    title: str
    description: str
    template: bool = Field(description="It comes with Easel.")
    writable: bool = Field(description="It lies in the data folder.")
    preview: bool = Field(description="/api/v1/thumbnails/workflows/{name} has a picture.")
    size: int
    modified: float = Field(description="Seconds since 1970.")


class WorkflowList(Answer):
    workflows: list[WorkflowEntry] = Field(description="Templates first, in their own order; then by name.")
    folders: list[str] = Field(description="The folders that the others lie in.")


class SaveQuery(Query):
    revision: Annotated[
        int | None,
        Field(
            ge=0,
            le=LARGEST_INT,
            description="The revision of the file that the client opened, 0 when it opened none: 409 when there is another one now. "
            "The new document must have a greater one.",
        ),
    ] = None


class SavedWorkflow(WorkflowEntry):
    revision: int


class MoveRequest(Strict):
    """A new name."""

    to: str = Field(min_length=1, max_length=4096, description="The new name, with its folders; they are made.")


@table.add("GET", "/workflows", answer=WorkflowList)
async def workflows(request: web.Request) -> web.Response:
    """The workflows of the data folder and the templates."""
    return json_response(await asyncio.to_thread(_listed, server_of(request).folders))


@table.add("GET", "/workflows/{name:.+}")
async def workflow(request: web.Request) -> web.Response:
    """One workflow as it was written."""
    path = _existing(server_of(request).folders, request.match_info["name"])
    return web.Response(body=await asyncio.to_thread(path.read_bytes), content_type="application/json", charset="utf-8")


@table.add("PUT", "/workflows/{name:.+}", query=SaveQuery, answer=SavedWorkflow, status=201, raw_body=True)
async def save(request: web.Request) -> web.Response:
    """Keep a workflow in the data folder, byte for byte. It must be readable as one; whether it can run is not asked."""
    server = server_of(request)
    query = read_query(request, SaveQuery)
    path = _own(server.folders, request.match_info["name"])
    body = await request.read()

    def saved() -> dict[str, Any]:
        revision = _revision(body, server.limits)
        if query.revision is not None:
            _check_revision(path, query.revision, revision, server.limits)
        incoming = Incoming(path.parent, int(server.settings.max_body))
        try:
            incoming.write(body)
            incoming.place(path, overwrite=True)
        finally:
            incoming.discard()
        return {**_describe(server.folders, request.match_info["name"]).model_dump(), "revision": revision}

    async with server.saving:  # two who save the same file at once: the second must see the first one's revision
        return json_response(await asyncio.to_thread(saved), 201)


@table.add("POST", "/workflows/{name:.+}/move", body=MoveRequest, answer=WorkflowEntry)
async def move(request: web.Request) -> web.Response:
    """Rename a workflow of the data folder with the picture beside it, also into another folder. 409 when the new name is taken."""
    server, name = server_of(request), request.match_info["name"]
    wanted = await read_body(request, MoveRequest)
    source, target = _own_existing(server.folders, name), _own(server.folders, wanted.to)

    def moved() -> dict[str, Any]:
        make_folder(target.parent)
        pictures = pictures_beside(source)
        if not put_new(source, target):
            raise Conflict(f"There is a file of the name {target.name}", hint="Use another name.")
        for end, picture in pictures.items():
            beside = target.with_name(target.stem + end)
            if not beside.exists():
                picture.rename(beside)  # a link stays a link
        _remove_empty(server.folders, source)
        return _describe(server.folders, wanted.to).model_dump()

    async with server.saving:
        return json_response(await asyncio.to_thread(moved))


@table.add("DELETE", "/workflows/{name:.+}", status=204)
async def delete(request: web.Request) -> web.Response:
    """Remove a workflow from the data folder with the picture beside it, and its folder when nothing else is in it; the templates stay."""
    server = server_of(request)
    path = _own_existing(server.folders, request.match_info["name"])

    def removed() -> None:
        for file in (path, *pictures_beside(path).values()):
            file.unlink(missing_ok=True)
        _remove_empty(server.folders, path)

    async with server.saving:
        await asyncio.to_thread(removed)
    return web.Response(status=204)


def _listed(folders: Folders) -> dict[str, Any]:
    found = []
    for name in folders.list("workflows"):
        try:
            found.append(_describe(folders, name))
        except (OSError, EaselError):
            continue  # gone since it was listed
    order = {name: number for number, name in enumerate(_templates())}
    found.sort(key=lambda entry: (not entry.template, order.get(entry.name, len(order)), entry.name))
    parents = {parent.as_posix() for entry in found if not entry.template for parent in Path(entry.name).parents}
    return WorkflowList(workflows=found, folders=sorted(parents - {"."})).model_dump()


def _describe(folders: Folders, name: str) -> WorkflowEntry:
    path = folders.resolve("workflows", name)
    status = path.stat()
    shared = folders.workflows.resolve() == EXAMPLE_WORKFLOWS.resolve()
    shipped = path.is_relative_to(EXAMPLE_WORKFLOWS) or (shared and path.is_relative_to(folders.workflows))
    told = _templates().get(name, {}) if shipped else {}
    own = _own_words(str(path), status.st_mtime_ns, status.st_size)
    return WorkflowEntry(
        name=name,
        title=told.get("title") or own.get("title") or path.stem.replace("_", " ").capitalize(),
        description=told.get("description") or own.get("description") or "",
        template=shipped and (bool(told) or not shared),
        writable=path.is_relative_to(folders.workflows),
        preview=bool(pictures_beside(path)),
        size=status.st_size,
        modified=status.st_mtime,
    )


@lru_cache(maxsize=1)
def _templates() -> Mapping[str, Mapping[str, str]]:
    """What `templates.toml` says about the workflows that come with Easel, in its order."""
    return {f"{stem}.json": told for stem, told in tomllib.loads(TEMPLATES.read_text("utf-8")).items()}


@lru_cache(maxsize=4096)
def _own_words(path: str, modified_ns: int, size: int) -> Mapping[str, str]:
    """The title and description that the document gives itself."""
    if size > DEFAULT_LIMITS.body_bytes:
        return {}
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    words = document if isinstance(document, dict) else {}
    return {key: words[key][:most] for key, most in LONGEST_WORDS.items() if isinstance(words.get(key), str)}


def _revision(body: bytes, limits: Limits) -> int:
    return parse_document(read_json(body, limits), limits, checked=True).revision


def _check_revision(path: Path, opened: int, new: int, limits: Limits) -> None:
    present = _revision(path.read_bytes(), limits) if path.is_file() else 0
    if present != opened:
        raise Conflict(
            f"The workflow has the revision {present} now, not {opened}: somebody else saved it",
            hint="Open it again, or save under another name.",
            details={"revision": present},
        )
    if new <= opened:
        raise BadRequest(f"The document has the revision {new}, which is not greater than {opened}", hint="Count it up when saving.")


def _own(folders: Folders, name: str) -> Path:
    if not name.endswith(".json"):
        raise BadRequest("The name of a workflow ends in .json")
    return new_file(folders.workflows, name)


def _existing(folders: Folders, name: str) -> Path:
    if not name.endswith(".json"):
        raise MissingFile(f"There is no workflow {name[:100]!r}", hint="/api/v1/workflows lists them.")
    return find(folders, "workflows", name)


def _own_existing(folders: Folders, name: str) -> Path:
    path = _own(folders, name)
    if not path.is_file():
        _existing(folders, name)
        raise Forbidden(f"{name} is a template that comes with Easel", hint="Save a copy of it.")
    return path


def _remove_empty(folders: Folders, path: Path) -> None:
    """Remove the folders that the file left empty."""
    for parent in path.parents:
        if parent == folders.workflows:
            return
        with suppress(OSError):  # something else is in it
            parent.rmdir()

"""Model files: what lies in the model folders, and what each says about itself."""

from __future__ import annotations

import asyncio
from itertools import filterfalse
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from engine.errors import EaselError, MissingFile
from engine.graph.folders import Folders
from engine.graph.model_folders import NOT_MODELS
from engine.server.files import find
from engine.server.model_details import describe
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.thumbnails import pictures_beside
from engine.server.v1.forms import Paged
from engine.server.v1.routing import Answer, Table, read_query

table = Table("models")


class ModelFolder(Answer):
    name: str = Field(description="As inputs name it, such as checkpoints or loras.")
    files: int


class ModelFolders(Answer):
    folders: list[ModelFolder]


class ModelEntry(Answer):
    name: str
    size: int
    modified: float = Field(description="Seconds since 1970.")
    preview: bool = Field(description="A picture lies beside it: /api/v1/thumbnails/{folder}/{name}.")


class ModelList(Answer):
    files: list[ModelEntry]
    total: int = Field(description="How many there are in all.")


class ModelsQuery(Paged):
    search: Annotated[str, Field(max_length=200, description="Only names that contain this, in any case.")] = ""


class Tag(Answer):
    tag: str
    count: int


class ModelDetails(ModelEntry):
    title: str
    description: str
    notes: str = Field(description="What somebody wrote about it, in the file beside it.")
    author: str
    license: str
    architecture: str
    resolution: str
    trigger_words: list[str]
    tags: list[Tag] = Field(description="Of the captions that it was trained with, the most frequent first.")
    strength: float | None = Field(description="The weight that is preferred, where a file beside it says so.")
    rank: str
    tensors: int | None
    dtypes: list[str]
    metadata: dict[str, str] = Field(description="The header's own table; long texts are cut.")
    fault: str = Field(description="Why the header cannot be read; empty if it can.")


@table.add("GET", "/models", answer=ModelFolders)
async def folders(request: web.Request) -> web.Response:
    """The kinds of models, and how many files of each there are."""
    known = server_of(request).folders
    keys = [*filterfalse(NOT_MODELS.__contains__, known.keys())]
    counts = await asyncio.to_thread(known.listing, keys)
    return json_response({"folders": [{"name": key, "files": len(counts[key])} for key in keys]})


@table.add("GET", "/models/{folder}", query=ModelsQuery, answer=ModelList)
async def files(request: web.Request) -> web.Response:
    """The files of one kind, by name."""
    query = read_query(request, ModelsQuery)
    return json_response(await asyncio.to_thread(_listed, server_of(request).folders, _folder(request), query))


@table.add("GET", "/models/{folder}/{name:.+}", answer=ModelDetails)
async def details(request: web.Request) -> web.Response:
    """What a model says about itself in its header, and the notes beside it. The file is not hashed."""
    known, folder, name = server_of(request).folders, _folder(request), request.match_info["name"]
    path = find(known, folder, name)
    answer = await asyncio.to_thread(lambda: {**_entry(known, folder, name), **describe(path)})
    return json_response(ModelDetails.model_validate(answer).model_dump())


def _listed(known: Folders, folder: str, query: ModelsQuery) -> dict[str, Any]:
    names = [name for name in known.list(folder) if query.search.casefold() in name.casefold()]
    found = []
    for name in names[query.start : query.start + query.limit]:
        try:
            found.append(_entry(known, folder, name))
        except (OSError, EaselError):
            continue  # gone since it was listed
    return {"files": found, "total": len(names)}


def _entry(known: Folders, folder: str, name: str) -> dict[str, Any]:
    path = known.resolve(folder, name)
    status = path.stat()
    return {"name": name, "size": status.st_size, "modified": status.st_mtime, "preview": bool(pictures_beside(path))}


def _folder(request: web.Request) -> str:
    folder, keys = request.match_info["folder"], server_of(request).folders.keys()
    if folder in NOT_MODELS or folder not in keys:
        raise MissingFile(f"There is no model folder {folder[:40]!r}", hint="/api/v1/models lists them.")
    return folder

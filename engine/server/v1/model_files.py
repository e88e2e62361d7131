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
from engine.server.v1.routing import Answer, Strict, Table, read_body, read_query

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


class NamedModel(Strict):
    folder: str = Field(max_length=200)
    name: str = Field(max_length=4096)


class DigestsRequest(Strict):
    files: list[NamedModel] = Field(max_length=1_000)


class ModelDigest(Answer):
    folder: str
    name: str
    sha256: str = Field(description="`sha256:` and 64 hexadecimal digits; empty for a file that no run has read yet.")


class ModelDigests(Answer):
    files: list[ModelDigest]


class FindRequest(Strict):
    """A file that is sought."""

    folder: str = Field(max_length=200)
    sha256: str = Field(pattern=r"^sha256:[0-9a-f]{10,64}$", description="The digest, or its beginning.")
    read: bool = Field(default=False, description="Have the files read whose digest is not known yet; ask again for what was found.")


class FoundModels(Answer):
    names: list[str] = Field(description="Files with this digest.")
    left: int = Field(description="How many files of the folder have a digest that is not known yet.")


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


@table.add("POST", "/models/digests", body=DigestsRequest, answer=ModelDigests)
async def digests(request: web.Request) -> web.Response:
    """The SHA-256 of model files, where it is known already: no file is read."""
    wanted, search = await read_body(request, DigestsRequest), server_of(request).models

    def told() -> dict[str, Any]:
        known = [search.known(file.folder, file.name) if file.folder not in NOT_MODELS else "" for file in wanted.files]
        return {"files": [{**vars(file), "sha256": digest} for file, digest in zip(wanted.files, known, strict=True)]}

    return json_response(await asyncio.to_thread(told))


@table.add("POST", "/models/find", body=FindRequest, answer=FoundModels)
async def find_by_digest(request: web.Request) -> web.Response:
    """The files of a folder with a SHA-256, whatever they are called."""
    wanted, server = await read_body(request, FindRequest), server_of(request)
    folder = _model_folder(server.folders, wanted.folder)
    names, left = await asyncio.to_thread(lambda: server.models.find(folder, wanted.sha256, read=wanted.read))
    return json_response({"names": names, "left": left})


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
    return _model_folder(server_of(request).folders, request.match_info["folder"])


def _model_folder(known: Folders, folder: str) -> str:
    keys = known.keys()
    if folder in NOT_MODELS or folder not in keys:
        raise MissingFile(f"There is no model folder {folder[:40]!r}", hint="/api/v1/models lists them.")
    return folder

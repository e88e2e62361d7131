"""`/object_info`, `/embeddings` and the model folders."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from engine.comfy.protocol.object_info import object_info, one_object_info
from engine.diffusion.weights_file import read_header
from engine.errors import EaselError
from engine.graph.catalogue import Catalogue
from engine.graph.folders import Folders
from engine.graph.model_folders import NOT_MODELS
from engine.graph.wire import dump_json
from engine.server.responses import json_response, tagged_json
from engine.server.state import server_of

routes = web.RouteTableDef()


@routes.get("/object_info")
async def all_nodes(request: web.Request) -> web.Response:
    """Every class; ETags work."""
    server = server_of(request)
    return tagged_json(request, *await server.catalogue_texts.of(await server.catalogue.current(), _object_info))


def _object_info(catalogue: Catalogue) -> bytes:
    return dump_json(object_info(catalogue))


@routes.get("/object_info/{class_type}")
async def one_node(request: web.Request) -> web.Response:
    catalogue = await server_of(request).catalogue.current()
    return json_response(one_object_info(catalogue, request.match_info["class_type"]))


@routes.get("/embeddings")
async def embeddings(request: web.Request) -> web.Response:
    names = await asyncio.to_thread(server_of(request).folders.list, "embeddings")
    return json_response([name.rpartition(".")[0] for name in names])


@routes.get("/models")
async def model_folders(request: web.Request) -> web.Response:
    return json_response([key for key in _keys(request) if key not in NOT_MODELS or key == "configs"])


@routes.get("/models/{folder}")
async def models(request: web.Request) -> web.Response:
    folders, key = server_of(request).folders, request.match_info["folder"]
    if key not in _keys(request) or key in NOT_MODELS - {"configs"}:
        return web.Response(status=404)
    return json_response(await asyncio.to_thread(folders.list, key))


@routes.get("/experiment/models")
async def model_folder_paths(request: web.Request) -> web.Response:
    """Without their paths: where things lie on this machine is nobody's business."""
    return json_response([{"name": key, "folders": []} for key in _keys(request) if key not in NOT_MODELS])


@routes.get("/experiment/models/{folder}")
async def model_files(request: web.Request) -> web.Response:
    folders, key = server_of(request).folders, request.match_info["folder"]
    if key not in _keys(request) or key in NOT_MODELS:
        return web.Response(status=404)
    return json_response(await asyncio.to_thread(_model_files, folders, key))


def _model_files(folders: Folders, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in folders.list(key):
        try:
            status = folders.resolve(key, name).stat()
        except (OSError, EaselError):
            continue  # gone since it was listed
        found.append({"name": name, "pathIndex": 0, "modified": status.st_mtime, "created": status.st_ctime, "size": status.st_size})
    return found


@routes.get("/view_metadata/{folder}")
async def model_metadata(request: web.Request) -> web.Response:
    """The `__metadata__` of a safetensors file; every failure is an empty 404."""
    name = request.query.get("filename", "")
    try:
        path = server_of(request).folders.resolve(request.match_info["folder"], name)
        return json_response((await asyncio.to_thread(read_header, path)).metadata)
    except (OSError, EaselError):
        return web.Response(status=404)


def _keys(request: web.Request) -> tuple[str, ...]:
    return server_of(request).folders.keys()

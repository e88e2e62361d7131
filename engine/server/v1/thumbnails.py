"""Small pictures of files, models, workflows and the pictures of datasets."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from pathlib import Path
from typing import Annotated

from aiohttp import web
from pydantic import Field

from engine.diffusion.weights_file import read_header
from engine.errors import EaselError, MissingFile
from engine.graph.folders import Folders
from engine.graph.paths import inside, parts_of
from engine.server.files import find
from engine.server.responses import SANDBOX, not_modified
from engine.server.state import server_of
from engine.server.thumbnails import MEDIA, picture_beside, small
from engine.server.v1.routing import Query, Table, read_query

table = Table("thumbnails")

OWN_PICTURES = frozenset({"input", "output", "temp"})
LONGEST_EMBEDDED = 4 * 2**20
"""Characters of a picture inside a model's header."""


class ThumbnailQuery(Query):
    size: Annotated[int, Field(ge=16, le=1024, description="Longest side in pixels.")] = 256


@table.add("GET", "/thumbnails/{root}/{name:.+}", query=ThumbnailQuery, media=MEDIA)
async def thumbnail(request: web.Request) -> web.Response:
    """A small picture of a file of input, output or temp, or of `DATASET/PICTURE` in datasets; for a model or a workflow, of the picture
    beside it or in its header. ETags work.
    """
    server = server_of(request)
    root, name = request.match_info["root"], request.match_info["name"]
    size = read_query(request, ThumbnailQuery).size
    path = await asyncio.to_thread(_picture, server.folders, root, name)
    if path is None:
        data = await asyncio.to_thread(_embedded, find(server.folders, root, name), size, server.settings.max_pixels)
        return web.Response(body=data, content_type=MEDIA)
    data, tag = await server.thumbnails.of(path, size)
    response = web.Response(body=data, content_type=MEDIA, headers={"Cache-Control": "no-cache", "Content-Security-Policy": SANDBOX})
    response.etag = tag
    if not_modified(request, tag):
        response.set_status(304)
        response.body = b""
    return response


def _picture(folders: Folders, root: str, name: str) -> Path | None:
    if root in OWN_PICTURES:
        return find(folders, root, name)
    if root == "datasets":
        dataset, *rest = parts_of(name)
        if not rest:
            raise MissingFile(f"{name[:100]!r} is a dataset, not a picture")
        path = inside(find(folders, root, dataset), "/".join(rest))
        if not path.is_file():
            raise MissingFile(f"There is no picture {name[:100]!r} in datasets")
        return path
    return picture_beside(folders, root, name)


def _embedded(path: Path, size: int, max_pixels: int) -> bytes:
    """The picture that a model's header holds as a data URL (`modelspec.thumbnail`)."""
    missing = MissingFile(f"{path.name} has no picture", hint="Put one of its name beside it, such as NAME.png.")
    try:
        text = read_header(path).metadata.get("modelspec.thumbnail", "")
    except EaselError as error:
        raise missing from error
    head, comma, encoded = text.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64") and comma) or len(encoded) > LONGEST_EMBEDDED:
        raise missing
    try:
        return small(io.BytesIO(base64.b64decode(encoded, validate=True)), size, max_pixels)
    except binascii.Error as error:
        raise missing from error

"""`/view` and the uploads."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from engine.errors import BadRequest, Forbidden, MissingFile, UnsafePath
from engine.graph.folders import Folders
from engine.graph.paths import parts_of
from engine.server import pictures
from engine.server.files import Incoming, disposition, file_response, find, new_file
from engine.server.responses import SANDBOX, json_response
from engine.server.state import server_of

routes = web.RouteTableDef()

ROOTS = ("output", "input", "temp")
LONGEST_FIELD = 10_000
MOST_PARTS = 1_000


@routes.get("/view")
async def view(request: web.Request) -> web.StreamResponse:
    """A file of input, output or temp; as a picture also smaller, in another format, or some of its channels."""
    server = server_of(request)
    query = request.query
    path = _viewed(server.folders, query.get("filename"), query.get("type", "output"), query.get("subfolder", ""))
    channel, most = query.get("channel", "rgba"), server.settings.max_pixels
    if "preview" in query:
        data, kind = await asyncio.to_thread(pictures.preview, path, query["preview"], channel, most)
    elif channel == "rgb":
        data, kind = await asyncio.to_thread(pictures.color_only, path, most), "image/png"
    elif channel == "a":
        data, kind = await asyncio.to_thread(pictures.alpha_only, path, most), "image/png"
    else:
        return file_response(path)
    headers = {"Content-Disposition": disposition(path.name, inline=True), "Content-Security-Policy": SANDBOX}
    return web.Response(body=data, content_type=kind, headers=headers)


@routes.post("/upload/image")
async def upload_image(request: web.Request) -> web.Response:
    """Store a file; a different file of the same name is kept, and the new one gets another name, unless `overwrite` is given."""
    fields, incoming = await _read_form(request)
    try:
        path, root = _target(server_of(request).folders, fields)
        placed = await asyncio.to_thread(incoming.place, path, overwrite=fields.get("overwrite") in ("true", "1"))
    finally:
        incoming.discard()
    return _stored(server_of(request).folders, root, placed)


@routes.post("/upload/mask")
async def upload_mask(request: web.Request) -> web.Response:
    """Store an existing picture with the alpha of the uploaded one. Refused when the picture is not there."""
    server = server_of(request)
    fields, incoming = await _read_form(request)
    try:
        reference = _reference(fields.get("original_ref", ""))
        original = _viewed(server.folders, reference.get("filename"), reference.get("type", "output"), reference.get("subfolder", ""))
        path, root = _target(server.folders, fields)
        data = await asyncio.to_thread(pictures.with_mask, original, incoming.content(), server.settings.max_pixels)
        masked = Incoming(path.parent, len(data))
        try:
            masked.write(data)
            placed = await asyncio.to_thread(masked.place, path, overwrite=fields.get("overwrite") in ("true", "1"))
        finally:
            masked.discard()
    finally:
        incoming.discard()
    return _stored(server.folders, root, placed)


def _viewed(folders: Folders, filename: Any, root: Any, subfolder: Any) -> Path:
    if not isinstance(filename, str) or not isinstance(subfolder, str):
        raise MissingFile("No file name was given", hint="Add filename=NAME.")
    for marked in ROOTS:
        if filename.endswith(f" [{marked}]"):
            filename, root = filename.removesuffix(f" [{marked}]"), marked
    if root not in ROOTS:
        raise BadRequest(f"type is {str(root)[:40]!r}", hint="It is one of output, input, temp.")
    if not filename:
        raise BadRequest("The file name is empty")
    if not subfolder.strip("/"):
        return find(folders, root, filename)
    try:
        parts_of(subfolder.strip("/"))
    except UnsafePath as error:
        raise Forbidden(error.message, hint=error.hint) from error
    return find(folders, root, f"{subfolder.strip('/')}/{filename}")


async def _read_form(request: web.Request) -> tuple[dict[str, str], Incoming]:
    """The fields of the form and its file; the file's name becomes the field `filename`."""
    server = server_of(request)
    if not request.content_type.startswith("multipart/"):
        raise BadRequest("The body is no multipart form", hint="Send the file as the part `image` of multipart/form-data.")
    fields: dict[str, str] = {}
    incoming: Incoming | None = None
    try:
        parts = 0
        async for part in await request.multipart():
            parts += 1
            if parts > MOST_PARTS:
                raise BadRequest(f"The form has more than {MOST_PARTS} parts", hint="Send the file and the fields that belong to it.")
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            if part.name == "image" and part.filename and incoming is None:
                fields["filename"] = part.filename
                incoming = Incoming(server.folders.temp, int(server.settings.max_body))
                await incoming.read(part)
            else:
                fields[part.name] = (await part.read_chunk(LONGEST_FIELD)).decode("utf-8", "replace")
    except ValueError as error:
        _discard(incoming)
        raise BadRequest(f"The form cannot be read: {error}") from error
    except BaseException:
        _discard(incoming)
        raise
    if incoming is None:
        raise BadRequest("The form has no file", hint="Send it as the part `image`, with a file name.")
    return fields, incoming


def _discard(incoming: Incoming | None) -> None:
    if incoming is not None:
        incoming.discard()


def _target(folders: Folders, fields: dict[str, str]) -> tuple[Path, str]:
    root = fields.get("type") or "input"
    if root not in ROOTS:
        raise BadRequest(f"type is {root[:40]!r}", hint="It is one of input, temp, output.")
    name = parts_of(fields["filename"])[-1]
    subfolder = fields.get("subfolder", "").strip("/")
    try:
        return new_file(folders.directories(root)[0], f"{subfolder}/{name}" if subfolder else name), root
    except UnsafePath as error:
        raise BadRequest(error.message, hint=error.hint) from error


def _reference(text: str) -> dict[str, Any]:
    try:
        reference = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest("original_ref is not JSON", hint='Send {"filename": ..., "subfolder": ..., "type": ...}.') from error
    if not isinstance(reference, dict):
        raise BadRequest("original_ref is not an object")
    return reference


def _stored(folders: Folders, root: str, path: Path) -> web.Response:
    record = folders.record(root, path)
    return json_response({"name": record["filename"], "subfolder": record["subfolder"], "type": root})

"""Opening files from elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from engine.errors import BadRequest
from engine.server.files import find
from engine.server.imports import FOLDERS, Importer
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.routing import Answer, Query, Table, read_query

table = Table("import")


class ImportQuery(Query):
    root: Annotated[Literal["input", "output", "temp"] | None, Field(description="Read a file of this folder, instead of the body.")] = None
    name: Annotated[str, Field(max_length=4096, description="The name of that file.")] = ""


class ImportProblem(Answer):
    code: str
    message: str
    node_id: str | None
    input: str | None
    hint: str
    details: dict[str, Any]


class ImportAnswer(Answer):
    source: Literal["easel/1", "api", "ui", "parameters", ""] = Field(
        description="What was read: Easel's format, ComfyUI's API format, ComfyUI's editor, AUTOMATIC1111's text, or nothing that is known."
    )
    workflow: dict[str, Any] | None = Field(description="In the format easel/1; null when it cannot be read, and `problems` say why.")
    problems: list[ImportProblem] = Field(description="With a workflow: what keeps it from running here, such as nodes that are missing.")
    notes: list[str] = Field(description="What a person should know: what was not taken over from AUTOMATIC1111's text, for example.")
    parameters: str = Field(description="AUTOMATIC1111's text, where there is one.")


@table.add("POST", "/import", query=ImportQuery, answer=ImportAnswer, raw_body=True)
async def read(request: web.Request) -> web.Response:
    """The workflow that a JSON document, a picture or AUTOMATIC1111's text holds: the body, or a file of this server. Nothing of it is
    run or kept.
    """
    server, query = server_of(request), read_query(request, ImportQuery)
    if query.root is not None:
        path = find(server.folders, query.root, query.name)
        if path.stat().st_size > server.settings.max_body:
            raise BadRequest(f"{path.name} is larger than {int(server.settings.max_body)} bytes")
        data = await asyncio.to_thread(path.read_bytes)
    else:
        data = await request.read()
    catalogue = await server.catalogue.current()

    def imported() -> web.Response:
        found = Importer(catalogue, server.folders.listing(FOLDERS), server.limits, server.settings.max_pixels).read(data)
        return json_response({**vars(found), "problems": [problem.to_json() for problem in found.problems]})

    return await asyncio.to_thread(imported)

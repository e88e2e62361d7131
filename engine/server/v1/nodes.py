"""The nodes that workflows may use."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from aiohttp import web

from engine.errors import MissingNode
from engine.graph.catalogue import Catalogue
from engine.graph.wire import dump_json
from engine.server.responses import compress_for_others, json_response
from engine.server.state import server_of
from engine.server.v1.routing import Query, Table, read_query

table = Table("nodes")

SERVERS_OWN = {"help", "version", "code_version", "module", "lane", "cache", "grad", "fingerprinted", "migrations"}
"""What an editor need not know of a node to draw it; helps it asks for when a person wants to read one."""
BRIEF: Any = {
    "nodes": {"__all__": {**dict.fromkeys(SERVERS_OWN, True), "inputs": {"__all__": {"help", "pattern"}}, "outputs": {"__all__": {"help"}}}}
}


class Part(Query):
    part: Literal["all", "brief", "help"] = "all"


@table.add("GET", "/nodes", query=Part)
async def nodes(request: web.Request) -> web.Response:
    """Every node by its canonical id, the files that inputs offer, and the packs that did not load.

    `part=brief`: without helps, what only the server reads, and every value that is its default. `part=help`: the helps alone.
    """
    part = read_query(request, Part).part
    catalogue = await server_of(request).catalogue.current()
    if part == "help":
        body = dump_json(_helps(catalogue))
    elif part == "brief":
        body = catalogue.model_dump_json(exclude_defaults=True, exclude=BRIEF).encode()
    else:
        body = catalogue.model_dump_json().encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)
    compress_for_others(request, response)
    return response


def _helps(catalogue: Catalogue) -> dict[str, Any]:
    """By node: its own help, those of its inputs by name, and those of its outputs in order."""
    return {
        "nodes": {
            id: {
                "help": info.help,
                "module": info.module,
                "inputs": {item.name: item.help for item in info.inputs if item.help},
                "outputs": [item.help for item in info.outputs],
            }
            for id, info in catalogue.nodes.items()
        }
    }


@table.add("GET", "/nodes/{id}")
async def node(request: web.Request) -> web.Response:
    """One node, by its canonical id or another that it answers to."""
    catalogue = await server_of(request).catalogue.current()
    found = catalogue.find(request.match_info["id"])
    if found is None:
        raise MissingNode(f"There is no node {request.match_info['id'][:100]!r}", hint="/api/v1/nodes lists those that are installed.")
    return json_response(found[0].model_dump(mode="json"))

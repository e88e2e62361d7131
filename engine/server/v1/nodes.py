"""The nodes that workflows may use."""

from __future__ import annotations

from aiohttp import web

from engine.errors import MissingNode
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.routing import Table

table = Table("nodes")


@table.add("GET", "/nodes")
async def nodes(request: web.Request) -> web.Response:
    """Every node by its canonical id, the files that inputs offer, and the packs that did not load."""
    catalogue = await server_of(request).catalogue.current()
    return web.Response(body=catalogue.model_dump_json().encode(), content_type="application/json", charset="utf-8")


@table.add("GET", "/nodes/{id}")
async def node(request: web.Request) -> web.Response:
    """One node, by its canonical id or another that it answers to."""
    catalogue = await server_of(request).catalogue.current()
    found = catalogue.find(request.match_info["id"])
    if found is None:
        raise MissingNode(f"There is no node {request.match_info['id'][:100]!r}", hint="/api/v1/nodes lists those that are installed.")
    return json_response(found[0].model_dump(mode="json"))

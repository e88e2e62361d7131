"""The nodes that workflows may use, and the version of everything."""

from __future__ import annotations

import sys

from aiohttp import web

import engine
from engine.errors import MissingNode
from engine.server.comfy.system import package_version
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.models import Version
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


@table.add("GET", "/version", answer=Version)
async def version(request: web.Request) -> web.Response:
    """What runs here."""
    supervisor = server_of(request).supervisor
    answer = Version(
        easel=engine.__version__,
        api=1,
        python=sys.version.split()[0],
        torch=package_version("torch"),
        worker="ready" if supervisor.ready else "starting",
        device=supervisor.stats.get("device") or supervisor.hello.get("device"),
    )
    return json_response(answer.model_dump())

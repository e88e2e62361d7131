"""Workflows that older versions of their nodes wrote."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from pydantic import Field

from engine.graph.strict_json import read_json
from engine.graph.upgrades import Upgrade, upgrades
from engine.graph.workflow import write_value
from engine.graph.workflow_reader import parse_document
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.routing import Answer, Table

table = Table("upgrades")


class InputChange(Answer):
    saved: str | None = Field(description="The name of the input in the file; null for one that is new.")
    name: str = Field(description="Its name now.")
    old: Any = Field(description="Its value in the file.")
    new: Any = Field(description="Its value now.")


class NodeUpgrade(Answer):
    subgraph: str | None = Field(description="The definition that the node stands in; null for the workflow itself.")
    node_id: str
    class_type: str
    saved: str = Field(description="The version of the node that the file was written with.")
    version: str = Field(description="Its version here.")
    changes: list[InputChange]


class Upgrades(Answer):
    upgrades: list[NodeUpgrade]


@table.add("POST", "/upgrades", answer=Upgrades, raw_body=True)
async def look(request: web.Request) -> web.Response:
    """What newer versions of its nodes make of a workflow (the body, easel/1). A run does the same by itself; nothing is kept."""
    server, body = server_of(request), await request.read()
    catalogue = await server.catalogue.current()

    def found() -> web.Response:
        workflow = parse_document(read_json(body, server.limits, nan=True), server.limits, checked=True)
        return json_response({"upgrades": [_told(upgrade) for upgrade in upgrades(workflow, catalogue)]})

    return await asyncio.to_thread(found)


def _told(upgrade: Upgrade) -> dict[str, Any]:
    changes = [
        {"saved": change.saved, "name": change.name, "old": write_value(change.old), "new": write_value(change.new)}
        for change in upgrade.changes
    ]
    named = {name: getattr(upgrade, name) for name in ("subgraph", "node_id", "class_type", "saved", "version")}
    return {**named, "changes": changes}

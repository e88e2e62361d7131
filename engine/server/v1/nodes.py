"""The nodes that workflows may use."""

from __future__ import annotations

import json
from typing import Any, Literal

from aiohttp import web

from engine.errors import MissingNode
from engine.graph.catalogue import Catalogue
from engine.graph.wire import dump_json
from engine.server.responses import json_response, tagged_json
from engine.server.state import server_of
from engine.server.v1.routing import Query, Table, read_query

table = Table("nodes")

SERVERS_OWN = {"id", "help", "code_version", "module", "lane", "cache", "grad", "fingerprinted", "migrations"}
"""What an editor need not know of a node to draw it; helps it asks for when a person wants to read one."""
BRIEF: Any = {
    "nodes": {"__all__": {**dict.fromkeys(SERVERS_OWN, True), "inputs": {"__all__": {"help", "pattern"}}, "outputs": {"__all__": {"help"}}}}
}


class Part(Query):
    part: Literal["all", "brief", "help"] = "all"


@table.add("GET", "/nodes", query=Part)
async def nodes(request: web.Request) -> web.Response:
    """Every node by its canonical id, the files that inputs offer, and the packs that did not load.

    `part=help`: the helps alone. `part=brief`: without these, what only the server reads, and every value that is its default; a node names
    its inputs and outputs by their places in the lists `inputs` and `outputs`, since many nodes have the same.
    """
    server, part = server_of(request), read_query(request, Part).part
    return tagged_json(request, *await server.catalogue_texts.of(await server.catalogue.current(), PARTS[part]))


def _all(catalogue: Catalogue) -> bytes:
    return catalogue.model_dump_json().encode()


def _brief(catalogue: Catalogue) -> bytes:
    nodes = catalogue.model_dump(mode="json", include={"nodes"}, exclude_defaults=True, exclude=BRIEF).get("nodes", {})
    shared: dict[str, dict[bytes, int]] = {"inputs": {}, "outputs": {}}
    for id, info in nodes.items():
        if info.pop("display_name") != id:
            info["display_name"] = catalogue.nodes[id].display_name
        for item in info.get("inputs", ()):
            if "default" in item:
                del item["has_default"]
        for kind, places in shared.items():
            if kind in info:
                info[kind] = [places.setdefault(dump_json(item), len(places)) for item in info[kind]]
    lists = {kind: [json.loads(item) for item in places] for kind, places in shared.items()}
    return dump_json({"nodes": nodes, **lists, "files": catalogue.files})


def _helps(catalogue: Catalogue) -> bytes:
    """By node: its own help, those of its inputs by name, and those of its outputs in order."""
    helps = {
        id: {
            "help": info.help,
            "module": info.module,
            "inputs": {item.name: item.help for item in info.inputs if item.help},
            "outputs": [item.help for item in info.outputs],
        }
        for id, info in catalogue.nodes.items()
    }
    return dump_json({"nodes": helps})


PARTS = {"all": _all, "brief": _brief, "help": _helps}


@table.add("GET", "/nodes/{id}")
async def node(request: web.Request) -> web.Response:
    """One node, by its canonical id or another that it answers to."""
    catalogue = await server_of(request).catalogue.current()
    found = catalogue.find(request.match_info["id"])
    if found is None:
        raise MissingNode(f"There is no node {request.match_info['id'][:100]!r}", hint="/api/v1/nodes lists those that are installed.")
    return json_response(found[0].model_dump(mode="json"))

"""Single parts of a workflow as ComfyUI's editor saves them; what is of another form than these should be counts as not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

TEXT_NODES = frozenset({"Note", "MarkdownNote"})
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
INPUTS, OUTPUTS = "-10", "-20"
"""Ids of what stands inside a subgraph for its inputs and its outputs."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def definitions(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All subgraphs of a document by their ids, those used inside others too."""
    block = document.get("definitions")
    given = listed(block.get("subgraphs")) if isinstance(block, dict) else []
    return {str(raw["id"]): raw for raw in given if isinstance(raw, dict) and isinstance(raw.get("id"), int | str)}


def own_names(slots: Iterable[Any]) -> list[str]:
    """A name of its own for each: image, image_2."""
    found: dict[str, int] = {}
    for slot in slots:
        given = slot.get("name") if isinstance(slot, dict) else None
        wanted = given.strip()[:200] if isinstance(given, str) and given.strip() else "value"
        name = wanted
        while name in found:
            found[wanted] += 1
            name = f"{wanted}_{found[wanted]}"
        found[name] = 1
    return list(found)


def links_of(graph: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, int], tuple[str, int]]]:
    """Id of each link, the node and output where it begins, the node and input where it ends."""
    for link in listed(graph.get("links")):
        if isinstance(link, dict):
            link = [link.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
        if isinstance(link, list) and len(link) >= 3:
            begin, end = _number(link[2]), _number(link[4]) if len(link) >= 5 else None
            if begin is not None:
                yield str(link[0]), (str(link[1]), begin), (str(link[3]) if end is not None else "", end or 0)


def reroutes_of(graph: Mapping[str, Any]) -> tuple[dict[str, tuple[str, list[int]]], dict[str, str]]:
    """Id of each reroute -> the one before it and where it is; id of each link -> its last reroute."""
    extra = graph.get("extra")
    given = listed(graph.get("reroutes")) or (listed(extra.get("reroutes")) if isinstance(extra, dict) else [])
    known: dict[str, tuple[str, list[int]]] = {}
    for raw in given:
        point = whole_numbers(raw.get("pos"), 2) if isinstance(raw, dict) else None
        if point is not None:
            known[str(raw.get("id"))] = (str(raw.get("parentId")), point)
    ends = [*listed(graph.get("links")), *(listed(extra.get("linkExtensions")) if isinstance(extra, dict) else [])]
    return known, {str(end.get("id")): str(end["parentId"]) for end in ends if isinstance(end, dict) and end.get("parentId") is not None}


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 9 else None


def place_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """Where a node stands and how it is shown, as the layout keeps it. Pixels of the canvas."""
    found: dict[str, Any] = {}
    for key in ("pos", "size"):
        numbers = whole_numbers(node.get(key), 2)
        if numbers is not None:
            found[key] = numbers
    flags = node.get("flags")
    if isinstance(flags, dict) and flags.get("collapsed"):
        found["collapsed"] = True
    if isinstance(node.get("color"), str):
        found["color"] = node["color"]
    return found


def whole_numbers(value: Any, count: int) -> list[int] | None:
    """A list of so many whole numbers; old files have an object with "0", "1", ... in its place."""
    if isinstance(value, dict):
        value = [value.get(str(number)) for number in range(count)]
    if not isinstance(value, list) or len(value) < count:
        return None
    numbers = value[:count]
    if not all(isinstance(number, int | float) and abs(number) < 1e9 for number in numbers):
        return None
    return [round(number) for number in numbers]


def listed(value: Any) -> list[Any]:
    """A list as it is; nothing for what is none."""
    return value if isinstance(value, list) else []


def models_of(document: Mapping[str, Any], graphs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`folder/name` -> `sha256:...` of the model files whose hash the document, or a node of one of its graphs, tells."""
    nodes = (node for graph in graphs for node in listed(graph.get("nodes")) if isinstance(node, dict))
    told = [*listed(document.get("models"))]
    for node in nodes:
        properties = node.get("properties")
        told.extend(listed(properties.get("models")) if isinstance(properties, dict) else [])
    found: dict[str, str] = {}
    for model in told:
        named = model if isinstance(model, dict) else {}
        directory, name, digest, kind = (str(named.get(key)) for key in ("directory", "name", "hash", "hash_type"))
        if (
            kind.lower() == "sha256"
            and _SHA256.fullmatch(digest.lower())
            and isinstance(named.get("name"), str)
            and isinstance(named.get("directory"), str)
        ):
            found[f"{directory}/{name}"] = f"sha256:{digest.lower()}"
    return found

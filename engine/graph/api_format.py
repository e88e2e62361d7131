"""ComfyUI's API format, written from a flat graph: what pictures carry as `prompt`, and what history shows."""

from __future__ import annotations

from typing import Any, Literal

from engine.graph.catalogue import AliasInfo, Catalogue
from engine.graph.graph import Graph, Node
from engine.graph.workflow import write_value

Names = Literal["comfy", "submitted", "canonical"]


def api_prompt(graph: Graph, catalogue: Catalogue, names: Names = "comfy") -> dict[str, Any]:
    """The graph as `{id: {"class_type", "inputs", "_meta"}}`; nodes that a run-time expansion made are left out.

    names: "submitted" keeps each id as the client wrote it, "canonical" writes Easel's, "comfy" keeps an alias that the client wrote
    and else writes the node's first alias, where it has one.
    """
    aliases: dict[tuple[str, str], AliasInfo | None] = {}
    prompt: dict[str, Any] = {}
    for node in graph.nodes.values():
        if node.parent is not None:
            continue
        key = (node.type, node.submitted_type)
        if key not in aliases:
            aliases[key] = _alias(node, catalogue, names)
        prompt[node.id] = _entry(node, aliases[key], names)
    return prompt


def _alias(node: Node, catalogue: Catalogue, names: Names) -> AliasInfo | None:
    info = catalogue.nodes.get(node.type)
    if info is None or names == "canonical":
        return None
    written = next((alias for alias in info.aliases if alias.id == node.submitted_type), None)
    if written is None and names == "comfy" and info.aliases:
        return info.aliases[0]
    return written


def _entry(node: Node, alias: AliasInfo | None, names: Names) -> dict[str, Any]:
    shown = {canonical: name for name, canonical in alias.inputs.items()} if alias is not None else {}
    inputs = {shown.get(name, name): write_value(value) for name, value in node.inputs.items()}
    inputs.update({name: write_value(value) for name, value in (node.undeclared or {}).items()})
    class_type = alias.id if alias is not None else node.type
    entry: dict[str, Any] = {"class_type": class_type, "inputs": inputs}
    title = node.meta.get("title")
    if isinstance(title, str):
        entry["_meta"] = {"title": title}
    return entry

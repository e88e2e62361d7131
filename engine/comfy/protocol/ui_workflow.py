"""Workflows as ComfyUI's editor saves them (schema 0.4, and 1 for the links): values by position, links in a list of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.comfy.protocol.object_info import WIDGET_TYPES, class_info
from engine.errors import InvalidWorkflow, Problem
from engine.graph.catalogue import Catalogue
from engine.graph.graph import Link
from engine.graph.limits import Limits
from engine.graph.workflow import Entry, Workflow

MODES = {2: "mute", 4: "bypass"}
TEXT_NODES = frozenset({"Note", "MarkdownNote"})
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
SEED_NAMES = frozenset({"seed", "noise_seed"})
BUTTONS = (None, "image", "refresh")
"""What the buttons of a node leave among its values."""
CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize"})
RENAMED = {"T2IAdapterLoader": "ControlNetLoader", "ConditioningAverage ": "ConditioningAverage"}


def is_ui_workflow(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def read_ui_workflow(document: Mapping[str, Any], catalogue: Catalogue, limits: Limits) -> tuple[Workflow, list[str]]:
    """The workflow, and what a person should know about it. Nodes that are not installed stay, with their values.

    Raises InvalidWorkflow for a document that is damaged, or that has subgraphs or group nodes: these are not read yet.
    """
    reader = _Reader(document, catalogue, limits)
    return reader.workflow(), reader.notes


class _Reader:
    def __init__(self, document: Mapping[str, Any], catalogue: Catalogue, limits: Limits) -> None:
        self.document = document
        self.catalogue = catalogue
        self.notes: list[str] = []
        self.nodes = self._nodes(limits)
        self.links = dict(self._links())
        self.origins: dict[str, Any] = {}

    def workflow(self) -> Workflow:
        nodes: dict[str, Entry] = {}
        places: dict[str, Any] = {}
        texts: list[dict[str, Any]] = []
        for name, node in self.nodes.items():
            if node["type"] in TEXT_NODES:
                texts.append({"text": str(next(iter(_listed(node.get("widgets_values"))), "")), **_place(node)})
            elif node["type"] not in (REROUTE, PRIMITIVE):
                nodes[name] = self._entry(node)
                places[name] = _place(node)
        layout = {"nodes": places, "links": {}, "groups": list(self._groups()), "notes": texts, "view": {}}
        return Workflow(nodes, layout=layout, source="ui")

    def _nodes(self, limits: Limits) -> dict[str, dict[str, Any]]:
        listed = self.document["nodes"]
        if len(listed) > limits.nodes:
            raise _refused("too_many_nodes", f"The workflow has more than {limits.nodes} nodes.", "Split it.")
        found: dict[str, dict[str, Any]] = {}
        for node in listed:
            if not isinstance(node, dict) or not isinstance(node.get("type"), str) or not isinstance(node.get("id"), int | str):
                raise _refused("invalid_node", "A node of the workflow has no type or no id.", "Save the file again in ComfyUI.")
            found[str(node["id"])] = node
        definitions = self.document.get("definitions")
        subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        known = {str(entry.get("id")) for entry in _listed(subgraphs) if isinstance(entry, dict)}
        nested = [node for node in found.values() if node["type"] in known or node["type"].startswith(("workflow>", "workflow/"))]
        if nested:
            names = ", ".join(sorted({str(node.get("title") or node["type"])[:60] for node in nested}))
            hint = "In ComfyUI unpack them, or choose Export (API) and open that file."
            raise _refused("ui_subgraph", f"The workflow has subgraphs or group nodes, which cannot be read yet: {names}.", hint)
        return found

    def _links(self) -> Iterator[tuple[str, tuple[str, int]]]:
        """Id of each link -> (node, output) where it begins."""
        for link in _listed(self.document.get("links")):
            if isinstance(link, dict):
                link = [link.get(key) for key in ("id", "origin_id", "origin_slot")]
            if isinstance(link, list) and len(link) >= 3:
                slot = str(link[2])
                if slot.isdecimal() and len(slot) < 9:
                    yield str(link[0]), (str(link[1]), int(slot))

    def _entry(self, node: Mapping[str, Any]) -> Entry:
        class_type = RENAMED.get(node["type"], node["type"])
        meta: dict[str, Any] = {}
        if isinstance(node.get("title"), str):
            meta["title"] = node["title"]
        mode = node.get("mode")
        if isinstance(mode, int) and mode in MODES:
            meta["mode"] = MODES[mode]
        inputs = self._values(class_type, node, meta)
        for slot in _listed(node.get("inputs")):
            if isinstance(slot, dict) and slot.get("link") is not None and isinstance(slot.get("name"), str):
                value = self._origin(str(slot["link"]))
                if value is not None:
                    inputs[slot["name"]] = value
        return Entry(class_type, inputs, meta)

    def _values(self, class_type: str, node: Mapping[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
        """The values of the widgets by name. Of a class that is not installed, values without names stay in `_meta.widgets_values`."""
        named = node.get("widgets_values_named", node.get("widgets_values"))
        if isinstance(named, dict):
            return {name: value for name, value in named.items() if value is not None}
        values = _listed(node.get("widgets_values"))
        found = self.catalogue.find(class_type)
        if found is None:
            if values:
                meta["widgets_values"] = values
            return {}
        inputs: dict[str, Any] = {}
        place = 0
        for name, companions in _widgets(class_info(*found, self.catalogue)):
            if place >= len(values):
                self.notes.append(f"Node {node['id']} ({class_type[:60]}) has no value for {name}; the default takes its place.")
                break
            if values[place] is not None:
                inputs[name] = values[place]
            control = values[place + 1] if companions and place + 1 < len(values) else None
            if isinstance(control, str) and control in CONTROLS:
                meta.setdefault("seed_policy", {})[name] = control
            place += 1 + companions
        surplus = [value for value in values[place:] if value not in BUTTONS]
        if surplus:
            count = f"{len(surplus)} value{'s' if len(surplus) > 1 else ''} more"
            self.notes.append(f"Node {node['id']} ({class_type[:60]}) has {count} than the node here takes; check what it was given.")
        return inputs

    def _origin(self, link: str) -> Any:
        """What a link carries: a Link to the node behind reroutes, the value of a primitive, or None for nothing.

        Each link is followed once, so that many inputs behind a long chain of reroutes take linear time.
        """
        passed: list[str] = []
        while link not in self.origins:
            self.origins[link] = None  # a ring carries nothing
            passed.append(link)
            name, slot = self.links.get(link, ("", 0))
            node = self.nodes.get(name)
            if node is None or node["type"] != REROUTE:
                self.origins[link] = _carried(node, name, slot)
                break
            inputs = _listed(node.get("inputs"))
            link = str(inputs[0].get("link")) if inputs and isinstance(inputs[0], dict) else ""
        found = self.origins[link]
        self.origins.update(dict.fromkeys(passed, found))
        return found

    def _groups(self) -> Iterator[dict[str, Any]]:
        for group in _listed(self.document.get("groups")):
            bounds = _numbers(group.get("bounding"), 4) if isinstance(group, dict) else None
            if bounds is not None:
                yield {"title": str(group.get("title") or "Group"), "pos": bounds[:2], "size": bounds[2:], "color": group.get("color")}


def _carried(node: Mapping[str, Any] | None, name: str, slot: int) -> Any:
    if node is None or node["type"] in TEXT_NODES:
        return None
    if node["type"] == PRIMITIVE:
        return next(iter(_listed(node.get("widgets_values"))), None)
    return Link(name, slot)


def _widgets(info: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Each widget of a class in the order of the saved values, and how many values of companions follow its own."""
    for section in info["input"].values():
        for name, (kind, options) in section.items():
            if options.get("forceInput") or not (isinstance(kind, list) or kind in WIDGET_TYPES):
                continue
            controlled = bool(options.get("control_after_generate"))
            if isinstance(kind, list):
                yield name, 2 * controlled
            else:
                yield name, int(kind == "INT" and (controlled or name in SEED_NAMES))


def _place(node: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("pos", "size"):
        numbers = _numbers(node.get(key), 2)
        if numbers is not None:
            found[key] = numbers
    flags = node.get("flags")
    if isinstance(flags, dict) and flags.get("collapsed"):
        found["collapsed"] = True
    if isinstance(node.get("color"), str):
        found["color"] = node["color"]
    return found


def _numbers(value: Any, count: int) -> list[int] | None:
    """A list of so many whole numbers; old files have an object with "0", "1", ... in its place."""
    if isinstance(value, dict):
        value = [value.get(str(number)) for number in range(count)]
    if not isinstance(value, list) or len(value) < count:
        return None
    numbers = value[:count]
    if not all(isinstance(number, int | float) and abs(number) < 1e9 for number in numbers):
        return None
    return [round(number) for number in numbers]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _refused(code: str, message: str, hint: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem(code, message, hint=hint)])

"""Workflows as ComfyUI's editor saves them (schema 0.4, and 1 for the links): values by position, links in a list of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.comfy.protocol.group_nodes import with_subgraphs
from engine.comfy.protocol.object_info import WIDGET_TYPES, class_info, companions_of
from engine.comfy.protocol.ui_parts import (
    INPUTS,
    OUTPUTS,
    PRIMITIVE,
    REROUTE,
    TEXT_NODES,
    definitions,
    links_of,
    listed,
    models_of,
    own_names,
    place_of,
    reroutes_of,
    whole_numbers,
)
from engine.errors import InvalidWorkflow, Problem
from engine.graph.catalogue import ANY, Catalogue
from engine.graph.graph import Link
from engine.graph.limits import Limits
from engine.graph.workflow import SUBGRAPH, Entry, Subgraph, SubgraphInput, Workflow

MODES = {2: "mute", 4: "bypass"}
DEEPEST = 64
MOST_POINTS = 16
BUTTONS = (None, "image", "refresh")
"""What the buttons of a node leave among its values."""
CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize"})
RENAMED = {"T2IAdapterLoader": "ControlNetLoader", "ConditioningAverage ": "ConditioningAverage"}


def is_ui_workflow(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def read_ui_workflow(document: Mapping[str, Any], catalogue: Catalogue, limits: Limits) -> tuple[Workflow, list[str]]:
    """The workflow, and what a person should know about it. Nodes that are not installed stay, with their values.

    Raises InvalidWorkflow for a document that is damaged.
    """
    document = with_subgraphs(document, catalogue)
    inner = definitions(document)
    if sum(len(listed(graph.get("nodes"))) for graph in (document, *inner.values())) > limits.nodes:
        raise _refused("too_many_nodes", f"The workflow has more than {limits.nodes} nodes.", "Split it.")
    scope = _Scope(catalogue)
    for (id, raw), name in zip(inner.items(), own_names(inner.values()), strict=True):
        scope.subgraphs[id] = _SubgraphReader(raw, scope, name)
    subgraphs = {reader.name: reader.subgraph() for reader in scope.subgraphs.values()}
    reader = _GraphReader(document, scope)
    models = models_of(document, (document, *inner.values()))
    requires = {"models": models} if models else {}
    found = Workflow(reader.entries(), subgraphs=subgraphs, layout=reader.layout(), requires=requires, source="ui")
    return found, list(dict.fromkeys(scope.notes))


@dataclass
class _Scope:
    """What all graphs of a document share. `depth`: how many subgraphs are being looked into."""

    catalogue: Catalogue
    notes: list[str] = field(default_factory=list)
    subgraphs: dict[str, _SubgraphReader] = field(default_factory=dict)
    depth: int = 0
    _widgets: dict[str, list[tuple[str, int]] | None] = field(default_factory=dict)

    def widgets_of(self, class_type: str) -> list[tuple[str, int]] | None:
        """What `_widgets` tells of a class; None for one that is not installed."""
        if class_type not in self._widgets:
            found = self.catalogue.find(class_type)
            self._widgets[class_type] = list(_widgets(class_info(*found, self.catalogue))) if found is not None else None
        return self._widgets[class_type]


class _GraphReader:
    """One graph: that of the document, or the inside of a subgraph."""

    def __init__(self, graph: Mapping[str, Any], scope: _Scope) -> None:
        self.graph = graph
        self.scope = scope
        self.nodes = dict(self._nodes())
        self.links: dict[str, tuple[str, int]] = {}
        """Id of each link -> (node, output) where it begins."""
        self.ends: dict[str, tuple[str, int]] = {}
        for id, origin, end in links_of(graph):
            self.links[id] = origin
            self.ends[id] = end
        self.origins: dict[str, Any] = {}
        self.reroutes, self.last_reroutes = reroutes_of(graph)

    def entries(self) -> dict[str, Entry]:
        return {name: self._entry(node) for name, node in self.nodes.items() if not _is_virtual(node)}

    def layout(self) -> dict[str, Any]:
        places = {name: place_of(node) for name, node in self.nodes.items() if not _is_virtual(node)}
        texts = [
            {"text": str(next(iter(listed(node.get("widgets_values"))), "")), **place_of(node)}
            for node in self.nodes.values()
            if node["type"] in TEXT_NODES
        ]
        return {"nodes": places, "links": dict(self._bends()), "groups": list(self._groups()), "notes": texts, "view": {}}

    def given(self, slot: int) -> Any:
        """What input number `slot` of the graph stands for; only subgraphs have inputs."""
        return None

    def _nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for node in listed(self.graph.get("nodes")):
            if not isinstance(node, dict) or not isinstance(node.get("type"), str) or not isinstance(node.get("id"), int | str):
                raise _refused("invalid_node", "A node of the workflow has no type or no id.", "Save the file again in ComfyUI.")
            yield str(node["id"]), node

    def _entry(self, node: Mapping[str, Any]) -> Entry:
        subgraph = self.scope.subgraphs.get(node["type"])
        class_type = SUBGRAPH + subgraph.name if subgraph else RENAMED.get(node["type"], node["type"])
        meta: dict[str, Any] = {}
        if isinstance(node.get("title"), str):
            meta["title"] = node["title"]
        mode = node.get("mode")
        if isinstance(mode, int) and mode in MODES:
            meta["mode"] = MODES[mode]
        inputs = subgraph.values_of(node, meta) if subgraph else self._values(class_type, node, meta)
        for slot in listed(node.get("inputs")):
            if isinstance(slot, dict) and slot.get("link") is not None and isinstance(slot.get("name"), str):
                name = subgraph.renamed.get(slot["name"]) if subgraph else slot["name"]
                value = self._origin(str(slot["link"]))
                if value is not None and name is not None:
                    inputs[name] = value
        return Entry(class_type, inputs, meta)

    def _values(self, class_type: str, node: Mapping[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
        """The values of the widgets by name. Of a class that is not installed, values without names stay in `_meta.widgets_values`."""
        named = node.get("widgets_values_named", node.get("widgets_values"))
        if isinstance(named, dict):
            return {name: value for name, value in named.items() if value is not None}
        values = listed(node.get("widgets_values"))
        widgets = self.scope.widgets_of(class_type)
        if widgets is None:
            if values:
                meta["widgets_values"] = values
            return {}
        inputs: dict[str, Any] = {}
        place = 0
        for name, companions in widgets:
            if place >= len(values):
                self.scope.notes.append(f"Node {node['id']} ({class_type[:60]}) has no value for {name}; the default takes its place.")
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
            self.scope.notes.append(f"Node {node['id']} ({class_type[:60]}) has {count} than the node here takes; check what it was given.")
        return inputs

    def _origin(self, link: str) -> Any:
        """What a link carries: a Link to the node behind reroutes, an input of the subgraph, the value of a primitive, or None for nothing.

        Each link is followed once, so that many inputs behind a long chain of reroutes take linear time.
        """
        passed: list[str] = []
        while link not in self.origins:
            self.origins[link] = None  # a ring carries nothing
            passed.append(link)
            name, slot = self.links.get(link, ("", 0))
            node = self.nodes.get(name)
            if node is None or node["type"] != REROUTE:
                self.origins[link] = self.given(slot) if name == INPUTS else self._carried(node, name, slot)
                break
            inputs = listed(node.get("inputs"))
            link = str(inputs[0].get("link")) if inputs and isinstance(inputs[0], dict) else ""
        found = self.origins[link]
        self.origins.update(dict.fromkeys(passed, found))
        return found

    def _bends(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """By node and input, the points that a link passes: ComfyUI's reroutes, of which it has two kinds."""
        for name, node in self.nodes.items():
            if _is_virtual(node):
                continue
            subgraph = self.scope.subgraphs.get(node["type"])
            found: dict[str, Any] = {}
            for slot in listed(node.get("inputs")):
                if isinstance(slot, dict) and slot.get("link") is not None and isinstance(slot.get("name"), str):
                    points = self._points(str(slot["link"]))
                    shown = subgraph.renamed.get(slot["name"]) if subgraph else slot["name"]
                    if points and shown is not None:
                        found[shown] = points
            if found:
                yield name, found

    def _points(self, link: str) -> list[list[int]]:
        """From the output to the input; of a very long chain the last ones."""
        points: list[list[int]] = []
        for _ in range(MOST_POINTS):
            reroute = self.last_reroutes.get(link, "")
            while reroute in self.reroutes and len(points) < MOST_POINTS:
                reroute, point = self.reroutes[reroute]
                points.append(point)
            node = self.nodes.get(self.links.get(link, ("", 0))[0])
            if node is None or node["type"] != REROUTE or len(points) >= MOST_POINTS:
                break
            place = place_of(node)
            if "pos" in place:
                width, height = place.get("size", (0, 0))
                points.append([place["pos"][0] + width // 2, place["pos"][1] + height // 2])
            inputs = listed(node.get("inputs"))
            link = str(inputs[0].get("link")) if inputs and isinstance(inputs[0], dict) else ""
        return points[::-1]

    def _carried(self, node: Mapping[str, Any] | None, name: str, slot: int) -> Any:
        if node is None or node["type"] in TEXT_NODES:
            return None
        if node["type"] == PRIMITIVE:
            return next(iter(listed(node.get("widgets_values"))), None)
        subgraph = self.scope.subgraphs.get(node["type"])
        if subgraph is None:
            return Link(name, slot)
        place = subgraph.output_place(slot)
        return Link(name, place) if place is not None else None

    def _groups(self) -> Iterator[dict[str, Any]]:
        for group in listed(self.graph.get("groups")):
            bounds = whole_numbers(group.get("bounding"), 4) if isinstance(group, dict) else None
            if bounds is not None:
                yield {"title": str(group.get("title") or "Group"), "pos": bounds[:2], "size": bounds[2:], "color": group.get("color")}


class _SubgraphReader(_GraphReader):
    """The definition of a subgraph, of which any graph of the document may have instances."""

    def __init__(self, graph: Mapping[str, Any], scope: _Scope, name: str) -> None:
        super().__init__(graph, scope)
        self.name = name
        self.slots = [slot if isinstance(slot, dict) else {} for slot in listed(graph.get("inputs"))]
        self.inputs = own_names(self.slots)
        self.renamed = {str(slot.get("name")): name for slot, name in zip(self.slots, self.inputs, strict=True)}
        self.set_inside = self._set_inside(widgets=False)
        """Number of each input, in order -> the first node and input inside that it sets."""
        self.promoted = self._set_inside(widgets=True)
        """The same of those that are widgets of an instance."""
        self._outputs: dict[int, Link | SubgraphInput] | None = None
        self._output_places: dict[int, int] = {}
        self._values_inside: dict[str, dict[str, Any]] = {}

    def given(self, slot: int) -> Any:
        return SubgraphInput(self.inputs[slot]) if slot < len(self.inputs) else None

    def subgraph(self) -> Subgraph:
        nodes = self.entries()
        inputs: dict[str, dict[str, Any]] = {}
        for number, (slot, name) in enumerate(zip(self.slots, self.inputs, strict=True)):
            kind = slot.get("type")
            inputs[name] = {"type": kind if isinstance(kind, str) and kind else ANY}
            inner, widget = self.set_inside.get(number, ("", ""))
            value = self._value_inside(inner, widget)
            if value is not None:
                inputs[name]["default"] = value
        names = own_names(listed(self.graph.get("outputs")))
        outputs = {names[slot]: value for slot, value in self.outputs().items()}
        return Subgraph(nodes, inputs, outputs, {"layout": self.layout()})

    def outputs(self) -> dict[int, Link | SubgraphInput]:
        """What each output carries, by its number; those that carry nothing are left out."""
        if self._outputs is not None:
            return self._outputs
        self._outputs = {}  # of one that contains itself; refused when it is laid flat
        if self.scope.depth >= DEEPEST:
            raise _refused("subgraph_depth", f"Subgraphs nest deeper than {DEEPEST} levels.", "Unpack some of them in ComfyUI.")
        self.scope.depth += 1
        count = len(listed(self.graph.get("outputs")))
        found: dict[int, Link | SubgraphInput] = {}
        for link, (node, slot) in self.ends.items():
            value = self._origin(link) if node == OUTPUTS and slot < count and slot not in found else None
            if isinstance(value, Link | SubgraphInput):
                found[slot] = value
        self.scope.depth -= 1
        self._outputs = dict(sorted(found.items()))
        self._output_places = {number: place for place, number in enumerate(self._outputs)}
        return self._outputs

    def output_place(self, number: int) -> int | None:
        """Which one an output is of those that carry something."""
        self.outputs()
        return self._output_places.get(number)

    def values_of(self, node: Mapping[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
        """The values of an instance's widgets: those of promoted inputs in order, in newer files each with its companion."""
        values = listed(node.get("widgets_values"))
        companions = len(values) > len(self.promoted)
        inputs: dict[str, Any] = {}
        place = 0
        for number in self.promoted:
            if place >= len(values):
                break
            name, value = self.inputs[number], values[place]
            place += 1
            if value is not None:
                inputs[name] = value
            control = values[place] if companions and place < len(values) and isinstance(value, int) else None
            if isinstance(control, str) and control in CONTROLS:
                meta.setdefault("seed_policy", {})[name] = control
                place += 1
        return inputs

    def _set_inside(self, *, widgets: bool) -> dict[int, tuple[str, str]]:
        found: dict[int, tuple[str, str]] = {}
        for name, node in self.nodes.items():
            for slot in listed(node.get("inputs")):
                if isinstance(slot, dict) and (isinstance(slot.get("widget"), dict) or not widgets):
                    origin, number = self.links.get(str(slot.get("link")), ("", 0))
                    if origin == INPUTS and number < len(self.inputs):
                        found.setdefault(number, (name, str(slot.get("name"))))
        return dict(sorted(found.items()))

    def _value_inside(self, node: str, widget: str) -> Any:
        """What a widget has that an input of the subgraph sets, for instances that give nothing."""
        found = self.nodes.get(node)
        if found is None:
            return None
        nested = self.scope.subgraphs.get(found["type"])
        if node not in self._values_inside:
            own = RENAMED.get(found["type"], found["type"])
            self._values_inside[node] = nested.values_of(found, {}) if nested else self._values(own, found, {})
        return self._values_inside[node].get(nested.renamed.get(widget, "") if nested else widget)


def _is_virtual(node: Mapping[str, Any]) -> bool:
    return node["type"] in TEXT_NODES or node["type"] in (REROUTE, PRIMITIVE)


def _widgets(info: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Each widget of a class in the order of the saved values, and how many values of companions follow its own."""
    for section in info["input"].values():
        for name, (kind, options) in section.items():
            if options.get("forceInput") or not (isinstance(kind, list) or kind in WIDGET_TYPES):
                continue
            yield name, companions_of(name, kind, options)


def _refused(code: str, message: str, hint: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem(code, message, hint=hint)])

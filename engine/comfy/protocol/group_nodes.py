"""ComfyUI's group nodes (`extra.groupNodes`), which it replaced by subgraphs, as the subgraphs that say the same.

A group node shows the sockets of its inner nodes that no inner link ends at, all their widgets, and the outputs that nothing inside takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.comfy.protocol.object_info import WIDGET_TYPES, class_info, companions_of
from engine.comfy.protocol.ui_parts import INPUTS, OUTPUTS, PRIMITIVE, REROUTE, TEXT_NODES, listed
from engine.errors import InvalidWorkflow, Problem
from engine.graph.catalogue import ANY, Catalogue

KIND, OLD_KIND = "workflow>", "workflow/"
"""What the type of a group node begins with, before its name."""
DEEPEST = 64
MOST_SHOWN = 50_000
"""Sockets and widgets that all groups of a document show together: those of groups inside groups multiply."""
LONGEST_NAME = 200


def with_subgraphs(document: Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any]:
    """The document with its group nodes as instances of subgraphs. One that it does not define stays as it is.

    Raises InvalidWorkflow when they show more than any graph needs.
    """
    extra = document.get("extra")
    given = extra.get("groupNodes") if isinstance(extra, dict) else None
    if not isinstance(given, dict) or not given:
        return document
    nodes = listed(document.get("nodes"))
    counts: dict[str, int] = {}
    for node in nodes:
        name = _name(node)
        if name is not None and listed(node.get("widgets_values")):
            counts.setdefault(name, len(node["widgets_values"]))
    groups = _Groups({name: raw for name, raw in given.items() if isinstance(raw, dict)}, catalogue, counts)
    definitions = [group.definition() for name in groups.given if (group := groups.find(name)) is not None]
    block = document.get("definitions")
    block = block if isinstance(block, dict) else {}
    instances = [groups.instance(node) for node in nodes]
    return {**document, "nodes": instances, "definitions": {**block, "subgraphs": [*listed(block.get("subgraphs")), *definitions]}}


def _name(node: Any) -> str | None:
    kind = node.get("type") if isinstance(node, dict) else None
    return kind[len(KIND) :] if isinstance(kind, str) and kind.startswith((KIND, OLD_KIND)) else None


@dataclass(frozen=True, slots=True)
class _Input:
    """An input that a node declares. `companions`: how many values follow its own among those that are saved."""

    name: str
    type: str
    widget: bool
    companions: int = 0


class _Groups:
    """All group nodes of a document; one may hold others."""

    def __init__(self, given: Mapping[str, Mapping[str, Any]], catalogue: Catalogue, counts: Mapping[str, int]) -> None:
        self.given = given
        self.catalogue = catalogue
        self.counts = counts
        """How many values an instance has saved, by group."""
        self.shown = 0
        self._found: dict[str, _Group | None] = {}
        self._of_class: dict[str, list[_Input]] = {}
        self._depth = 0

    def find(self, name: str | None) -> _Group | None:
        """The group of a name; None where there is none, for one that holds itself, and too deep inside others."""
        if name is None or name not in self.given or self._depth >= DEEPEST:
            return None
        if name not in self._found:
            self._found[name] = None
            self._depth += 1
            self._found[name] = _Group(name, self.given[name], self)
            self._depth -= 1
        return self._found[name]

    def instance(self, node: Any) -> Any:
        """A group node as an instance: its sockets by name, or by place where another version of ComfyUI named them."""
        group = self.find(_name(node))
        if group is None:
            return node
        names = {port["name"] for port in group.ports}
        slots = []
        for place, slot in enumerate(listed(node.get("inputs"))):
            by_place = isinstance(slot, dict) and not slot.get("widget") and slot.get("name") not in names and place < len(group.sockets)
            slots.append({**slot, "name": group.sockets[place]} if by_place else slot)
        return {**node, "type": KIND + group.name, "inputs": slots}

    def declared(self, node: Mapping[str, Any]) -> list[_Input]:
        """What a node takes, in the order in which a group shows it."""
        kind = str(node.get("type"))
        if kind in TEXT_NODES:
            return []
        if kind == PRIMITIVE:
            return [_Input("value", ANY, True)]
        if kind == REROUTE:
            return [_Input("", ANY, False)]
        group = self.find(_name(node))
        if group is not None:
            widgets = [_Input(name, ANY, True, companions) for name, companions in group.widgets]
            return [*widgets, *(_Input(name, ANY, False) for name in group.sockets)]
        if kind in self._of_class:
            return self._of_class[kind]
        found = self.catalogue.find(kind)
        if found is None:
            slots = [slot for slot in listed(node.get("inputs")) if isinstance(slot, dict)]
            return [_Input(str(slot.get("name")), str(slot.get("type")), False) for slot in slots]
        sections = class_info(*found, self.catalogue)["input"].values()
        self._of_class[kind] = [_declared(name, *spec) for section in sections for name, spec in section.items()]
        return self._of_class[kind]

    def show_one_more(self) -> None:
        """Raises InvalidWorkflow for the one too many."""
        self.shown += 1
        if self.shown > MOST_SHOWN:
            text = f"The group nodes have more than {MOST_SHOWN:,} inputs together."
            raise InvalidWorkflow([Problem("too_many_inputs", text, hint="Convert them to nodes or subgraphs in ComfyUI.")])


def _declared(name: str, kind: Any, options: Mapping[str, Any]) -> _Input:
    widget = not options.get("forceInput") and (isinstance(kind, list) or kind in WIDGET_TYPES)
    return _Input(name, "COMBO" if isinstance(kind, list) else kind, widget, companions_of(name, kind, options) if widget else 0)


class _Group:
    """One group node, as it was defined."""

    def __init__(self, name: str, raw: Mapping[str, Any], groups: _Groups) -> None:
        self.name = name
        self.ports: list[dict[str, Any]] = []
        self.sockets: list[str] = []
        self.widgets: list[tuple[str, int]] = []
        self.outputs: list[dict[str, Any]] = []
        self._groups = groups
        self._config = raw.get("config") if isinstance(raw.get("config"), dict) else {}
        self._seen: dict[str, int] = {}
        self._links: list[dict[str, Any]] = []
        self.nodes = [self._node(index, node, groups) for index, node in enumerate(listed(raw.get("nodes")))]
        self._places = [{str(slot.get("name")): place for place, slot in reversed(list(enumerate(node["inputs"])))} for node in self.nodes]
        self._inside = dict(self._links_inside(raw))
        self._external = {tuple(end[:2]) for end in listed(raw.get("external")) if isinstance(end, list) and _are_numbers(end[:2])}
        self._join()
        self._give_out()

    def definition(self) -> dict[str, Any]:
        """As ComfyUI saves a subgraph (schema 1)."""
        parts = {"nodes": self.nodes, "links": self._links, "inputs": self.ports, "outputs": self.outputs}
        return {"id": KIND + self.name, "name": self.name, "version": 1, **parts}

    @staticmethod
    def _node(index: int, raw: Any, groups: _Groups) -> dict[str, Any]:
        node = groups.instance(raw) if isinstance(raw, dict) else {}
        slots = [{**slot, "link": None} if isinstance(slot, dict) else {} for slot in listed(node.get("inputs"))]
        return {**node, "id": index, "inputs": slots}

    def _links_inside(self, raw: Mapping[str, Any]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """(node, input) where each link ends, and (node, output) where it begins."""
        for link in listed(raw.get("links")):
            if isinstance(link, list) and len(link) >= 4 and _are_numbers(link[:4]):
                source, slot, target, at = link[:4]
                if source < len(self.nodes) and target < len(self.nodes) and at < len(self.nodes[target]["inputs"]):
                    yield (target, at), (source, slot)

    def _join(self) -> None:
        """Links of the inputs of every node: from another one, or from an input of the group."""
        primitives: dict[int, int] = {}
        later: list[tuple[dict[str, Any], _Input, int]] = []
        declared = [self._groups.declared(node) for node in self.nodes]
        converted = self._shows_fewer_values(declared)
        for index, node in enumerate(self.nodes):
            for item in sorted(declared[index], key=lambda item: not item.widget):  # widgets get their names first
                at = self._place(node, item)
                if node.get("type") == PRIMITIVE:
                    primitives[index] = self._port(node, item)
                elif (index, at) in self._inside:
                    continue
                elif item.widget and at is not None and converted:
                    later.append((node, item, at))
                elif item.widget or self._setting(index, "input", item.name).get("visible") is not False:
                    self._link(INPUTS, self._port(node, item), node, self._slot(node, item) if at is None else at)
        for node, item, at in later:
            node["inputs"][at].pop("widget", None)
            if self._setting(node["id"], "input", item.name).get("visible") is not False:
                self._link(INPUTS, self._port(node, _Input(item.name, item.type, False)), node, at)
        for (target, at), (source, slot) in self._inside.items():
            if source in primitives:
                self._link(INPUTS, primitives[source], self.nodes[target], at)
            else:
                self._link(source, slot, self.nodes[target], at)

    def _shows_fewer_values(self, declared: list[list[_Input]]) -> bool:
        """Whether widgets that have a socket are no widgets of the group: so before every widget had one."""
        free = [
            item
            for node, items in zip(self.nodes, declared, strict=True)
            for item in items
            if item.widget and (node["id"], self._place(node, item)) not in self._inside
        ]
        return self._groups.counts.get(self.name, 1 << 30) < sum(1 + item.companions for item in free)

    def _place(self, node: Mapping[str, Any], item: _Input) -> int | None:
        return self._places[node["id"]].get(item.name)

    def _slot(self, node: dict[str, Any], item: _Input) -> int:
        """A socket for an input that has none in the file."""
        node["inputs"].append({"name": item.name, "type": item.type, **({"widget": {"name": item.name}} if item.widget else {})})
        return len(node["inputs"]) - 1

    def _port(self, node: Mapping[str, Any], item: _Input) -> int:
        self._groups.show_one_more()
        name = self._own_name(node, item.name)
        self.ports.append({"name": name, "type": item.type})
        if item.widget:
            self.widgets.append((name, item.companions))
        else:
            self.sockets.append(name)
        return len(self.ports) - 1

    def _own_name(self, node: Mapping[str, Any], input: str) -> str:
        """As ComfyUI names it: like the input, and from the second one of a name on with the title of its node before it."""
        chosen = self._setting(node["id"], "input", input).get("name")
        input = input[:LONGEST_NAME]
        name = key = chosen[:LONGEST_NAME] if isinstance(chosen, str) else input
        if name in self._seen or (node.get("type") == PRIMITIVE and node.get("title")):
            given = (text for text in (node.get("title"), node.get("type")) if isinstance(text, str) and text)
            prefix = f"{next(given, '')[:LONGEST_NAME]} "
            name = key = prefix + input
            if key in self._seen:
                name = f"{prefix}{self._seen[key]} {input}"
        self._seen[key] = self._seen.get(key, 1) + 1
        return name

    def _setting(self, index: int, side: str, key: str) -> Mapping[str, Any]:
        """What a person set about an input or output of the group."""
        found: Any = self._config
        for step in (str(index), side, key):
            found = found.get(step) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def _link(self, origin: int | str, slot: int, node: dict[str, Any], at: int) -> None:
        node["inputs"][at]["link"] = self._added(origin, slot, node["id"], at)

    def _added(self, origin: int | str, slot: int, target: int | str, at: int) -> int:
        number = len(self._links) + 1
        ends = {"origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": at}
        self._links.append({"id": number, **ends})
        return number

    def _give_out(self) -> None:
        taken = set(self._inside.values()) - self._external
        for index, node in enumerate(self.nodes):
            slots = [] if node.get("type") in (PRIMITIVE, *TEXT_NODES) else listed(node.get("outputs"))
            for number, slot in enumerate(slots):
                setting = self._setting(index, "output", str(number))
                if setting.get("visible", (index, number) not in taken):
                    self._added(index, number, OUTPUTS, len(self.outputs))
                    shown = slot if isinstance(slot, dict) else {}
                    self.outputs.append({"name": setting.get("name") or shown.get("name"), "type": shown.get("type")})


def _are_numbers(values: list[Any]) -> bool:
    return all(type(value) is int and value >= 0 for value in values)

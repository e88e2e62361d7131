"""Laying a workflow flat: aliases get canonical names, subgraphs are put in place, muted nodes vanish, bypassed ones forward an input.

Pure: the workflow is left as it is. The rule of bypass is ComfyUI's, with one difference: a consumer that takes anything gets an input
of the output's own type (ComfyUI takes the input at the output's position, whatever its type).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.errors import InvalidWorkflow, Problem, QuotaExceeded
from engine.graph.catalogue import ANY, AliasInfo, Catalogue, NodeInfo
from engine.graph.graph import Graph, Link, Node
from engine.graph.limits import Limits
from engine.graph.literals import brief, nearest
from engine.graph.migrations import migrate
from engine.graph.ports import matches
from engine.graph.workflow import Entry, Subgraph, SubgraphInput, Workflow

_ABSENT = object()


def flatten(workflow: Workflow, catalogue: Catalogue, limits: Limits) -> Graph:
    """See Workflow.flatten. What is wrong with subgraphs and instances goes to `Graph.problems`; the rest of the graph stands."""
    _check_sizes(workflow, limits)
    return _Flattener(workflow, catalogue, limits).run()


@dataclass(eq=False, slots=True)
class _Scope:
    """One set of nodes in place: the workflow itself, or a subgraph for one instance."""

    path: str
    nodes: dict[str, Entry]
    parent: _Scope | None = None
    instance: Entry | None = None
    definition: Subgraph | None = None
    children: dict[str, _Scope] = field(default_factory=dict)


class _Flattener:
    def __init__(self, workflow: Workflow, catalogue: Catalogue, limits: Limits) -> None:
        self.workflow = workflow
        self.catalogue = catalogue
        self.limits = limits
        self.problems: list[Problem] = []
        self.outputs = {name: list(definition.outputs.values()) for name, definition in workflow.subgraphs.items()}
        self.signatures: dict[str, tuple[dict[str, str], list[str]]] = {}
        self.classes: dict[str, tuple[NodeInfo, AliasInfo | None] | None] = {}
        self.resolved: dict[tuple[_Scope, str, int, str], Any] = {}
        versions = workflow.requires.get("nodes")
        self.versions: dict[str, str] = versions if isinstance(versions, dict) else {}

    def run(self) -> Graph:
        root = _Scope("", self.workflow.nodes)
        nodes: dict[str, Node] = {}
        plain = all(entry.mode == "run" and entry.subgraph is None for entry in root.nodes.values())
        for scope, id, entry in self.plain_entries(root):
            flat_id = scope.path + id
            if flat_id in nodes:
                hint = "Rename the node of the outer graph."
                self.problem("duplicate_id", f"Two nodes get the id {brief(flat_id)} when subgraphs are laid flat.", hint, flat_id)
                continue
            nodes[flat_id] = self.node(scope, flat_id, entry, plain)
        return Graph(nodes, tuple(self.problems))

    def plain_entries(self, root: _Scope) -> Iterator[tuple[_Scope, str, Entry]]:
        """Every node that takes part, subgraphs entered where their instance stands."""
        pending = [iter([(root, id, entry) for id, entry in root.nodes.items()])]
        while pending:
            item = next(pending[-1], None)
            if item is None:
                pending.pop()
                continue
            scope, id, entry = item
            if entry.mode != "run":
                continue
            if entry.subgraph is None:
                yield item
                continue
            child = self.child(scope, id, entry)
            if child is not None:
                self.check_instance(child)
                pending.append(iter([(child, inner, value) for inner, value in child.nodes.items()]))

    def child(self, scope: _Scope, id: str, entry: Entry) -> _Scope | None:
        if id in scope.children:
            return scope.children[id]
        name = entry.subgraph or ""
        definition = self.workflow.subgraphs.get(name)
        if definition is None:
            hint = nearest(name, list(self.workflow.subgraphs)) or "Add its definition under subgraphs."
            self.problem("unknown_subgraph", f"The workflow has no subgraph {brief(name)}.", hint, scope.path + id)
            return None
        scope.children[id] = _Scope(f"{scope.path}{id}:", definition.nodes, scope, entry, definition)
        return scope.children[id]

    def check_instance(self, scope: _Scope) -> None:
        if scope.instance is None or scope.definition is None:
            return
        known = list(scope.definition.inputs)
        for name in scope.instance.inputs:
            if name not in scope.definition.inputs:
                hint = nearest(name, known) or f"It has {', '.join(known) or 'no inputs'}."
                self.problem("unknown_input", f"{scope.instance.class_type} has no input {brief(name)}.", hint, scope.path[:-1], name)

    def node(self, scope: _Scope, flat_id: str, entry: Entry, plain: bool) -> Node:
        found = self.find(entry.class_type)
        if found is None:
            inputs = entry.inputs if plain else self.resolved_inputs(scope, flat_id, entry, {})
            return Node(flat_id, entry.class_type, inputs, entry.class_type, entry.meta)
        info, alias = found
        inputs = entry.inputs if plain else self.resolved_inputs(scope, flat_id, entry, self.types(info, alias))
        if alias is not None and alias.inputs:
            inputs = {alias.inputs.get(name, name): value for name, value in inputs.items()}
        if info.migrations:
            inputs = migrate(inputs, info, self.versions.get(entry.class_type))
        return Node(flat_id, info.id, inputs, entry.class_type, entry.meta)

    def find(self, class_type: str) -> tuple[NodeInfo, AliasInfo | None] | None:
        if class_type not in self.classes:
            self.classes[class_type] = self.catalogue.find(class_type)
        return self.classes[class_type]

    def types(self, info: NodeInfo, alias: AliasInfo | None) -> dict[str, str]:
        """Types of the inputs by the names that the submitted id uses, in its order; a type variable counts as anything."""
        types = {item.name: ANY if item.type.startswith("$") else item.type for item in info.inputs}
        if alias is None:
            return types
        shown = {canonical: name for name, canonical in alias.inputs.items()}
        named = {shown.get(name, name): type_name for name, type_name in types.items()}
        return {name: named[name] for name in (*(alias.order or ()), *named) if name in named}

    def resolved_inputs(self, scope: _Scope, flat_id: str, entry: Entry, types: dict[str, str]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for name, value in entry.inputs.items():
            resolved = self.resolve(scope, value, types.get(name, ANY), flat_id, name)
            if resolved is not _ABSENT:
                inputs[name] = resolved
        return inputs

    def resolve(self, scope: _Scope, value: Any, wanted: str, asking: str, input_name: str) -> Any:
        """What a written value stands for in the flat graph: a Link to a node there, a literal, or nothing."""
        visited: list[tuple[_Scope, str, int, str]] = []
        seen: set[tuple[_Scope, str, int, str]] = set()
        while True:
            if isinstance(value, SubgraphInput):
                scope, value = self.outer(scope, value, asking, input_name)
                continue
            if not isinstance(value, Link):
                break
            entry = scope.nodes.get(value.node)
            if entry is None or (entry.mode == "run" and entry.subgraph is None):
                value = Link(scope.path + value.node, value.slot)
                break
            key = (scope, value.node, value.slot, wanted)
            if key in self.resolved:
                value = self.resolved[key]
                break
            if key in seen:
                hint = "Open the ring at one of its links."
                self.problem(
                    "dependency_cycle", f"Bypassed nodes or subgraphs around {brief(value.node)} form a ring.", hint, asking, input_name
                )
                value = _ABSENT
                break
            seen.add(key)
            visited.append(key)
            scope, value = self.source(scope, entry, value, wanted, asking, input_name)
        for key in visited:
            self.resolved[key] = value
        return value

    def outer(self, scope: _Scope, value: SubgraphInput, asking: str, input_name: str) -> tuple[_Scope, Any]:
        """A subgraph's input, seen from where its instance stands."""
        if scope.definition is None or scope.instance is None or scope.parent is None:
            self.problem(
                "unknown_input", f"{brief(value.name)} is read as a subgraph's input outside of one.", "Link a node.", asking, input_name
            )
            return scope, _ABSENT
        if value.name not in scope.definition.inputs:
            hint = nearest(value.name, list(scope.definition.inputs)) or "Add it to the subgraph's inputs."
            self.problem("unknown_input", f"{scope.instance.class_type} has no input {brief(value.name)}.", hint, asking, input_name)
            return scope, _ABSENT
        given = scope.instance.inputs.get(value.name, scope.definition.inputs[value.name].get("default", _ABSENT))
        return scope.parent, given

    def source(self, scope: _Scope, entry: Entry, link: Link, wanted: str, asking: str, input_name: str) -> tuple[_Scope, Any]:
        """One step back through a muted or bypassed node or into an instance."""
        if entry.mode == "mute":
            return scope, _ABSENT
        if entry.mode == "bypass":
            return scope, self.forwarded(entry, link.slot, wanted)
        child = self.child(scope, link.node, entry)
        if child is None or child.definition is None:
            return scope, _ABSENT
        outputs = self.outputs[entry.subgraph or ""]
        if link.slot < len(outputs):
            return child, outputs[link.slot]
        hint = f"Its outputs are {', '.join(child.definition.outputs) or 'none'}."
        self.problem("bad_linked_input", f"{entry.class_type} has no output {brief(link.slot)}.", hint, asking, input_name)
        return scope, _ABSENT

    def forwarded(self, entry: Entry, slot: int, wanted: str) -> Any:
        """The value of the input that a bypassed node forwards to a consumer of type `wanted`."""
        inputs, outputs = self.signature(entry)
        if slot >= len(outputs):
            return _ABSENT
        given = ANY if outputs[slot].startswith("$") else outputs[slot]
        wanted = given if wanted == ANY else wanted
        names = list(inputs)
        position = names[slot] if slot < len(names) else None
        if wanted == ANY:
            name = position or (names[0] if names else None)
        elif position is not None and matches(inputs[position], given) and matches(inputs[position], wanted):
            name = position
        else:
            equal = (name for name, type_name in inputs.items() if type_name == wanted)
            near = (name for name, type_name in inputs.items() if matches(type_name, given) and matches(type_name, wanted))
            name = next(equal, None) or next(near, None)
        return _ABSENT if name is None else entry.inputs.get(name, entry.inputs.get(f"{name}0", _ABSENT))

    def signature(self, entry: Entry) -> tuple[dict[str, str], list[str]]:
        """Types of the inputs by submitted name, and of the outputs."""
        if entry.class_type not in self.signatures:
            self.signatures[entry.class_type] = self.read_signature(entry)
        return self.signatures[entry.class_type]

    def read_signature(self, entry: Entry) -> tuple[dict[str, str], list[str]]:
        if entry.subgraph is None:
            found = self.find(entry.class_type)
            return ({}, []) if found is None else (self.types(*found), [output.type for output in found[0].outputs])
        definition = self.workflow.subgraphs.get(entry.subgraph)
        if definition is None:
            return {}, []
        inputs = {name: spec.get("type") or ANY for name, spec in definition.inputs.items()}
        return inputs, [self.output_type(definition, value) for value in definition.outputs.values()]

    def output_type(self, definition: Subgraph, value: Link | SubgraphInput) -> str:
        """The type that a subgraph's output has by the node that it comes from, through nested instances."""
        while isinstance(value, Link):
            entry = definition.nodes.get(value.node)
            if entry is None:
                return ANY
            if entry.subgraph is None:
                outputs = self.signature(entry)[1]
                return outputs[value.slot] if value.slot < len(outputs) else ANY
            inner = self.workflow.subgraphs.get(entry.subgraph)
            if inner is None or value.slot >= len(inner.outputs):
                return ANY
            definition, value = inner, self.outputs[entry.subgraph][value.slot]
        return definition.inputs.get(value.name, {}).get("type") or ANY

    def problem(self, code: str, message: str, hint: str, node_id: str, input_name: str | None = None) -> None:
        if len(self.problems) < self.limits.problems:
            self.problems.append(Problem(code, message, node_id=node_id, input=input_name, hint=hint))


def _check_sizes(workflow: Workflow, limits: Limits) -> None:
    """Refuse subgraphs that contain themselves, nest too deep, or would unfold to too many nodes; nothing is unfolded for that."""
    if not workflow.subgraphs:
        return
    measured: dict[str, tuple[int, int]] = {}  # name -> (nodes when laid flat, depth)
    open_names: dict[str, None] = {}
    pending = list(reversed(workflow.subgraphs))
    while pending:
        name = pending[-1]
        if name in measured:
            pending.pop()
            continue
        inner = _instances(workflow.subgraphs[name].nodes, workflow)
        if name not in open_names:
            open_names[name] = None
            ring = next((other for other in inner if other in open_names), None)
            if ring is not None:
                path = " > ".join([*list(open_names)[list(open_names).index(ring) :], ring])
                raise InvalidWorkflow(
                    [Problem("subgraph_recursion", f"A subgraph contains itself: {path}.", hint="Take one instance out.")]
                )
            pending.extend(other for other in dict.fromkeys(inner) if other not in measured)
            continue
        del open_names[name]
        measured[name] = _measure(len(workflow.subgraphs[name].nodes), inner, measured, limits)
        pending.pop()
    nodes, depth = _measure(len(workflow.nodes), _instances(workflow.nodes, workflow), measured, limits)
    if nodes > limits.nodes:
        raise QuotaExceeded(
            f"With its subgraphs laid flat the workflow has more than {limits.nodes} nodes.",
            hint="Use fewer instances.",
            details={"limit": limits.nodes},
        )
    if depth > limits.depth:
        raise QuotaExceeded(f"Subgraphs nest deeper than {limits.depth} levels.", hint="Flatten some.", details={"limit": limits.depth})


def _instances(nodes: dict[str, Entry], workflow: Workflow) -> list[str]:
    names = (entry.subgraph for entry in nodes.values())
    return [name for name in names if name is not None and name in workflow.subgraphs]


def _measure(own: int, inner: list[str], measured: dict[str, tuple[int, int]], limits: Limits) -> tuple[int, int]:
    nodes = own + sum(measured[name][0] for name in inner)
    return min(nodes, limits.nodes + 1), 1 + max((measured[name][1] for name in inner), default=-1)

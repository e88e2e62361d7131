"""From a graph to steps: order, fingerprints, digests. One iterative pass; nothing recurses in the size of the graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import EaselError, InvalidWorkflow, MissingNode, NodeFailed, Problem, QuotaExceeded
from engine.graph.context import Context
from engine.graph.digest import Opaque, extra_part, link_part, literal_part, node_digest
from engine.graph.graph import Graph, Link, Node
from engine.graph.items import Item, item_key
from engine.graph.steps import Kind, Source, Step
from engine.graph.walk import walk


def execution_order(nodes: Mapping[str, Node], roots: Sequence[str]) -> list[str]:
    """The ids of all nodes that the roots need, sources before consumers, one branch after the other; links may lead out of `nodes`.

    Raises InvalidWorkflow for a cycle or an unknown root.
    """
    for root in roots:
        if root not in nodes:
            raise _nowhere(root)
    found = walk(nodes, roots)
    if found.cycles:
        closing = found.cycles[0][0]
        raise InvalidWorkflow([Problem("dependency_cycle", f"Node {closing} depends on its own output.", node_id=closing)])
    return found.order


def _nowhere(node_id: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem("unknown_link", f"There is no node {node_id} in the graph.", node_id=node_id)])


class Planner:
    """Makes the steps of one run. `steps` and `by_digest` are shared with the run, which adds to them when nodes expand."""

    def __init__(self, kind_of: Callable[[str], Kind], context_of: Callable[[Node], Context], nonce: bytes, most_steps: int) -> None:
        self.steps: dict[str, Step] = {}
        self.by_digest: dict[bytes, Step] = {}
        self._kind_of = kind_of
        self._context_of = context_of
        self._nonce = nonce
        self._most_steps = most_steps
        self._next = 0

    def plan(self, graph: Graph, targets: Sequence[str]) -> list[str]:
        """The ids of the wanted nodes in order; `add` makes the steps."""
        return execution_order(graph.nodes, targets)

    def is_output(self, node_type: str) -> bool:
        return self._kind_of(node_type).info.output_node

    def add(self, node: Node) -> Step:
        """The step of a node whose sources have steps already. A node that cannot be planned has its `error` set."""
        try:
            kind = self._kind_of(node.type)
        except MissingNode as error:
            error.node_id = node.id
            raise
        if self._next >= self._most_steps:
            raise QuotaExceeded(
                f"The run has come to {self._most_steps:,} nodes, and no more are made.",
                hint="Look for loops inside loops, or raise the setting max_steps.",
                details={"limit": self._most_steps},
            )
        step = Step(node, kind, self._next)
        self._next += 1
        self._read_inputs(step)
        try:
            self._fingerprint(step)
            self._digest(step)
        except EaselError as error:
            error.node_id = error.node_id or node.id
            step.error = error
            step.fresh = True
            step.extras = (self._once(step),)
            step.digest = step.outward = node_digest(kind.base, step.extras)
        leader = self.by_digest.setdefault(step.digest, step)
        if leader is not step:
            step.leader = leader
        self.steps[node.id] = step
        return step

    def _read_inputs(self, step: Step) -> None:
        kind, literals = step.kind, step.literals
        defaults = kind.definition.defaults
        if defaults:
            literals.update(defaults)
        for name, value in step.node.inputs.items():
            cls = type(value)
            if cls is Link:
                literals.pop(name, None)
                step.links[name] = self._source(kind, name, value)
            elif cls is Item:
                literals.pop(name, None)
                step.constants = {**(step.constants or {}), name: value}
            else:
                info = kind.declared(name)
                literals[name] = float(value) if cls is int and info is not None and info.type == "FLOAT" else value

    def _source(self, kind: Kind, name: str, link: Link) -> Source:
        step = self.steps.get(link.node)
        if step is None:
            raise _nowhere(link.node)
        step = step.leader or step
        if not 0 <= link.slot < len(step.kind.routes):
            message = f"Input {name} reads output {link.slot} of node {link.node}, which has {len(step.kind.routes)}."
            raise InvalidWorkflow([Problem("unknown_slot", message, node_id=link.node, input=name)])
        lazy = bool(kind.lazy) and kind.base_name(name) in kind.lazy
        return Source(step, link.slot, lazy, item_key(step.outward, link.slot))

    def _fingerprint(self, step: Step) -> None:
        kind = step.kind
        if kind.fingerprinted and any(kind.base_name(name) in kind.fingerprint_inputs for name in (*step.links, *(step.constants or ()))):
            step.unsettled = True
            step.extras = (self._once(step),)
        else:
            step.extras = self.settle(step, step.literals)

    def settle(self, step: Step, values: Mapping[str, Any]) -> tuple[bytes, ...]:
        """What goes into the digest besides inputs: fingerprints for these values of the inputs, and a nonce where nothing may be kept."""
        parts: tuple[bytes, ...] = ()
        if step.kind.fingerprinted:
            step.fingerprints = fingerprints(step.kind, values, lambda: self._context_of(step.node))
            step.fresh = step.fresh or None in step.fingerprints.values()
        if step.kind.info.output_node and not self._context_of(step.node).job.metadata:
            step.fingerprints = {**step.fingerprints, "embedded metadata": "none"}  # a file with it is not what this run is to write
        if step.fingerprints:
            parts = tuple(extra_part(name, str(value).encode()) for name, value in sorted(step.fingerprints.items()))
        return (*parts, self._once(step)) if step.fresh else parts

    def _once(self, step: Step) -> bytes:
        return extra_part("nonce", self._nonce + step.node.id.encode())

    def _digest(self, step: Step) -> None:
        keys = {name: source.key for name, source in step.links.items()}
        if step.constants is not None:
            keys.update((name, item.key) for name, item in step.constants.items())
        try:
            step.digest = digest_of(step, keys, step.extras)
            step.outward = digest_of(step, keys, step.extras, literals=False) if step.kind.ignored else step.digest
        except Opaque as error:
            raise NodeFailed(f"An input of {step.kind.info.display_name} is neither a link nor a literal: {error}.") from error


def digest_of(step: Step, keys: Mapping[str, bytes], extras: Sequence[bytes], *, literals: bool = True) -> bytes:
    """The digest of a step or of one of its calls, with these keys at its linked inputs."""
    if literals and step.literals:
        values = step.literals
        names = sorted({*keys, *values}) if keys else sorted(values)
        parts = [link_part(name, keys[name]) if name in keys else literal_part(name, values[name]) for name in names]
    else:
        parts = [link_part(name, keys[name]) for name in sorted(keys)]
    parts.extend(extras)
    return node_digest(step.kind.base, parts)


def fingerprints(kind: Kind, values: Mapping[str, Any], context: Callable[[], Context]) -> dict[str, Any]:
    """The digests of the files that inputs name, and what the node's own fingerprint function returns (None: never the same). Any error
    of that function becomes NodeFailed."""
    found: dict[str, Any] = {}
    for item in kind.files:
        value = values.get(item.name)
        if isinstance(value, str) and item.folder is not None and value not in (item.choices or ()):
            found[item.name] = context().folders.digest(item.folder, value)
    definition = kind.definition
    if definition.fingerprint is not None:
        arguments = {name: values.get(name) for name in definition.fingerprint_inputs}
        if definition.fingerprint_context is not None:
            arguments[definition.fingerprint_context] = context()
        try:
            value = definition.fingerprint(**arguments)
            found["fingerprint"] = None if value is None else json.dumps(value, sort_keys=True)
        except EaselError:
            raise
        except Exception as error:  # a node's code may raise anything; the run goes on without this branch
            message = f"The fingerprint of {kind.info.display_name} failed: {type(error).__name__}: {error}"
            raise NodeFailed(message, hint="It decides whether a cached value still holds.") from error
    return found

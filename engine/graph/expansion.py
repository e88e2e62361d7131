"""Run-time expansion: the sub-graph that a node returns becomes steps with flat ids, `<submitted node>.<number>`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidWorkflow, NodeFailed
from engine.graph.calls import Call, output_items, passed_keys
from engine.graph.digest import Opaque, literal_bytes, short_hash
from engine.graph.graph import Graph, Link, Node
from engine.graph.items import Item
from engine.graph.plan import Planner, execution_order
from engine.graph.results import Expand
from engine.graph.steps import Step


@dataclass(frozen=True)
class Scope:
    """What a Rewrite sees: the node that expands, and every node of the run by its flat id. Nothing of it may be changed."""

    node: Node
    nodes: Mapping[str, Node]


class Rewrite(Expand):
    """An expansion that is made from the graph around the node: loops copy the nodes of their body."""

    def __init__(self, build: Callable[[Scope], Expand]) -> None:
        super().__init__(Graph())
        object.__setattr__(self, "build", build)

    build: Callable[[Scope], Expand]


class _Nodes(Mapping[str, Node]):
    """The nodes behind steps, without a copy."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps

    def __getitem__(self, node_id: str) -> Node:
        return self._steps[node_id].node

    def __iter__(self) -> Any:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


class Expander:
    """Adds the sub-graphs of one run to its plan. Safe to use from several threads."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._nodes = _Nodes(planner.steps)
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def rewrite(self, step: Step, rewrite: Rewrite) -> Expand:
        return rewrite.build(Scope(step.node, self._nodes))

    def expand(self, step: Step, call: Call, expand: Expand) -> tuple[tuple[Any, ...], list[Step]]:
        """The outputs of the call, as items or (step, slot), and the output nodes of the sub-graph. Raises NodeFailed."""
        nodes = expand.graph.nodes
        name = step.kind.info.display_name
        if len(expand.outputs) != len(step.kind.routes):
            raise NodeFailed(f"{name} expanded to {len(expand.outputs)} outputs where it declares {len(step.kind.routes)}.")
        links = [value.node for value in expand.outputs if isinstance(value, Link)]
        with self._lock:
            wanted = [node_id for node_id in links if node_id in nodes]
            shown = [node_id for node_id, node in nodes.items() if self._planner.is_output(node.type)]
            try:
                # output nodes first, so that what a long expansion shows is not left to its end
                order = execution_order(nodes, [*shown, *wanted])
                ids = self._new_ids(step, order)
                for node_id in order:
                    self._planner.add(self._node(step, call, nodes[node_id], ids)).partial = step.partial
            except InvalidWorkflow as error:
                raise NodeFailed(f"{name} expanded to a graph that cannot run: {error.message}", hint=error.hint) from error
            steps = self._planner.steps
            unknown = [node_id for node_id in links if node_id not in ids and node_id not in steps]
            if unknown:
                raise NodeFailed(f"{name} expanded to outputs of {', '.join(unknown)}, which is neither in its graph nor in the workflow.")
            outputs = tuple(self._output(step, call, slot, value, ids) for slot, value in enumerate(expand.outputs))
            return outputs, [steps[ids[node_id]] for node_id in shown]

    def _new_ids(self, step: Step, order: list[str]) -> dict[str, str]:
        root = step.node.meta.get("root") or step.node.id
        number = self._numbers.get(root, 0)
        ids: dict[str, str] = {}
        for node_id in order:
            while f"{root}.{number}" in self._planner.steps:
                number += 1
            ids[node_id] = f"{root}.{number}"
            number += 1
        self._numbers[root] = number
        return ids

    def _node(self, parent: Step, call: Call, node: Node, ids: Mapping[str, str]) -> Node:
        root = parent.node.meta.get("root") or parent.node.id
        inputs = {name: self._input(call, node.id, name, value, ids) for name, value in node.inputs.items()}
        return Node(
            ids[node.id], node.type, inputs, node.submitted_type or node.type, {**node.meta, "root": root}, parent.node.id,
            node.display or parent.node.display_id,
        )  # fmt: skip

    def _input(self, call: Call, node_id: str, name: str, value: Any, ids: Mapping[str, str]) -> Any:
        """Links get the new ids; a value that the expanding node received keeps its key; another is named by where it stands."""
        if isinstance(value, Link):
            return Link(ids.get(value.node, value.node), value.slot)
        if isinstance(value, Item):
            return value
        try:
            literal_bytes(value)
        except Opaque:
            return Item(value, passed_keys(call).get(id(value)) or b"x" + short_hash(call.digest + f"{node_id}\0{name}".encode()))
        return value

    def _output(self, parent: Step, call: Call, slot: int, value: Any, ids: Mapping[str, str]) -> Any:
        if not isinstance(value, Link):
            return output_items(call, slot, value, series=parent.kind.info.outputs[slot].series, passed=passed_keys(call))
        step = self._planner.steps[ids.get(value.node, value.node)]
        return (step.leader or step, value.slot)

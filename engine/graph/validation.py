"""Validation: everything that is wrong with a graph, at once. Pure, iterative, linear in nodes and links, and always in the same order.

One walk serves two faces. Strict (/api/v1): JSON types at their word, unknown inputs refused, one problem stops all.
Lenient (/prompt): values are cast as ComfyUI casts them, in a copy; outputs whose part of the graph is sound may run.
As in ComfyUI only what a wanted output reaches is looked at: a half-made corner of a canvas does not stop the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import InvalidWorkflow, Problem
from engine.graph.catalogue import ANY, Catalogue
from engine.graph.checks import Checks, ClassChecks, InputCheck
from engine.graph.graph import BadLink, Graph, Link, Node
from engine.graph.limits import DEFAULT_LIMITS, Limits
from engine.graph.literals import Rejected, brief, nearest, type_of_literal
from engine.graph.ports import matches
from engine.graph.walk import Walk, walk

_MISSING: Any = object()
_MOST_HINTS = 20  # nearest names are searched for this often; each search reads the whole catalogue


@dataclass(frozen=True)
class Validated:
    """`graph` is a copy with cast values and defaults filled in. `outputs` may run; `failed` are wanted outputs that may not.

    `invalid`: nodes with a problem of their own or above them. Strict: with any problem, `outputs` is empty.
    """

    graph: Graph
    outputs: tuple[str, ...]
    failed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    invalid: frozenset[str] = frozenset()

    def raise_for_problems(self) -> None:
        """Raise InvalidWorkflow with all problems, if there are any."""
        if self.problems:
            raise InvalidWorkflow(self.problems)


def validate(
    graph: Graph, catalogue: Catalogue, *, strict: bool, targets: Sequence[str] | None = None, limits: Limits = DEFAULT_LIMITS
) -> Validated:
    """Check a flat graph against the catalogue.

    targets: the nodes to run up to; None for all output nodes. Strict takes any node, lenient counts output nodes only.
    Problem.details are ComfyUI's `extra_info`, except `input_config`.
    """
    return _Validator(graph, catalogue, strict, limits).run(targets)


@dataclass(slots=True)
class _Checked:
    """What is known of one node while it is checked. `received`: for inputs of a type variable, where which type came in."""

    node: Node
    checks: ClassChecks
    inputs: dict[str, Any] = field(default_factory=dict)
    sound: bool = True
    received: list[tuple[InputCheck, str, str]] = field(default_factory=list)


class _Validator:
    def __init__(self, graph: Graph, catalogue: Catalogue, strict: bool, limits: Limits) -> None:
        self.nodes = graph.nodes
        self.catalogue = catalogue
        self.strict = strict
        self.limits = limits
        self.checks = Checks(catalogue, strict=strict, limits=limits)
        self.problems: list[Problem] = list(graph.problems)
        self.ids = list(catalogue.ids())
        self.flagged = {(problem.node_id, problem.input) for problem in graph.problems}
        self.unlisted = 0
        self.hints: dict[tuple[str, str], str] = {}
        self.types: dict[str, tuple[str, ...]] = {}  # output types of nodes with type variables
        self.invalid: set[str] = {problem.node_id for problem in graph.problems if problem.node_id is not None}

    def run(self, targets: Sequence[str] | None) -> Validated:
        wanted = self.wanted(targets)
        reached = walk(self.nodes, wanted)
        self.report_cycles(reached)
        checked = dict(self.nodes)
        for id in reached.order:
            checked[id] = self.check(self.nodes[id])
        outputs = tuple(id for id in wanted if id not in self.invalid)
        problems = self.listed()
        if self.strict and problems:
            outputs = ()
        failed = tuple(id for id in wanted if id not in outputs) if len(outputs) < len(wanted) else ()
        return Validated(Graph(checked), outputs, failed, problems, frozenset(self.invalid))

    def wanted(self, targets: Sequence[str] | None) -> list[str]:
        """The nodes to run up to, in the order of the graph; reports classes that nobody declares."""
        chosen = None if targets is None else set(targets)
        wanted, unknown = [], False
        for id, node in self.nodes.items():
            checks = self.checks.get(node.submitted_type or node.type)
            if checks is None:
                if chosen is None or not self.strict:  # it could have been an output node
                    self.report_unknown(node)
                    unknown = True
            elif (chosen is None or id in chosen) and (checks.info.output_node or (self.strict and chosen is not None)):
                wanted.append(id)
        if self.strict and chosen is not None:
            for id in targets or ():
                if id in self.nodes:
                    continue
                self.problem("unknown_target", f"There is no node {brief(id)} to run up to.", self.near_node(id))
        if not wanted and not unknown:
            self.problem("prompt_no_outputs", "Prompt has no outputs", "Add a node that saves or shows something, such as SaveImage.")
        return wanted

    def report_unknown(self, node: Node) -> None:
        if node.id in self.invalid:
            return
        class_type = node.submitted_type or node.type
        hint = self.near(class_type, self.ids) or "Install the pack that declares it, or remove the node."
        self.invalid.add(node.id)
        self.problem(
            "unknown_node", f"node {brief(node.id)}: no node {brief(class_type)} is installed.", hint, node.id, class_type=class_type
        )

    def report_cycles(self, reached: Walk) -> None:
        for id, path in reached.cycles:
            self.invalid.add(id)
            shown = " > ".join(path[:10]) + (" > ..." if len(path) > 10 else "")
            message = f"node {brief(id)} depends on itself" + (f": {shown} > {path[0]}." if path else ".")
            self.problem("dependency_cycle", message, "Open the ring at one of its links.", id, nodes=list(path[:100]))

    def check(self, node: Node) -> Node:
        """A copy of the node with cast values; what is wrong with it is reported."""
        checks = self.checks.get(node.submitted_type or node.type)
        if checks is None:
            self.report_unknown(node)
            return node
        state = _Checked(node, checks)
        present, count = node.inputs, 0
        for item in checks.inputs:
            value = present.get(item.name, _MISSING)
            if value is _MISSING:
                self.absent(state, item)
            else:
                count += 1
                self.value(state, item, item.name, value)
        undeclared = self.others(state) if count < len(present) or checks.variadic else None
        if checks.generic:
            self.types[node.id] = self.bind(state)
        if not state.sound:
            self.invalid.add(node.id)
        return Node(node.id, node.type, state.inputs, node.submitted_type, node.meta, node.parent, node.display, undeclared)

    def absent(self, state: _Checked, item: InputCheck) -> None:
        if item.fills:
            if item.info.folder is not None:
                self.literal(state, item, item.name, item.default)
            else:
                state.inputs[item.name] = list(item.default) if isinstance(item.default, list) else item.default
        elif item.required and (state.node.id, item.shown) in self.flagged:  # flattening has told why it is absent
            state.sound = False
        elif item.required:
            example = f"Give it a value, such as {brief(item.default)}." if item.info.has_default else ""
            hint = example or f"Link it to an output of type {item.type}."
            self.fault(state, "required_input_missing", item.shown, "Required input is missing.", hint)

    def value(self, state: _Checked, item: InputCheck, name: str, value: Any) -> None:
        kind = type(value)
        if kind is Link:
            self.link(state, item, name, value)
        elif kind is BadLink:
            self.bad_link(state, item.shown if name == item.name else name, value.value)
        elif value is not None or item.required or item.fills:
            self.literal(state, item, name, value)

    def literal(self, state: _Checked, item: InputCheck, name: str, value: Any) -> None:
        try:
            state.inputs[name] = item.cast(value)
        except Rejected as error:
            shown = item.shown if name == item.name else name
            self.fault(state, error.code, shown, f"{error.message}.", error.hint, **error.details)
            return
        if state.checks.generic and item.type.startswith("$"):
            state.received.append((item, type_of_literal(value), name))

    def link(self, state: _Checked, item: InputCheck, name: str, link: Link) -> None:
        state.inputs[name] = link
        source = self.nodes.get(link.node)
        if source is None:
            self.dangling(state, item.shown if name == item.name else name, link)
            return
        if link.node in self.invalid:
            state.sound = False
        checks = self.checks.get(source.submitted_type or source.type)
        if checks is None:
            return
        types = (self.types.get(link.node) or _any(checks)) if checks.generic else checks.outputs
        if link.slot >= len(types):
            names = ", ".join(f"{slot} {output.name}" for slot, output in enumerate(checks.info.outputs)) or "no outputs"
            message = f"node {brief(link.node)} ({checks.class_type}) has no output {brief(link.slot)}."
            self.fault(state, "bad_linked_input", item.shown, message, f"It has {names}.", received_value=list(link))
            return
        received = types[link.slot]
        if state.checks.generic and item.type.startswith("$"):
            state.received.append((item, received, name))
        elif received != item.type and not matches(received, item.type):
            self.mismatch(state, item.shown if name == item.name else name, item.type, received, link)

    def mismatch(self, state: _Checked, shown: str, wanted: str, received: str, link: Link | None) -> None:
        hint = f"Link an output of type {wanted}."
        details: dict[str, Any] = {"received_type": received}
        origin = ""
        if link is not None:
            details["linked_node"] = list(link)
            origin = f" from node {brief(link.node)}"
            source = self.nodes[link.node]
            checks = self.checks.get(source.submitted_type or source.type)
            fitting = [slot for slot, type_name in enumerate(checks.outputs) if matches(type_name, wanted)] if checks is not None else []
            if fitting:
                hint = f"Its output {fitting[0]} is {wanted}."
        self.fault(state, "return_type_mismatch", shown, f"takes {wanted} and gets {received}{origin}.", hint, **details)

    def bad_link(self, state: _Checked, shown: str, value: list[Any]) -> None:
        if len(value) == 2 and isinstance(value[0], int) and not isinstance(value[0], bool):
            hint = f'Node ids are texts: ["{value[0]}", {brief(value[1])}].'
        else:
            hint = 'A link is ["node id", 0]; a literal list is {"__value__": [...]}.'
        message = f"Bad linked input, must be a length-2 list of [node_id, slot_index], is {brief(value)}."
        self.fault(state, "bad_linked_input", shown, message, hint, received_value=brief(value))

    def dangling(self, state: _Checked, shown: str, link: Link) -> None:
        message = f"links to node {brief(link.node)}, which is not in the graph."
        self.fault(state, "bad_linked_input", shown, message, self.near_node(link.node), received_value=[brief(link.node), link.slot])

    def others(self, state: _Checked) -> dict[str, Any] | None:
        """Sockets of variadic inputs, and inputs that the class does not declare."""
        declared = {item.name for item in state.checks.inputs}
        undeclared: dict[str, Any] = {}
        filled: set[str] = set()
        for name, value in state.node.inputs.items():
            if name in declared:
                continue
            item = state.checks.socket(name)
            if item is not None:
                filled.add(item.name)
                self.value(state, item, name, value)
                continue
            undeclared[name] = value
            if type(value) is Link and value.node not in self.nodes:
                self.dangling(state, name, value)
            elif self.strict:
                known = [item.shown for item in state.checks.inputs]
                hint = self.near(name, known) or f"It has {', '.join(known) or 'no inputs'}."
                self.fault(state, "unknown_input", name, f"{state.checks.class_type} has no such input.", hint)
        for item, _ in state.checks.variadic:
            if item.required and item.name not in filled:
                self.fault(state, "required_input_missing", item.shown, "Required input is missing.", f"Link at least {item.name}0.")
        return undeclared or None

    def bind(self, state: _Checked) -> tuple[str, ...]:
        """Find what each type variable of the node stands for; returns its output types."""
        bound: dict[str, str] = {}
        for item, received, name in state.received:
            before = bound.get(item.type, ANY)
            if before == ANY or (before == "INT" and received == "FLOAT"):
                bound[item.type] = received
            elif not matches(received, before):
                value = state.inputs[name]
                self.mismatch(state, item.shown if name == item.name else name, before, received, value if type(value) is Link else None)
        return tuple(bound.get(output, ANY) if output.startswith("$") else output for output in state.checks.outputs)

    def fault(self, state: _Checked, code: str, shown: str, message: str, hint: str, **details: Any) -> None:
        state.sound = False
        place = f"node {brief(state.node.id)} ({state.checks.class_type}), input {brief(shown)}: "
        self.problem(code, place + message, hint, state.node.id, shown, input_name=shown, **details)

    def problem(self, code: str, message: str, hint: str, node_id: str | None = None, input: str | None = None, **details: Any) -> None:
        if len(self.problems) < self.limits.problems:
            self.problems.append(Problem(code, message[:1].upper() + message[1:], node_id=node_id, input=input, hint=hint, details=details))
        else:
            self.unlisted += 1

    def near(self, name: str, known: Sequence[str]) -> str:
        key = (name, known[0] if known else "")
        if key not in self.hints:
            self.hints[key] = nearest(name, known) if len(self.hints) < _MOST_HINTS else ""
        return self.hints[key]

    def near_node(self, id: str) -> str:
        return (self.near(id, list(self.nodes)) if len(self.nodes) <= 2_000 else "") or "Link to a node that is there, or remove the link."

    def listed(self) -> tuple[Problem, ...]:
        """The problems in the order of the graph's nodes, those of the graph as a whole first."""
        if not self.problems:
            return ()
        position = {id: index for index, id in enumerate(self.nodes)}
        found = sorted(self.problems, key=lambda problem: position.get(problem.node_id or "", -1))
        if self.unlisted:
            found.append(Problem("more_problems", f"{self.unlisted} more problems are not listed.", hint="Mend these first."))
        return tuple(found)


def _any(checks: ClassChecks) -> tuple[str, ...]:
    """Output types of a node with type variables that is not checked yet, as happens in a ring."""
    return tuple(ANY if output.startswith("$") else output for output in checks.outputs)

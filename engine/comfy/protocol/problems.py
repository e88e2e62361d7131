"""Problems of a workflow as `POST /prompt` reports them: `error` and `node_errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.comfy.protocol.object_info import choices_of, input_config
from engine.errors import Problem
from engine.graph.catalogue import Catalogue
from engine.graph.graph import Graph, Link
from engine.graph.validation import Validated

MANY_CHOICES = 20
MANY_OUTPUTS = 100
"""For this many failed outputs the nodes above them are searched."""

_SAME_EVERYWHERE = {
    "required_input_missing": "Required input is missing",
    "bad_linked_input": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "value_not_in_list": "Value not in list",
}
_WHOLE_PROMPT = frozenset({"invalid_prompt", "missing_class_type", "unknown_node"})


def no_prompt() -> dict[str, Any]:
    return _error("no_prompt", "No prompt provided", "No prompt provided")


def malformed(message: str) -> dict[str, Any]:
    """A body that cannot be read at all."""
    return _error("invalid_prompt", message, "")


def structural(problems: Sequence[Problem]) -> dict[str, Any]:
    """What is wrong with a prompt whose structure could not even be read."""
    first = problems[0]
    return _error("invalid_prompt", first.message, "\n".join(problem.message for problem in problems[1:]))


def node_errors(validated: Validated, catalogue: Catalogue) -> dict[str, Any]:
    """Errors by node, for every node that has one of its own."""
    errors: dict[str, Any] = {}
    graph = validated.graph
    dependents = _dependents(graph, validated.failed)
    for problem in validated.problems:
        node = graph.nodes.get(problem.node_id) if problem.node_id is not None else None
        if node is None or problem.code in _WHOLE_PROMPT:
            continue
        class_type = node.submitted_type or node.type
        entry = errors.setdefault(node.id, {"errors": [], "dependent_outputs": dependents.get(node.id, []), "class_type": class_type})
        entry["errors"].append(_node_error(problem, class_type, catalogue))
    return errors


def refusal(validated: Validated, catalogue: Catalogue) -> dict[str, Any] | None:
    """The top-level error of a prompt none of whose outputs may run, or whose classes are not all known; None when it may be queued."""
    for problem in validated.problems:
        if problem.code in _WHOLE_PROMPT:
            return _unusable(problem)
    for problem in validated.problems:
        if problem.code == "prompt_no_outputs":
            return _error("prompt_no_outputs", "Prompt has no outputs", "")
    if validated.outputs:
        return None
    failed = set(validated.failed)
    own = [_node_error(problem, "", catalogue) for problem in validated.problems if problem.node_id in failed or problem.node_id is None]
    details = "\n".join(f"{error['message']}: {error['details']}" for error in own)
    return _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details)


def _unusable(problem: Problem) -> dict[str, Any]:
    where = f"Node ID '#{problem.node_id}'" if problem.node_id is not None else ""
    match problem.code:
        case "missing_class_type":
            return _error("invalid_prompt", "Cannot execute because a node is missing the class_type property.", where)
        case "unknown_node":
            name = problem.details.get("class_type", "")
            return _error("invalid_prompt", f"Cannot execute because node {name} does not exist.", where)
    return _error("invalid_prompt", problem.message, where)


def _node_error(problem: Problem, class_type: str, catalogue: Catalogue) -> dict[str, Any]:
    shown = problem.input or ""
    extra = dict(problem.details)
    message, details = _SAME_EVERYWHERE.get(problem.code, problem.message), shown
    config = input_config(class_type, shown, catalogue) if shown else None
    if shown:
        extra["input_name"] = shown
        if problem.code != "required_input_missing":
            extra["input_config"] = config
    value = extra.get("received_value")
    match problem.code:
        case "return_type_mismatch":
            wanted = config[0] if config else ""
            details = f"{shown}, received_type({extra.get('received_type')}) mismatch input_type({wanted})"
        case "value_not_in_list":
            choices = _choices(class_type, shown, catalogue)
            listed = f"(list of length {len(choices)})" if len(choices) > MANY_CHOICES else str(choices)
            details = f"{shown}: '{value}' not in {listed}"
            if len(choices) > MANY_CHOICES:
                extra["input_config"] = None
        case "invalid_input_type":
            kind = config[0] if config else "literal"
            message = f"Failed to convert an input value to a {kind} value"
            details = f"{shown}, {value}, {extra.get('exception_message', '')}"
        case "value_smaller_than_min" | "value_bigger_than_max":
            smaller = problem.code == "value_smaller_than_min"
            bound = config[1].get("min" if smaller else "max") if config else None
            if bound is not None:
                message = f"Value {value} {'smaller than min' if smaller else 'bigger than max'} of {bound}"
    return {"type": problem.code, "message": message, "details": details, "extra_info": extra}


def _choices(class_type: str, shown: str, catalogue: Catalogue) -> list[Any]:
    found = catalogue.find(class_type)
    if found is None:
        return []
    info, alias = found
    name = alias.inputs.get(shown, shown) if alias is not None else shown
    return next((choices_of(item, catalogue) for item in info.inputs if item.name == name), [])


def _dependents(graph: Graph, failed: Sequence[str]) -> dict[str, list[str]]:
    """For each node, the failed outputs that need it, in their order."""
    found: dict[str, list[str]] = {}
    for output in failed[:MANY_OUTPUTS]:
        seen = {output}
        ahead = [output]
        while ahead:
            node_id = ahead.pop()
            found.setdefault(node_id, []).append(output)
            node = graph.nodes.get(node_id)
            for value in (*node.inputs.values(), *(node.undeclared or {}).values()) if node is not None else ():
                if isinstance(value, Link) and value.node in graph.nodes and value.node not in seen:
                    seen.add(value.node)
                    ahead.append(value.node)
    return found


def _error(kind: str, message: str, details: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}

"""`--set NODE.INPUT=VALUE`: other values for inputs of a workflow that was read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from engine.errors import InvalidWorkflow, Problem
from engine.graph.workflow import Entry, Workflow


def assign(workflow: Workflow, assignments: Iterable[str]) -> None:
    """Put the values into the workflow. NODE is an id, or a title that only one node has. InvalidWorkflow lists every wrong one.

    VALUE is text where the input holds a text now, else JSON where it is JSON (`7`, `true`, `"7"` for the text 7), else text.
    """
    problems = []
    for text in assignments:
        target, equals, value = text.partition("=")
        place = _place(workflow, target) if equals else None
        if place is None:
            problems.append(_problem(workflow, text, bool(equals)))
        else:
            entry, name = place
            entry.inputs[name] = _value(value, entry.inputs.get(name))
    if problems:
        raise InvalidWorkflow(problems)


def _place(workflow: Workflow, target: str) -> tuple[Entry, str] | None:
    """The node and the input that `NODE.INPUT` names; both may contain dots, the longest node wins."""
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        node, name = ".".join(parts[:cut]), ".".join(parts[cut:])
        titled = [entry for entry in workflow.nodes.values() if entry.meta.get("title") == node]
        entry = workflow.nodes.get(node) or (titled[0] if len(titled) == 1 else None)
        if entry is not None and name:
            return entry, name
    return None


def _value(text: str, present: Any) -> Any:
    if isinstance(present, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _problem(workflow: Workflow, text: str, complete: bool) -> Problem:
    if not complete:
        return Problem("bad_assignment", f"--set {text} has no value", hint="write --set NODE.INPUT=VALUE")
    nodes = ", ".join(list(workflow.nodes)[:20])
    return Problem("unknown_node", f"--set {text} names no node of the workflow, or a title that several have", hint=f"nodes: {nodes}")

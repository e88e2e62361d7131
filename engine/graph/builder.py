"""Recording: inside `with Workflow() as w:` a call of a node adds it to the workflow and gives handles of its outputs."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import InvalidWorkflow, Problem
from engine.graph.graph import Link
from engine.graph.ports import matches

if TYPE_CHECKING:
    from engine.graph.node import Definition


class Recorder(Protocol):
    """What a call records into; Workflow is one."""

    def record(self, class_type: str, name: str, inputs: dict[str, Any]) -> str:
        """Add a node and return its id, made from `name`."""


active: ContextVar[Recorder | None] = ContextVar("active workflow", default=None)


@dataclass(frozen=True)
class Output:
    """A future value: output `slot` of a recorded node."""

    node: str
    slot: int
    type: str

    @property
    def link(self) -> Link:
        return Link(self.node, self.slot)


@dataclass(frozen=True)
class Recorded:
    """A recorded node without outputs; `node` is its id, to run up to."""

    node: str


def record(workflow: Recorder, definition: Definition, arguments: dict[str, Any]) -> Any:
    """Add the call to the workflow; returns its outputs in the shape that the node returns them."""
    inputs: dict[str, Any] = {}
    for info in definition.info.inputs:
        if info.name not in arguments:
            continue
        value = arguments[info.name]
        if value is None and not info.required:
            continue
        if info.variadic:
            inputs.update({f"{info.name}{index}": _recorded(definition, info, item) for index, item in enumerate(value)})
        else:
            inputs[info.name] = _recorded(definition, info, value)
    node_id = workflow.record(definition.info.id, definition.function.__name__, inputs)
    handles = [Output(node_id, slot, output.type) for slot, output in enumerate(definition.info.outputs)]
    if definition.outputs_class is not None:
        return definition.outputs_class(*handles)
    return handles[0] if handles else Recorded(node_id)


def _recorded(definition: Definition, info: Any, value: Any) -> Any:
    if isinstance(value, Recorded):
        raise _refused(definition, info.name, "was given a node without outputs")
    if isinstance(value, Output):
        if not (value.type.startswith("$") or info.type.startswith("$") or matches(value.type, info.type)):
            raise _refused(definition, info.name, f"takes {info.type} and was given {value.type}")
        return value.link
    if value is None or isinstance(value, str | int | float | bool | dict):
        return value
    if isinstance(value, list | tuple):
        if any(isinstance(item, Output) for item in value):
            raise _refused(definition, info.name, "was given a list of outputs; only a Variadic input takes several")
        return list(value)
    raise _refused(
        definition, info.name, f"was given a {type(value).__name__}; a workflow holds literals and outputs of its own nodes only"
    )


def _refused(definition: Definition, name: str, reason: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem("bad_argument", f"{definition.info.id}: {name} {reason}.", input=name)])

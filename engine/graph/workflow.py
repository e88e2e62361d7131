"""A workflow as people write and save it: nodes with values by name, subgraphs, layout. Format `easel/1` (docs/workflow_format.md).

Reading is in `workflow_reader`, laying flat in `flatten`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.graph import builder
from engine.graph.catalogue import Catalogue
from engine.graph.graph import BadLink, Graph, Link
from engine.graph.limits import DEFAULT_LIMITS, Limits

FORMAT = "easel/1"
SUBGRAPH = "subgraph:"  # class_type of an instance: "subgraph:" and the name of the definition
VALUE = "__value__"  # {"__value__": [1, 2]} is a literal list
INPUT = "__input__"  # {"__input__": "image"}, inside a subgraph: what the instance gets as `image`

Mode = Literal["run", "mute", "bypass"]


@dataclass(frozen=True, slots=True)
class SubgraphInput:
    """Inside a subgraph: the value that its instance gets under this name."""

    name: str


@dataclass(slots=True)
class Entry:
    """A node as written. `inputs` holds Link, SubgraphInput, BadLink or a literal; `extra` are keys that Easel does not know."""

    class_type: str
    inputs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] | None = None

    @property
    def mode(self) -> Mode:
        mode = self.meta.get("mode")
        return mode if mode in ("mute", "bypass") else "run"

    @property
    def subgraph(self) -> str | None:
        """The name of the subgraph that this is an instance of, None for a plain node."""
        return self.class_type.removeprefix(SUBGRAPH) if self.class_type.startswith(SUBGRAPH) else None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "class_type": self.class_type,
            "inputs": {name: write_value(value) for name, value in self.inputs.items()},
        }
        if self.meta:
            found["_meta"] = self.meta
        return {**found, **(self.extra or {})}


@dataclass(slots=True)
class Subgraph:
    """A reusable part. `inputs`: name -> {"type", "default", ...}, all keys optional;
    `outputs`: name -> where the value comes from, in slot order."""

    nodes: dict[str, Entry] = field(default_factory=dict)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Link | SubgraphInput] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "outputs": {name: write_value(value) for name, value in self.outputs.items()},
            "nodes": {id: entry.to_json() for id, entry in self.nodes.items()},
            **self.extra,
        }


@dataclass(slots=True)
class Workflow:
    """`source` says what it was read from: "easel/1", or "api" for ComfyUI's bare API prompt.

    `with Workflow() as w:` records calls of nodes: `latent = ksampler(model, ...)` adds a node and gives a handle of its output.
    """

    nodes: dict[str, Entry] = field(default_factory=dict)
    subgraphs: dict[str, Subgraph] = field(default_factory=dict)
    layout: dict[str, Any] = field(default_factory=dict)
    requires: dict[str, Any] = field(default_factory=dict)
    revision: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    source: str = FORMAT
    _recording: list[Token[builder.Recorder | None]] = field(default_factory=list, repr=False, compare=False)

    def __enter__(self) -> Workflow:
        self._recording.append(builder.active.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        builder.active.reset(self._recording.pop())

    def record(self, class_type: str, name: str, inputs: dict[str, Any]) -> str:
        """Add a node under an id made from `name`: ksampler, ksampler_2, ..."""
        name = name.strip("_") or "node"
        id, number = name, 1
        while id in self.nodes:
            number += 1
            id = f"{name}_{number}"
        self.nodes[id] = Entry(class_type, inputs)
        return id

    def flatten(self, catalogue: Catalogue, limits: Limits = DEFAULT_LIMITS) -> Graph:
        """The graph to validate and run: canonical names, subgraphs and modes resolved. Raises InvalidWorkflow or QuotaExceeded."""
        from engine.graph.flatten import flatten  # flatten knows Workflow

        return flatten(self, catalogue, limits)

    def to_json(self) -> dict[str, Any]:
        """The document, keys in a fixed order; nodes and inputs keep theirs."""
        found: dict[str, Any] = {
            "format": FORMAT,
            "revision": self.revision,
            "nodes": {id: entry.to_json() for id, entry in self.nodes.items()},
        }
        if self.subgraphs:
            found["subgraphs"] = {name: subgraph.to_json() for name, subgraph in self.subgraphs.items()}
        found.update({name: block for name, block in (("layout", self.layout), ("requires", self.requires)) if block})
        return {**found, **self.extra}

    def dumps(self) -> str:
        """The text of the file: one value per line, so that a diff shows what changed; pairs of plain values stay on one."""
        text = json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        return _PAIR.sub(r"[\1, \2]", text) + "\n"


_PLAIN = r'("(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+)'
_PAIR = re.compile(rf"\[\n *{_PLAIN},\n *{_PLAIN}\n *\]")


def read_value(raw: Any) -> Any:
    """A value of `inputs` as it stands in JSON -> Link, SubgraphInput, BadLink or literal."""
    if type(raw) is list:
        if len(raw) == 2 and type(raw[0]) is str and type(raw[1]) is int and raw[1] >= 0:
            return Link(raw[0], raw[1])
        return BadLink(raw)
    if type(raw) is dict and len(raw) == 1:
        if VALUE in raw:
            return raw[VALUE]
        if type(raw.get(INPUT)) is str:
            return SubgraphInput(raw[INPUT])
    return raw


def write_value(value: Any) -> Any:
    """The inverse of `read_value`."""
    if isinstance(value, Link):
        return [value.node, value.slot]
    if isinstance(value, SubgraphInput):
        return {INPUT: value.name}
    if isinstance(value, BadLink):
        return value.value
    if isinstance(value, list | tuple) or (isinstance(value, Mapping) and len(value) == 1 and (VALUE in value or INPUT in value)):
        return {VALUE: value}
    return value

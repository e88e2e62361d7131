"""What a node may return besides its plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engine.graph.graph import Graph

T = TypeVar("T")


@dataclass(frozen=True)
class Shown(Generic[T]):
    """The result of an output node: what clients are shown, and its outputs if it has any.

    ui: name -> list of JSON values; a file is {"filename", "subfolder", "type"} with type input, output or temp
        (Folders.save returns such a record). Lists of one node's calls are joined name by name.
    value: as a node without `Shown` would return it: one value, a NamedTuple, or None without outputs.
    """

    ui: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    value: T | None = None


@dataclass(frozen=True)
class Expand:
    """Replace the node by a sub-graph at run time. `outputs` has, for each output of the node, a Link into the graph or a value."""

    graph: Graph
    outputs: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Blocked:
    """In place of an output's value: nodes that need it are not called. A message is shown as an error of the first of them."""

    message: str | None = None

"""The flat graph that is validated, digested and executed: subgraphs and modes are already resolved, every name is the canonical one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.errors import Problem


class Link(NamedTuple):
    """The value of output number `slot` of node `node`."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class BadLink:
    """A list in a submitted graph that is no link and no wrapped value; validation reports it."""

    value: list[Any]


@dataclass(slots=True)
class Node:
    """`inputs` holds a Link or a literal for each input that is set. A literal that is a list is an ordinary Python list here.

    `undeclared` are inputs that the class does not know: files and history keep them, no node gets them. Validation sorts them out.
    """

    id: str
    type: str  # canonical id
    inputs: dict[str, Any]
    submitted_type: str = ""  # the id as the client wrote it: files, history and errors keep it
    meta: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None  # the node whose run-time expansion made this one
    display: str = ""  # the submitted node to highlight; empty: this one
    undeclared: dict[str, Any] | None = None

    @property
    def display_id(self) -> str:
        return self.display or self.id


@dataclass(slots=True)
class Graph:
    """`problems` is what resolving subgraphs and modes found wrong; validation adds the rest."""

    nodes: dict[str, Node] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

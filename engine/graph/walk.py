"""Walking back from the wanted nodes: what they need, sources first, and the rings on the way. Iterative, linear, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.graph.graph import Link, Node

_OPEN, _DONE = 1, 2
_MOST_PATHS = 20  # rings whose members are named; a path costs as much as the graph is long


@dataclass(slots=True)
class Walk:
    """`order`: every reached node after its sources. `cycles`: (node whose link closes a ring, members of the ring or nothing)."""

    order: list[str] = field(default_factory=list)
    cycles: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def walk(nodes: Mapping[str, Node], wanted: Iterable[str]) -> Walk:
    """Depth-first along the links of `inputs` from each wanted node; links to nodes that are not there are passed over."""
    found = Walk()
    states: dict[str, int] = {}
    for start in wanted:
        pending = [start]
        while pending:
            id = pending[-1]
            state = states.get(id)
            if state is None:
                states[id] = _OPEN
                closing = None
                for value in reversed(nodes[id].inputs.values()):  # the first source comes to lie on top
                    if type(value) is Link:
                        source = value.node
                        known = states.get(source)
                        if known is None:
                            if source in nodes:
                                pending.append(source)
                        elif known == _OPEN and closing is None:
                            closing = source
                if closing is not None:
                    path = _ring(pending, states, closing, id) if len(found.cycles) < _MOST_PATHS else ()
                    found.cycles.append((id, path))
            elif state == _OPEN:
                states[id] = _DONE
                found.order.append(id)
                pending.pop()
            else:
                pending.pop()
    return found


def _ring(pending: list[str], states: Mapping[str, int], first: str, last: str) -> tuple[str, ...]:
    """The open nodes from `first` to `last`: each is a consumer of the next, and `last` takes from `first`."""
    path: list[str] = []
    taken: set[str] = set()
    for id in reversed(pending):  # an id may wait further down as well; its open place is the uppermost one
        if states.get(id) == _OPEN and id not in taken and (path or id == last):
            taken.add(id)
            path.append(id)
            if id == first:
                break
    return tuple(reversed(path))

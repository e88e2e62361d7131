"""Control of the flow: branches, gates, lists and loops. They pass values on untouched, so what follows sees the values' own digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import Field

from engine.errors import NodeFailed
from engine.graph import Blocked, Expand, Graph, Lazy, Link, Node, Series, Variadic, node, port
from engine.graph.expansion import Rewrite, Scope
from engine.graph.limits import check_items

T = TypeVar("T")


@node("If", category="control", needs=lambda condition: ("when_true",) if condition else ("when_false",))
def if_(condition: bool, when_true: Lazy[T | None] = None, when_false: Lazy[T | None] = None) -> T | Blocked:
    """Pass on one of two values. Only what the chosen one needs is computed.

    Args:
        condition: which of the two.
        when_true: the value if the condition holds; if nothing is connected, what follows does not run.
        when_false: the value if it does not; if nothing is connected, what follows does not run.
    """
    value = when_true if condition else when_false
    return Blocked() if value is None else value


@node("Switch", category="control", needs=lambda index: (f"values{index}",))
def switch(index: Annotated[int, Field(ge=0)], values: Variadic[Lazy[T]]) -> T:
    """Pass on one of several values, counted from 0. Only what the chosen one needs is computed."""
    if index >= len(values):
        raise NodeFailed(f"Switch has {len(values)} values, so there is none with the number {index}.", hint="Count from 0.")
    return values[index]


@node("Gate", category="control")
def gate(value: T, is_open: bool = True, message: str = "") -> T | Blocked:
    """Let a value pass, or keep everything that needs it from running.

    Args:
        value: what passes.
        is_open: whether it does.
        message: shown as an error where the branch ends; without one it ends silently.
    """
    return value if is_open else Blocked(message or None)


@node("MakeList", category="control/list")
def make_list(values: Variadic[Series[T]]) -> Series[T]:
    """Make one list of several values and lists, in the order of the inputs. What follows runs once per item."""
    check_items(sum(len(items) for items in values))
    return tuple(item for items in values for item in items)


@node("TakeFromList", category="control/list")
def take_from_list(values: Series[T], index: int = 0) -> T:
    """Take one item of a list, counted from 0, or from the end with -1, -2, ..."""
    if not -len(values) <= index < len(values):
        raise NodeFailed(f"The list has {len(values)} items, so there is none with the number {index}.", hint="Count from 0, or -1 = last.")
    return values[index]


@node("ListLength", category="control/list")
def list_length(values: Series[Any]) -> int:
    """How many items a list has."""
    return len(values)


@node("Range", category="control/list")
def number_range(start: int = 0, stop: int = 10, step: Annotated[int, Field(ge=1)] = 1) -> Series[int]:
    """Whole numbers from `start` up to, but without, `stop`. What follows runs once per number."""
    check_items((stop - start) // step)
    return tuple(range(start, stop, step))


@port("LOOP", color="#9a9ab0")
@dataclass(frozen=True)
class Loop:
    """How far a loop is: `index` counts rounds from 0. body: the nodes of one round, known from the second round on."""

    index: int = 0
    body: Body | None = None


@dataclass(frozen=True)
class Body:
    """The nodes between a RepeatStart (`start`) and its RepeatEnd (`end`), as they were submitted."""

    start: str
    end: Node
    nodes: Mapping[str, Node]


class Round(NamedTuple, Generic[T]):
    loop: Loop
    number: int
    value: T


@node("RepeatStart", category="control/loop")
def repeat_start(value: T) -> Round:
    """The start of a loop. The nodes between it and the RepeatEnd that its `loop` goes to run once per round.

    Args:
        value: what the first round begins with; later rounds begin with what the RepeatEnd got from the round before.

    Returns:
        loop: goes to the RepeatEnd.
        number: which round it is, from 0.
        value: what the round begins with.
    """
    return Round(Loop(), 0, value)


def _is_last(loop: Loop, count: int, until: tuple[bool, ...] | None) -> bool:
    return loop.index + 1 >= count or (bool(until) and all(until or ()))


def _needed(loop: tuple[Loop, ...], count: int, until: tuple[bool, ...] | None) -> tuple[str, ...]:
    if not loop or count == 0:
        return ()
    return ("value",) if _is_last(loop[0], count, until) else ("until",)


@node("RepeatEnd", category="control/loop", needs=_needed)
def repeat_end(
    loop: Series[Loop], value: Lazy[Series[T]], count: Annotated[int, Field(ge=0, le=1_000_000)] = 10, until: Lazy[Series[bool]] = (False,)
) -> Series[T] | Expand:
    """The end of a loop: gives what the last round made. A longer loop goes on where a shorter one ended.

    Args:
        loop: from the RepeatStart.
        value: what the round made; the next one begins with it.
        count: how many rounds, at most.
        until: ends the loop after a round in which it is true.
    """
    if not loop:
        return ()
    if count == 0:
        return Rewrite(lambda scope: Expand(Graph(), (Link(scope.node.inputs["loop"].node, 2),)))
    return value if _is_last(loop[0], count, until) else Rewrite(partial(_next_round, loop[0]))


def _next_round(loop: Loop, scope: Scope) -> Expand:
    """A copy of the body that begins with the value of this round, and a RepeatEnd for it: the rest of the loop."""
    body = loop.body or _body(scope)
    prefix = "next:"
    while any(prefix + name in scope.nodes for name in (*body.nodes, body.end.id)):
        prefix += ":"
    index = loop.index + 1

    def moved(value: Any) -> Any:
        if not isinstance(value, Link):
            return value
        if value.node == body.start:
            return {0: value, 1: index, 2: scope.node.inputs["value"]}[value.slot]
        return Link(prefix + value.node, value.slot) if value.node in body.nodes else value

    graph = Graph()
    for name, original in (*body.nodes.items(), (body.end.id, body.end)):
        inputs = {key: moved(value) for key, value in original.inputs.items()}
        graph.nodes[prefix + name] = replace(original, id=prefix + name, inputs=inputs, display=original.display_id)
    end = graph.nodes[prefix + body.end.id]
    end.inputs["loop"] = replace(loop, index=index, body=body)
    return Expand(graph, (Link(end.id, 0),))


def _body(scope: Scope) -> Body:
    """The nodes that lie between the start and the end: those that the end needs and that need the start."""
    end = scope.node
    start = end.inputs["loop"].node
    inside: dict[str, bool] = {start: True}
    for root in _linked(end):
        stack = [root]
        while stack:
            name = stack[-1]
            if name in inside:
                stack.pop()
                continue
            sources = _linked(scope.nodes[name])
            waiting = [source for source in sources if source not in inside]
            if waiting:
                stack.extend(waiting)
            else:
                inside[name] = any(inside[source] for source in sources)
                stack.pop()
    names = [name for name, is_inside in inside.items() if is_inside and name != start]
    return Body(start, end, {name: scope.nodes[name] for name in names})


def _linked(of: Node) -> list[str]:
    return [value.node for value in of.inputs.values() if isinstance(value, Link)]

"""From the items at a node's inputs to calls of its function, and from what the calls return to the items at its outputs.

A node is called once per item of its longest input; shorter ones repeat their last. A series input gets the whole tuple each time. An empty
tuple at an input that is no series makes no call, so its outputs are empty too. A Blocked value at any input of a call takes the place of
what the call would return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.graph.digest import extra_part, tuple_key
from engine.graph.items import Item, item_key, series_key
from engine.graph.node import variadic_sockets
from engine.graph.plan import digest_of
from engine.graph.results import Blocked
from engine.graph.steps import Kind, Step

Slots = Mapping[str, tuple[Item, ...]]


class Call(NamedTuple):
    """One call: its digests, a value per socket, the items behind them, and the Blocked that keeps it from being made."""

    digest: bytes
    outward: bytes
    values: dict[str, Any]
    items: dict[str, tuple[Item, ...]]
    blocked: Blocked | None


class _Shared(NamedTuple):
    """What all calls of a step get of its series inputs: a copy for each would be as many items as calls times the series' length."""

    values: dict[str, tuple[Any, ...]]
    keys: dict[str, bytes]
    blocked: Blocked | None


def gather(step: Step) -> dict[str, tuple[Item, ...]]:
    """The items at the linked inputs that are there; a lazy input that nobody computed is left out."""
    slots: dict[str, tuple[Item, ...]] = {}
    for name, source in step.links.items():
        result = source.step.result
        if result is not None and step.wants(name, source):
            slots[name] = result.outputs[source.slot]
    if step.constants is not None:
        slots.update((name, (item,)) for name, item in step.constants.items())
    return slots


def calls_of(step: Step, slots: Slots, settle: Callable[[Step, Mapping[str, Any]], tuple[bytes, ...]]) -> list[Call]:
    """The calls to make, in order. `settle` computes fingerprints that depend on linked values."""
    kind = step.kind
    if not step.unsettled and all(len(items) == 1 and items[0].key == _planned(step, name) for name, items in slots.items()):
        values = values_at(kind, slots, 0) if kind.series else {name: items[0].value for name, items in slots.items()}
        return [Call(step.digest, step.outward, values, dict(slots), _blocked(slots))]
    series = {name: slot for name, slot in slots.items() if kind.series and kind.base_name(name) in kind.series}
    shared = _Shared(
        {name: tuple(item.value for item in items) for name, items in series.items()},
        {name: tuple_key(items) for name, items in series.items()},
        _blocked(series),
    )
    return [_call(step, slots, index, settle, shared) for index in range(call_count(kind, slots))]


def call_count(kind: Kind, slots: Slots) -> int:
    lengths = [len(items) for name, items in slots.items() if not (kind.series and kind.base_name(name) in kind.series)]
    return 0 if 0 in lengths else max(lengths, default=1)


def _planned(step: Step, name: str) -> bytes | None:
    source = step.links.get(name)
    return source.key if source is not None else step.constants[name].key if step.constants is not None else None


def _call(step: Step, slots: Slots, index: int, settle: Callable[[Step, Mapping[str, Any]], tuple[bytes, ...]], shared: _Shared) -> Call:
    kind = step.kind
    items = _items_at(kind, slots, index)
    values = {name: shared.values[name] if name in shared.values else found[0].value for name, found in items.items()}
    keys = {name: source.key for name, source in step.links.items()}
    for name, found in items.items():
        if name not in step.links or not step.links[name].lazy:
            keys[name] = shared.keys.get(name) or tuple_key(found)
        elif len(slots[name]) > 1 and name not in shared.keys:  # named by where it stands: the key must not depend on what was asked for
            keys[name] = series_key(keys[name], 0, min(index, len(slots[name]) - 1))
    blocked = shared.blocked or _blocked({name: found for name, found in items.items() if name not in shared.values})
    extras = step.extras
    if step.unsettled and blocked is None:
        extras = settle(step, {**step.literals, **values})
    if step.fresh:
        extras = (*extras, extra_part("call", index.to_bytes(4, "big")))
    digest = digest_of(step, keys, extras)
    outward = digest_of(step, keys, extras, literals=False) if kind.ignored else digest
    return Call(digest, outward, values, items, blocked)


def _items_at(kind: Kind, slots: Slots, index: int) -> dict[str, tuple[Item, ...]]:
    """The items behind one call: all of a series input, one of another."""
    return {
        name: slot if kind.series and kind.base_name(name) in kind.series else (slot[min(index, len(slot) - 1)],)
        for name, slot in slots.items()
    }


def values_at(kind: Kind, slots: Slots, index: int) -> dict[str, Any]:
    """The values of one call by socket; a series as a tuple."""
    return {
        name: tuple(item.value for item in items) if kind.series and kind.base_name(name) in kind.series else items[0].value
        for name, items in _items_at(kind, slots, index).items()
    }


def _blocked(slots: Slots) -> Blocked | None:
    for items in slots.values():
        for item in items:
            if isinstance(item.value, Blocked):
                return item.value
    return None


def arguments(step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a call. A lazy input that was never asked for is None."""
    kind = step.kind
    given = {**step.literals, **values}
    if kind.series:
        for name, value in step.literals.items():
            if name not in values and kind.base_name(name) in kind.series:
                given[name] = tuple(value) if isinstance(value, list | tuple) else (value,)
    if kind.lazy:
        given.update((name, None) for name in step.links if name not in given)
    for name in kind.variadic:
        sockets = variadic_sockets(given, name)
        if sockets or name not in given:
            collected = tuple(given.pop(socket) for socket in sockets)
            given[name] = collected
    return given


def outputs_of(kind: Kind, call: Call, values: Sequence[Any]) -> tuple[tuple[Item, ...], ...]:
    """The items that a call's values (one per output) become. A generic output that passes an input on keeps that item's key."""
    outputs = []
    for slot, (value, info) in enumerate(zip(values, kind.info.outputs, strict=True)):
        passed = passed_keys(call) if kind.routes[slot] else {}
        outputs.append(output_items(call, slot, value, series=info.series, passed=passed))
    return tuple(outputs)


def output_items(call: Call, slot: int, value: Any, *, series: bool, passed: Mapping[int, bytes]) -> tuple[Item, ...]:
    """The items of one output. passed: the keys of values that came in, by identity."""
    if series and not isinstance(value, Blocked):
        return tuple(Item(item, passed.get(id(item)) or series_key(call.outward, slot, place)) for place, item in enumerate(value))
    return (Item(value, passed.get(id(value)) or item_key(call.outward, slot)),)


def passed_keys(call: Call) -> dict[int, bytes]:
    return {id(item.value): item.key for items in call.items.values() for item in items}


def blocked_outputs(kind: Kind, call: Call) -> tuple[tuple[Item, ...], ...]:
    """What a call that is not made gives: a silent Blocked at every output, as the message is told once."""
    return tuple((Item(Blocked(), item_key(call.outward, slot)),) for slot in range(len(kind.routes)))


def join(calls: Sequence[tuple[tuple[Item, ...], ...]], slots: int) -> tuple[tuple[Item, ...], ...]:
    """The outputs of all calls, one after the other in each slot."""
    if len(calls) == 1:
        return calls[0]
    return tuple(tuple(item for call in calls for item in call[slot]) for slot in range(slots))


def join_shown(shown: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """What all calls show, their lists joined name by name."""
    given = [ui for ui in shown if ui is not None]
    if len(given) < 2:
        return given[0] if given else None
    joined: dict[str, Any] = {}
    for ui in given:
        for name, items in ui.items():
            joined[name] = [*joined.get(name, ()), *items]
    return joined

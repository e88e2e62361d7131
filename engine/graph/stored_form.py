"""The form in which a result is stored: JSON for plain values, a port's codec for the others, and references to values stored elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from engine.errors import Unstorable
from engine.graph.items import FileStamp, Item, Result, split_key
from engine.graph.ports import port_named, port_of


class Damaged(Exception):
    """A stored entry is not what was written."""


class Gone(Damaged):
    """A stored entry refers to another one that has left the store."""


def encode(result: Result, types: tuple[str, ...], stored: Callable[[bytes], bool], digest: bytes) -> tuple[bytes, dict[str, Any]]:
    """A result as (JSON payload, tensors by name). Raises Unstorable.

    types: the port type of each slot. stored(digest) says whether another entry is there to refer to.
    """
    tensors: dict[str, Any] = {}
    slots = []
    for number, (items, port_type) in enumerate(zip(result.outputs, types, strict=True)):
        slots.append([_encode_item(item, port_type, f"{number}.{place}.", tensors, stored, digest) for place, item in enumerate(items)])
    document = {"slots": slots, "ui": result.ui, "files": result.files, "seconds": result.seconds}
    try:
        return json.dumps(document, separators=(",", ":")).encode(), tensors
    except (TypeError, ValueError) as error:
        raise Unstorable(f"What the node shows is not JSON: {error}.") from error


def _encode_item(
    item: Item, port_type: str, prefix: str, tensors: dict[str, Any], stored: Callable[[bytes], bool], digest: bytes
) -> dict[str, Any]:
    key = split_key(item.key)
    if key is not None and key[0] != digest and stored(key[0]):
        return {"key": item.key.hex()}
    form: dict[str, Any] = {"key": item.key.hex()}
    try:
        form["plain"] = _plain(item.value)
    except Unstorable:
        port = port_named(port_type) or port_of(type(item.value))
        if port is None or port.codec is None:
            raise
        arrays, form["meta"] = port.codec.encode(item.value)
        form["port"] = port.name
        form["tensors"] = sorted(arrays)
        tensors.update({prefix + name: array for name, array in arrays.items()})
    return form


def decode(payload: bytes, tensors: Mapping[str, Any], load: Callable[[bytes], Result | None]) -> Result:
    """The result that `encode` was given. load(digest) gives entries referred to. Raises Damaged."""
    load = cache(load)
    try:
        document = json.loads(payload)
        outputs = tuple(
            tuple(_decode_item(form, f"{number}.{place}.", tensors, load) for place, form in enumerate(forms))
            for number, forms in enumerate(document["slots"])
        )
        files = tuple(FileStamp(*stamp) for stamp in document["files"])
        return Result(outputs, ui=document["ui"], files=files, seconds=document["seconds"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def decode_shown(payload: bytes) -> Result:
    """The result without its values: what the node showed and the files it wrote. Raises Damaged."""
    try:
        document = json.loads(payload)
        files = tuple(FileStamp(*stamp) for stamp in document["files"])
        return Result((), ui=document["ui"], files=files, seconds=document["seconds"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def _decode_item(form: dict[str, Any], prefix: str, tensors: Mapping[str, Any], load: Callable[[bytes], Result | None]) -> Item:
    key = bytes.fromhex(form["key"])
    if "plain" in form:
        return Item(_value(form["plain"]), key)
    if "port" in form:
        port = port_named(form["port"])
        if port is None or port.codec is None:
            raise Damaged(f"no codec for port {form['port']}")
        return Item(port.codec.decode({name: tensors[prefix + name] for name in form["tensors"]}, form["meta"]), key)
    place = split_key(key)
    other = load(place[0]) if place is not None else None
    found = next((item for item in other.outputs[place[1]] if item.key == key), None) if other is not None and place is not None else None
    if found is None:
        raise Gone(f"The value {form['key']} that it refers to is gone.")
    return found


def _plain(value: Any) -> Any:
    """JSON that tells lists from tuples and keeps bytes; scalars stand for themselves."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list or kind is tuple:
        return ["l" if kind is list else "t", *map(_plain, value)]
    if kind is dict and all(type(key) is str for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if kind is bytes:
        return ["b", base64.b64encode(value).decode()]
    raise Unstorable(f"A {kind.__name__} is not a plain value.")


def _value(form: Any) -> Any:
    if isinstance(form, dict):
        return {key: _value(item) for key, item in form.items()}
    if not isinstance(form, list):
        return form
    tag, *rest = form
    if tag == "b":
        return base64.b64decode(rest[0], validate=True)
    values = [_value(item) for item in rest]
    return values if tag == "l" else tuple(values)

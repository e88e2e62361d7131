"""How graphs and messages travel between the server process and a worker: length-prefixed JSON and bytes, nothing that can run code.

A frame is two big-endian uint32 (length of the header, number of parts), a uint64 per part (its length), the header as JSON, the parts.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from engine.errors import EaselError
from engine.graph import garbage
from engine.graph.graph import Graph, Link, Node

MAX_HEADER = 64 * 2**20
MAX_PARTS = 65_536
MAX_PART = 2**31

_LITERAL = "v"


class WireError(EaselError):
    """A frame or graph that no Easel process wrote."""

    code = "wire"


@dataclass(frozen=True, slots=True)
class Frame:
    header: dict[str, Any]
    parts: tuple[bytes, ...] = ()


def dump_json(value: Any) -> bytes:
    """Compact JSON as UTF-8; a lone surrogate stays an escape, NaN is refused."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def json_fault(value: Any) -> str:
    """Why a value cannot travel as JSON; empty if it can."""
    try:
        dump_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        return str(error)
    return ""


def pack(header: dict[str, Any], parts: Iterable[bytes] = ()) -> bytes:
    parts = tuple(parts)
    body = dump_json(header)
    lengths = struct.pack(f"!II{len(parts)}Q", len(body), len(parts), *(len(part) for part in parts))
    return b"".join((lengths, body, *parts))


def read_frame(read: Callable[[int], bytes]) -> Frame:
    """Read one frame with a function that returns exactly that many bytes or raises EOFError."""
    header_length, count = _check_head(read(8))
    lengths = _check_lengths(read(8 * count), count)
    header = json.loads(read(header_length))
    return Frame(header, tuple(read(length) for length in lengths))


async def read_frame_async(read: Callable[[int], Awaitable[bytes]]) -> Frame:
    """As `read_frame`, for `asyncio.StreamReader.readexactly`."""
    header_length, count = _check_head(await read(8))
    lengths = _check_lengths(await read(8 * count), count) if count else ()
    header = json.loads(await read(header_length))
    return Frame(header, tuple([await read(length) for length in lengths]))


def _check_head(data: bytes) -> tuple[int, int]:
    header_length, count = struct.unpack("!II", data)
    if header_length > MAX_HEADER or count > MAX_PARTS:
        raise WireError(f"A frame announces {header_length} bytes and {count} parts", hint="Something else than Easel wrote to the pipe.")
    return header_length, count


def _check_lengths(data: bytes, count: int) -> tuple[int, ...]:
    lengths = struct.unpack(f"!{count}Q", data)
    if any(length > MAX_PART for length in lengths):
        raise WireError(f"A frame announces a part of {max(lengths)} bytes", hint="Something else than Easel wrote to the pipe.")
    return lengths


def encode_graph(graph: Graph, targets: Iterable[str]) -> bytes:
    """What `targets` need of a validated flat graph, as JSON: a row per node; a link is a list, a literal list or object is wrapped."""
    wanted: dict[str, None] = {}
    ahead = list(targets)
    while ahead:
        name = ahead.pop()
        if name not in wanted:
            wanted[name] = None
            ahead += [value.node for value in graph.nodes[name].inputs.values() if isinstance(value, Link)]
    return dump_json([_row(node) for name, node in graph.nodes.items() if name in wanted])


@garbage.not_collected()
def decode_graph(data: bytes) -> Graph:
    return Graph({row[0]: _node(row) for row in json.loads(data)})


def _row(node: Node) -> list[Any]:
    inputs = {name: _input(value) for name, value in node.inputs.items()}
    row = [node.id, node.type, inputs, node.submitted_type, node.meta, node.parent, node.display]
    while not row[-1]:
        row.pop()
    return row


def _input(value: Any) -> Any:
    if isinstance(value, Link):
        return [value.node, value.slot]
    return {_LITERAL: value} if isinstance(value, list | dict | tuple) else value


def _node(row: list[Any]) -> Node:
    identity, kind, inputs, *rest = row if len(row) > 2 else (*row, {})
    values = {
        name: Link(value[0], value[1]) if isinstance(value, list) else value[_LITERAL] if isinstance(value, dict) else value
        for name, value in inputs.items()
    }
    absent: list[Any] = ["", {}, None, ""]
    submitted, meta, parent, display = rest + absent[len(rest) :]
    return Node(identity, kind, values, submitted, meta or {}, parent, display or "")

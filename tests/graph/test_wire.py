"""What goes through the pipe comes out as it went in."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph.graph import Graph, Link, Node
from engine.graph.wire import WireError, decode_graph, encode_graph, pack, read_frame

literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def reader(data: bytes):
    stream = io.BytesIO(data)

    def read(count: int) -> bytes:
        found = stream.read(count)
        if len(found) != count:
            raise EOFError
        return found

    return read


@given(st.dictionaries(st.text(), literals), st.lists(st.binary(max_size=50), max_size=5))
def test_frames(header, parts):
    frame = read_frame(reader(pack(header, parts)))
    assert frame.header == header and list(frame.parts) == parts


@given(st.dictionaries(st.text(min_size=1), literals), st.text(), st.dictionaries(st.text(), literals))
def test_nodes(inputs, submitted, meta):
    node = Node("a", "Kind", {**inputs, "link": Link("b", 3)}, submitted, meta)
    graph = Graph({"a": node, "b": Node("b", "Other", {}, parent="a", display="a"), "unused": Node("unused", "X", {})})
    assert decode_graph(encode_graph(graph, ["a"])).nodes == {"a": node, "b": graph.nodes["b"]}


def test_a_chain_of_any_length_does_not_recurse():
    graph = Graph({str(n): Node(str(n), "K", {"x": Link(str(n - 1), 0)} if n else {}) for n in range(50_000)})
    assert len(decode_graph(encode_graph(graph, ["49999"])).nodes) == 50_000
    assert len(decode_graph(encode_graph(graph, ["9"])).nodes) == 10


@pytest.mark.parametrize("data", [struct.pack("!II", 2**31, 0), struct.pack("!II", 2, 2**20), struct.pack("!IIQ", 2, 1, 2**62) + b"{}"])
def test_what_no_easel_process_wrote_is_refused_before_memory_is_taken(data):
    with pytest.raises(WireError):
        read_frame(reader(data))


def test_an_end_in_the_middle_is_an_end():
    data = pack({"type": "x"}, (b"abc",))
    for cut in range(len(data)):
        with pytest.raises(EOFError):
            read_frame(reader(data[:cut]))

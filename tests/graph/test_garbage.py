"""Python's collector stays out of the way where large graphs are read, and comes back."""

import gc

import pytest

from engine.graph import Graph, Link, Node, garbage
from engine.graph.wire import decode_graph, encode_graph


def test_a_large_graph_is_read_without_a_collection():
    nodes = {str(number): Node(str(number), "Add", {"a": Link(str(number - 1), 0), "b": number}) for number in range(1, 20_000)}
    data = encode_graph(Graph({"0": Node("0", "Add", {}), **nodes}), ["19999"])
    collections = []
    gc.callbacks.append(seen := lambda phase, info: collections.append(phase))
    try:
        with garbage.not_collected():
            graph = decode_graph(data)
            found = list(collections)
    finally:
        gc.callbacks.remove(seen)
    assert len(graph.nodes) == 20_000 and found == []


def test_the_collector_is_afterwards_as_it_was_before():
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), garbage.not_collected():
        assert not gc.isenabled()
        1 / 0  # noqa: B018
    assert gc.isenabled()
    gc.disable()
    try:
        with garbage.not_collected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_last_of_several_who_read_graphs_brings_the_collector_back():
    first, second = garbage.not_collected(), garbage.not_collected()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()

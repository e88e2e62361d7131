"""Lists: a node runs once per item, shorter inputs repeat their last item, and each item has a digest of its own."""

from __future__ import annotations

from engine.graph.events import NodeBlocked
from tests.graph.conftest import graph, reasons


def values(lab, wanted, target):
    outcome = lab.run(wanted, target)
    assert outcome.state == "succeeded", outcome.error
    return outcome.values[target][0]


def test_a_node_runs_once_per_item_and_shorter_inputs_repeat_their_last(lab):
    wanted = graph(
        a=("MakeList", {"values0": 1, "values1": 2, "values2": 3}), b=("MakeList", {"values0": 10, "values1": 20}),
        p=("Pair", {"a": "@a", "b": "@b"}), c=("Pair", {"a": "@a", "b": 7}),
    )  # fmt: skip
    assert values(lab, wanted, "p") == ("1-10", "2-20", "3-20")
    assert values(lab, wanted, "c") == ("1-7", "2-7", "3-7")


def test_a_series_input_gets_the_whole_list_in_one_call(lab):
    wanted = graph(r=("Range", {"start": 1, "stop": 5}), s=("Sum", {"values": "@r"}), n=("ListLength", {"values": "@r"}))
    assert values(lab, wanted, "s") == (10,) and lab.calls == [("Sum", (1, 2, 3, 4))]
    assert values(lab, wanted, "n") == (4,)
    assert values(lab, graph(s=("Sum", {"values": [1, 2]})), "s") == (3,)
    assert values(lab, graph(a=("Number", {"value": 6}), s=("Sum", {"values": "@a"})), "s") == (6,)


def test_series_outputs_of_several_calls_are_joined(lab):
    assert values(lab, graph(r=("Range", {"start": 1, "stop": 4}), c=("Count", {"upto": "@r"})), "c") == (0, 0, 1, 0, 1, 2)


def test_lists_are_made_taken_from_and_merged(lab):
    wanted = graph(
        r=("Range", {"stop": 3}), m=("MakeList", {"values0": "@r", "values1": 9, "values10": "@r"}),
        t=("TakeFromList", {"values": "@m", "index": -1}), e=("TakeFromList", {"values": "@m", "index": 7}),
    )  # fmt: skip
    assert values(lab, wanted, "m") == (0, 1, 2, 9, 0, 1, 2)
    assert values(lab, wanted, "t") == (2,)
    outcome = lab.run(wanted, "e")
    assert outcome.error.code == "node_failed" and "7 items" in outcome.error.message


def test_an_empty_series_gives_an_empty_series(lab):
    wanted = graph(
        r=("Range", {"stop": 0}), a=("Add", {"a": "@r"}), p=("Split", {"value": "@a"}), n=("ListLength", {"values": "@p:1"}),
        out=("Show", {"value": "@a"}),
    )  # fmt: skip
    assert values(lab, wanted, "a") == () and values(lab, wanted, "n") == (0,)
    assert lab.called("Add") == lab.called("Split") == 0
    outcome = lab.run(wanted, "out")
    assert outcome.state == "succeeded" and outcome.ui == {} and lab.calls == []


def test_what_output_nodes_show_is_joined(lab):
    assert lab.run(graph(r=("Range", {"stop": 3}), out=("Show", {"value": "@r"})), "out").ui == {"out": {"text": ["0", "1", "2"]}}


def test_only_the_items_that_changed_are_computed_again(lab):
    def wanted(last):
        return graph(
            m=("MakeList", {"values0": "@a", "values1": "@b"}), a=("Number", {"value": 1}), b=("Number", {"value": last}),
            x=("Add", {"a": "@m", "b": 5}), s=("Sum", {"values": "@x"}),
        )  # fmt: skip

    assert values(lab, wanted(2), "s") == (13,)
    assert values(lab, wanted(3), "s") == (14,)
    assert lab.calls == [("Number", 3), ("Add", 3, 5), ("Sum", (6, 8))]
    assert values(lab, wanted(3), "s") == (14,) and lab.calls == []


def test_equal_items_are_computed_once(lab):
    wanted = graph(a=("Number", {"value": 4}), m=("MakeList", {"values0": "@a", "values1": "@a", "values2": "@a"}), x=("Add", {"a": "@m"}))
    assert values(lab, wanted, "x") == (5, 5, 5) and lab.called("Add") == 1


def test_a_blocked_item_stops_its_own_call_only(lab):
    wanted = graph(r=("Range", {"stop": 4}), o=("Odd", {"value": "@r"}), x=("Add", {"a": "@o"}), out=("Show", {"value": "@x"}))
    outcome = lab.run(wanted, "out")
    assert outcome.state == "succeeded" and outcome.ui == {"out": {"text": ["2", "4"]}}
    assert [(event.node_id, event.message) for event in lab.told(NodeBlocked)] == [("x", "0 is even"), ("x", "2 is even")]
    assert lab.called("Add") == lab.called("Show") == 2


def test_a_blocked_item_in_a_series_blocks_the_call(lab):
    outcome = lab.run(graph(r=("Range", {"stop": 4}), o=("Odd", {"value": "@r"}), s=("Sum", {"values": "@o"})), "s")
    assert outcome.state == "succeeded" and lab.called("Sum") == 0 and reasons(outcome)["s"] == "blocked"


def test_a_gate_keeps_what_follows_from_running(lab):
    def wanted(is_open):
        return graph(
            a=("Number", {"value": 3}), g=("Gate", {"value": "@a", "is_open": is_open, "message": "not today"}), x=("Add", {"a": "@g"}),
            out=("Show", {"value": "@x"}), other=("Show", {"value": "@a"}),
        )  # fmt: skip

    assert lab.run(wanted(True), "out").ui == {"out": {"text": ["4"]}}
    outcome = lab.run(wanted(False), "out", "other")
    assert outcome.state == "succeeded" and outcome.ui == {"other": {"text": ["3"]}}
    assert [event.message for event in lab.told(NodeBlocked)] == ["not today"]
    lab.run(wanted(False), "out", "other")
    assert [event.message for event in lab.told(NodeBlocked)] == ["not today"]


def test_a_value_that_is_passed_on_keeps_its_digest(lab):
    def wanted(index, stray):
        return graph(
            a=("Number", {"value": 1}), b=("Number", {"value": stray}), m=("MakeList", {"values0": "@a", "values1": "@b"}),
            t=("TakeFromList", {"values": "@m", "index": index}), x=("Add", {"a": "@t", "b": 100}),
        )  # fmt: skip

    assert values(lab, wanted(0, 5), "x") == (101,)
    assert values(lab, wanted(0, 6), "x") == (101,)
    assert lab.called("Add") == 0

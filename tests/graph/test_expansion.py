"""Nodes that become graphs at run time: ids, order, loops, failure, cost."""

from __future__ import annotations

import time

import pytest

from engine.errors import QuotaExceeded
from engine.graph import Graph, Link, Node
from engine.graph.cache import Cache
from engine.graph.events import NodeFailedEvent, NodeFinished, NodeStarted
from tests.graph.conftest import graph, reasons


def loop_of(count, **extra):
    """value -> add 1 -> ..., `count` times; the body also adds the number of the round."""
    return graph(
        v=("Number", {"value": 100}),
        start=("RepeatStart", {"value": "@v"}),
        body=("Add", {"a": "@start:2", "b": "@start:1"}),
        more=("Add", {"a": "@body", "b": "@outer"}),
        outer=("Number", {"value": 1}),
        end=("RepeatEnd", {"loop": "@start", "value": "@more", "count": count, **extra}),
        out=("Show", {"value": "@end"}),
    )


def test_a_node_is_replaced_by_its_graph(lab):
    wanted = graph(a=("Number", {"value": 5}), c=("Chain", {"value": "@a", "length": 3}), x=("Add", {"a": "@c", "b": 100}))
    outcome = lab.run(wanted, "x")
    assert outcome.values["x"] == ((108,),)
    assert sorted(name for name in outcome.records if name.startswith("c.")) == ["c.0", "c.1", "c.2", "c.3"]
    inner = [event for event in lab.told(NodeStarted) if event.node_id.startswith("c.")]
    assert {(event.display_id, event.parent_id) for event in inner} == {("c", "c")}
    assert [event.node_id for event in lab.told(NodeFinished)][-2:] == ["c", "x"]


def test_an_expansion_is_cached_as_a_whole_and_in_its_parts(lab):
    lab.value(graph(c=("Chain", {"value": 5, "length": 3})), "c")
    assert lab.value(graph(d=("Chain", {"value": 5, "length": 3})), "d") == 8 and lab.calls == []
    assert lab.value(graph(c=("Chain", {"value": 5, "length": 4})), "c") == 9
    assert lab.calls == [("Chain", 5, 4), ("Add", 8, 1)]


def test_tail_expansion_keeps_flat_ids(lab):
    wanted = graph(f=("Factorial", {"n": 6}))
    outcome = lab.run(wanted, "f")
    assert outcome.values["f"] == ((720,),)
    assert sorted(outcome.records) == ["f", "f.0", "f.1", "f.2", "f.3", "f.4"]


def test_a_mapped_node_may_expand_for_some_items_only(lab):
    wanted = graph(r=("Range", {"start": 1, "stop": 5}), f=("Factorial", {"n": "@r"}), s=("Sum", {"values": "@f"}))
    outcome = lab.run(wanted, "f", "s")
    assert outcome.values["f"] == ((1, 2, 6, 24),) and outcome.values["s"] == ((33,),)


def test_output_nodes_inside_an_expansion_run_and_show(lab):
    outcome = lab.run(graph(a=("Announce", {"value": 7}), x=("Add", {"a": "@a"})), "x")
    assert outcome.values["x"] == ((8,),) and outcome.ui == {"a.0": {"text": ["7"]}}


def test_an_expansion_that_cannot_run_fails_its_node(lab):
    outcome = lab.run(graph(bad=("BadExpansion", {"value": 1}), fine=("Show", {"value": 1})), "bad", "fine")
    assert list(outcome.failures) == ["bad"] and "gone" in outcome.error.message and "fine" in outcome.ui


def test_an_expansion_that_waits_for_itself_fails(lab):
    wanted = graph(bad=("Circle", {"value": 1}), after=("Add", {"a": "@bad"}))
    outcome = lab.run(wanted, "after")
    assert outcome.state == "failed" and "its own output" in outcome.error.message


def test_a_failure_inside_an_expansion_fails_the_node_and_names_it(lab):
    outcome = lab.run(graph(bad=("ExpandToFail",), after=("Add", {"a": "@bad"}), fine=("Show", {"value": 1})), "after", "fine")
    assert list(outcome.failures) == ["bad.0"] and "fine" in outcome.ui
    assert reasons(outcome)["bad"] == "upstream bad.0 failed" and reasons(outcome)["after"] == "upstream bad failed"
    (event,) = lab.told(NodeFailedEvent)
    assert (event.node_id, event.display_id, event.parent_id) == ("bad.0", "bad", "bad")


def test_ids_of_an_expansion_avoid_submitted_ones(lab):
    nodes = graph(c=("Chain", {"value": 1, "length": 1})).nodes
    nodes["c.0"] = Node("c.0", "Number", {"value": 40})
    nodes["p"] = Node("p", "Pair", {"a": Link("c", 0), "b": Link("c.0", 0)})
    assert lab.value(Graph(nodes), "p") == "2-40"


@pytest.mark.parametrize(("count", "value"), [(0, 100), (1, 101), (2, 103), (5, 115)])
def test_a_loop_runs_its_body_so_many_times(lab, count, value):
    assert lab.run(loop_of(count), "out").ui == {"out": {"text": [str(value)]}}
    assert lab.called("Number") == (1 if count == 0 else 2)
    lab.run(loop_of(count), "out")
    assert lab.calls == []


def test_a_loop_ends_when_its_condition_holds(lab):
    wanted = loop_of(1000, until="@enough")
    wanted.nodes["enough"] = Node("enough", "AtLeast", {"value": Link("more", 0), "limit": 110})
    assert lab.run(wanted, "out").ui == {"out": {"text": ["110"]}}
    assert lab.called("AtLeast") == 4


def test_a_longer_loop_goes_on_where_the_shorter_one_ended(lab):
    lab.run(loop_of(5), "out")
    lab.run(loop_of(6), "out")
    assert lab.called("Add") == 2


def test_loops_nest(lab):
    wanted = graph(
        o=("RepeatStart", {"value": 0}),
        i=("RepeatStart", {"value": "@o:2"}),
        x=("Add", {"a": "@i:2", "b": "@o:1"}),
        ie=("RepeatEnd", {"loop": "@i", "value": "@x", "count": 4}),
        oe=("RepeatEnd", {"loop": "@o", "value": "@ie", "count": 3}),
    )
    assert lab.value(wanted, "oe") == 4 * (0 + 1 + 2)


def test_a_list_goes_through_a_loop_as_a_whole(lab):
    wanted = graph(
        r=("Range", {"stop": 3}),
        s=("RepeatStart", {"value": "@r"}),
        x=("Add", {"a": "@s:2", "b": 10}),
        e=("RepeatEnd", {"loop": "@s", "value": "@x", "count": 3}),
    )
    assert lab.run(wanted, "e").values["e"] == ((30, 31, 32),)


def test_a_loop_without_a_body_gives_what_it_began_with(lab):
    wanted = graph(s=("RepeatStart", {"value": 5}), e=("RepeatEnd", {"loop": "@s", "value": "@s:2", "count": 4}))
    assert lab.value(wanted, "e") == 5


def test_ten_thousand_rounds_cost_ten_thousand_nodes(lab):
    def run(count):
        wanted = graph(
            s=("RepeatStart", {"value": 0}), x=("Add", {"a": "@s:2"}), e=("RepeatEnd", {"loop": "@s", "value": "@x", "count": count})
        )
        began = time.process_time()
        outcome = lab.run(wanted, "e")
        assert outcome.values["e"] == ((count,),)
        assert len(outcome.records) == 3 + 2 * (count - 1)
        return time.process_time() - began

    run(50)
    small = run(1_000) / 1_000
    assert run(10_000) / 10_000 < 6 * small


def test_values_of_past_rounds_are_freed(lab):
    lab.renew(Cache(memory_bytes=0))
    wanted = graph(
        h=("Hold", {"place": 1}), s=("RepeatStart", {"value": "@h"}), x=("Hold", {"previous": "@s:2", "place": "@s:1"}),
        e=("RepeatEnd", {"loop": "@s", "value": "@x", "count": 40, "until": "@u"}), u=("Never", {"value": "@x"}),
    )  # fmt: skip
    assert lab.run(wanted, "e", keep_values=False).state == "succeeded"
    alive = [call[1] for call in lab.calls if call[0] == "Hold"]
    assert len(alive) >= 41 and max(alive) <= 4


def test_loops_inside_loops_have_a_bound(lab):
    lab.renew(max_steps=500)
    wanted = graph(
        o=("RepeatStart", {"value": 0}),
        i=("RepeatStart", {"value": "@o:2"}),
        x=("Add", {"a": "@i:2", "b": "@o:1"}),
        ie=("RepeatEnd", {"loop": "@i", "value": "@x", "count": 100}),
        oe=("RepeatEnd", {"loop": "@o", "value": "@ie", "count": 100}),
        other=("Number", {"value": 7}),
    )
    outcome = lab.run(wanted, "oe", "other")
    assert outcome.state == "failed" and isinstance(outcome.error, QuotaExceeded)
    assert "500" in outcome.error.message and "max_steps" in outcome.error.hint and outcome.error.details["limit"] == 500
    assert outcome.values["other"] == ((7,),) and lab.called("Add") < 500
    assert lab.run(graph(**{f"n{i}": ("Number", {"value": i}) for i in range(600)}), *(f"n{i}" for i in range(600))).state == "failed"


def test_a_link_to_a_node_that_is_nowhere_is_an_error_of_the_expanding_node(lab):
    outcome = lab.run(graph(a=("LinksNowhere",)), "a")
    assert outcome.error.node_id == "a" and "no node gone" in outcome.error.message

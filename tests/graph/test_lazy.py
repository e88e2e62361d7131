"""Lazy inputs: computed only when the node asks for them."""

from __future__ import annotations

import pytest

from tests.graph.conftest import graph, reasons


def branches(condition, kind="If", names=("condition", "when_true", "when_false")):
    return graph(
        a=("Number", {"value": 1}), b=("Number", {"value": 2}), x=("Add", {"a": "@a", "b": 10}), y=("Add", {"a": "@b", "b": 20}),
        c=("Choose" if kind == "Choose" else kind, dict(zip(names, (condition, "@x", "@y"), strict=True))),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "value", "calls"), [(True, 11, [("Number", 1), ("Add", 1, 10)]), (False, 22, [("Number", 2), ("Add", 2, 20)])]
)
def test_only_the_chosen_branch_runs(lab, condition, value, calls):
    assert lab.value(branches(condition), "c") == value
    assert lab.calls == calls
    assert lab.value(branches(condition), "c") == value and lab.calls == []


def test_the_node_gets_nothing_for_what_it_did_not_ask(lab):
    assert lab.value(branches(True, "Choose", ("first", "a", "b")), "c") == 11
    assert lab.calls[-1] == ("Choose", True, 11, None)


def test_the_other_branch_is_a_change_that_the_result_survives(lab):
    lab.value(branches(True), "c")
    wanted = branches(True)
    wanted.nodes["b"].inputs["value"] = 3
    wanted.nodes["z"] = graph(z=("Add", {"a": "@c"})).nodes["z"]
    assert lab.value(wanted, "z") == 12
    assert lab.calls == [("Add", 11, 1)]


def test_a_condition_that_is_computed(lab):
    wanted = graph(
        r=("Random",), n=("Number", {"value": 0}), c=("If", {"condition": "@n", "when_true": "@bad", "when_false": "@good"}), bad=("Fail",),
        good=("Number", {"value": 5}),
    )  # fmt: skip
    assert lab.value(wanted, "c") == 5 and lab.called("Fail") == 0


def test_a_failing_branch_fails_the_node_only_when_asked_for(lab):
    wanted = graph(bad=("Fail",), good=("Number", {"value": 5}), c=("If", {"condition": True, "when_true": "@bad", "when_false": "@good"}))
    outcome = lab.run(wanted, "c")
    assert list(outcome.failures) == ["bad"] and reasons(outcome)["c"] == "upstream bad failed"


def test_a_branch_that_is_not_connected_ends_silently(lab):
    wanted = graph(c=("If", {"condition": False, "when_true": 5}), x=("Add", {"a": "@c"}), out=("Show", {"value": "@x"}))
    outcome = lab.run(wanted, "out")
    assert outcome.state == "succeeded" and outcome.ui == {} and lab.calls == []


@pytest.mark.parametrize("index", [0, 1, 2])
def test_switch_computes_one_of_many(lab, index):
    wanted = graph(
        **{f"n{i}": ("Number", {"value": i * 10}) for i in range(3)},
        s=("Switch", {"index": index, **{f"values{i}": f"@n{i}" for i in range(3)}}),
    )
    assert lab.value(wanted, "s") == index * 10 and lab.calls == [("Number", index * 10)]


def test_switch_out_of_range_says_so(lab):
    outcome = lab.run(graph(s=("Switch", {"index": 3, "values0": 1, "values1": 2})), "s")
    assert "2 values" in outcome.error.message and outcome.error.hint


def test_a_lazy_input_over_a_list_is_asked_for_if_one_item_needs_it(lab):
    wanted = graph(
        c=("MakeList", {"values0": True, "values1": False}), a=("Number", {"value": 1}), b=("Number", {"value": 2}),
        i=("If", {"condition": "@c", "when_true": "@a", "when_false": "@b"}),
    )  # fmt: skip
    assert lab.run(wanted, "i").values["i"][0] == (1, 2)


def test_a_lazy_value_that_another_node_read_is_not_computed_twice(lab):
    wanted = graph(
        a=("Number", {"value": 1}), x=("Add", {"a": "@a"}), seen=("Show", {"value": "@x"}), slow=("Slow", {"value": 1}),
        c=("If", {"condition": "@slow", "when_true": "@x"}), out=("Show", {"value": "@c"}),
    )  # fmt: skip
    lab.run(wanted, "seen", "out")
    assert lab.called("Add") == 1


@pytest.mark.parametrize("condition", [("Number", {"value": 1}), ("MakeList", {"values0": 1})])
@pytest.mark.parametrize("zero", [("Number", {"value": 0}), ("MakeList", {"values0": 0})])
def test_each_item_of_a_lazy_list_is_a_value_of_its_own(lab, condition, zero):
    """Whatever the other inputs are: no item's result may stand for another's."""
    wanted = graph(
        c=condition, z=zero, n=("MakeList", {"values0": 1, "values1": 2}), b=("Number", {"value": 9}),
        p=("Pick", {"first": "@c", "a": "@n", "b": "@b"}), out=("Add", {"a": "@p", "b": "@z"}),
    )  # fmt: skip
    assert lab.run(wanted, "p", "out").values == {"p": ((1000, 2000),), "out": ((1000, 2000),)}

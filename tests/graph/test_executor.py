"""Runs of whole graphs: order, sharing, failure of branches, events, records."""

from __future__ import annotations

import gc
import time
import tracemalloc

import pytest

from engine.errors import ModelFormatError, NodeFailed, OutOfMemory
from engine.graph import Graph, Link, Node
from engine.graph.cache import Cache
from engine.graph.cancel import CancelToken
from engine.graph.events import JobFinished, JobStarted, NodeFailedEvent, NodeFinished, NodeProgress, NodesCached, NodeStarted, Preview
from engine.graph.run import Run
from engine.graph.steps import Step
from engine.graph.wire import dump_json
from tests.graph.conftest import graph, reasons


def test_a_graph_gives_its_value(lab):
    outcome = lab.run(graph(a=("Number", {"value": 4}), b=("Add", {"a": "@a", "b": 5}), out=("Show", {"value": "@b"})), "out")
    assert outcome.state == "succeeded" and outcome.error is None
    assert outcome.ui == {"out": {"text": ["9"]}}


def test_several_outputs_and_defaults(lab):
    wanted = graph(a=("Number", {"value": 7}), s=("Split", {"value": "@a"}), p=("Pair", {"a": "@s:1", "b": "@s"}), d=("Add", {"a": "@s"}))
    assert lab.value(wanted, "p") == "4-3"
    assert lab.value(wanted, "d") == 4


def test_only_what_the_target_needs_runs(lab):
    lab.run(graph(a=("Number", {"value": 1}), b=("Add", {"a": "@a"}), stray=("Number", {"value": 99})), "b")
    assert lab.calls == [("Number", 1), ("Add", 1, 1)]


def test_the_order_is_the_same_every_time_and_one_branch_after_the_other(lab):
    wanted = graph(
        **{f"n{i}": ("Number", {"value": i}) for i in range(5)},
        **{f"a{i}": ("Add", {"a": f"@n{i}", "b": 100}) for i in range(5)},
        out=("Join", {f"words{i}": f"@a{i}" for i in range(5)}),
    )
    lab.run(
        graph(w=("Number", {"value": 50}), x=("Add", {"a": "@w"}), y=("Join", {"words0": "@x"})), "y"
    )  # the classes are known to be quick
    seen = []
    for _ in range(3):
        lab.executor.cache.clear()
        lab.run(wanted, "out")
        seen.append(lab.calls)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:4] == [("Number", 0), ("Add", 0, 100), ("Number", 1), ("Add", 1, 100)]


def test_equal_nodes_run_once(lab):
    wanted = graph(
        a=("Number", {"value": 3}), b=("Number", {"value": 3}), x=("Add", {"a": "@a"}), y=("Add", {"a": "@b", "b": 1}),
        p=("Pair", {"a": "@x", "b": "@y"}), one=("Show", {"value": "@p"}), two=("Show", {"value": "@p"}),
    )  # fmt: skip
    outcome = lab.run(wanted, "one", "two")
    assert lab.calls == [("Number", 3), ("Add", 3, 1), ("Pair", 4, 4), ("Show", "4-4")]
    assert outcome.ui["one"] == outcome.ui["two"] == {"text": ["4-4"]}
    assert reasons(outcome)["b"] == "same as a"
    assert {event.node_id for event in lab.told(NodeFinished)} >= {"one", "two"}


def test_a_repeat_runs_nothing_and_two_jobs_share(lab):
    wanted = graph(a=("Number", {"value": 3}), x=("Add", {"a": "@a"}), out=("Show", {"value": "@x"}))
    lab.run(wanted, "out")
    outcome = lab.run(wanted, "out")
    assert lab.calls == [] and outcome.ui == {"out": {"text": ["4"]}}
    assert set(lab.told(NodesCached)[0].nodes) == {"a", "x", "out"}
    assert [event.node_id for event in lab.told(NodeFinished)] == ["out"] and lab.told(NodeStarted) == []
    lab.run(graph(other=("Number", {"value": 3}), z=("Add", {"a": "@other"}), y=("Scale", {"value": "@z"})), "y")
    assert lab.calls == [("Scale", 4, 1.0)]


def test_node_ids_titles_and_explicit_defaults_do_not_count_but_types_do(lab):
    lab.run(graph(a=("Number", {"value": 3}), x=("Add", {"a": "@a"})), "x")
    lab.run(graph(b=("Number", {"value": 3}), y=("Add", {"b": 1, "a": "@b"})), "y")
    assert lab.calls == []
    lab.run(graph(b=("Scale", {"value": 2, "factor": 1.0})), "b")
    lab.run(graph(b=("Scale", {"value": 2.0})), "b")
    assert lab.calls == []
    lab.run(graph(b=("Join", {"words0": 1})), "b")
    lab.run(graph(b=("Join", {"words0": True})), "b")
    assert lab.calls == [("Join", (True,))]


def test_a_failed_node_fails_its_dependants_only(lab):
    wanted = graph(
        bad=("Fail", {"text": "boom"}), after=("Add", {"a": "@bad"}), last=("Show", {"value": "@after"}),
        good=("Number", {"value": 1}), slow=("Slow", {"value": "@good"}), fine=("Show", {"value": "@slow"}),
    )  # fmt: skip
    outcome = lab.run(wanted, "last", "fine")
    assert outcome.state == "failed" and outcome.ui == {"fine": {"text": ["1"]}}
    assert list(outcome.failures) == ["bad"] and isinstance(outcome.error, NodeFailed)
    assert outcome.error.node_id == "bad" and "ValueError: boom" in outcome.error.message
    assert reasons(outcome)["after"] == "upstream bad failed" and reasons(outcome)["last"] == "upstream after failed"
    (event,) = lab.told(NodeFailedEvent)
    assert event.exception_type == "ValueError" and event.inputs["text"] == "'boom'" and event.class_type == "Fail"
    assert any("raise ValueError" in line for line in event.traceback) and not any("perform.py" in line for line in event.traceback)
    finished = lab.told(JobFinished)[0]
    assert (finished.state, finished.failed) == ("failed", 1) and lab.events[-1] is finished


def test_a_typed_error_keeps_its_code_and_hint(lab):
    outcome = lab.run(graph(bad=("Damaged",)), "bad")
    assert isinstance(outcome.error, ModelFormatError) and outcome.error.hint == "Copy the file again."
    assert lab.told(NodeFailedEvent)[0].error["code"] == "model_format"


def test_a_node_that_tries_to_end_the_process_fails(lab):
    outcome = lab.run(graph(bad=("Leave",), fine=("Show", {"value": 1})), "bad", "fine")
    assert list(outcome.failures) == ["bad"] and "SystemExit" in outcome.error.message and "fine" in outcome.ui
    assert lab.value(graph(a=("Number", {"value": 5})), "a") == 5


def test_what_only_a_failed_node_would_have_read_is_not_computed(lab):
    wanted = graph(
        bad=("Fail",),
        **{f"s{i}": ("Slow", {"value": i}) for i in range(20)},
        out=("Join", {"words0": "@bad", **{f"words{i + 1}": f"@s{i}" for i in range(20)}}),
    )
    outcome = lab.run(wanted, "out")
    assert outcome.state == "failed" and lab.called("Slow") <= 4


def test_a_failed_job_that_is_mended_goes_on_where_it_stopped(lab):
    lab.run(graph(a=("Slow", {"value": 1}), bad=("Fail", {"value": "@a"})), "bad")
    lab.run(graph(a=("Slow", {"value": 1}), good=("Add", {"a": "@a"})), "good")
    assert lab.calls == [("Add", 1, 1)]


def test_a_cycle_and_a_link_to_nowhere_end_the_job(lab):
    outcome = lab.run(graph(a=("Add", {"a": "@b"}), b=("Add", {"a": "@a"})), "b")
    assert outcome.state == "failed" and outcome.error.code == "invalid_workflow"
    assert outcome.error.problems[0].code == "dependency_cycle"
    assert lab.run(graph(a=("Add", {"a": "@gone"})), "a").error.problems[0].node_id == "gone"
    assert lab.run(graph(a=("Number",), b=("Add", {"a": "@a:3"})), "b").error.problems[0].code == "unknown_slot"
    assert lab.run(graph(a=("Nowhere",)), "a").error.code == "missing_node"
    assert lab.told(JobFinished)[0].state == "failed"


def test_events_are_numbered_in_order_and_framed(lab):
    lab.run(graph(a=("Number", {"value": 1}), x=("Add", {"a": "@a"}), out=("Show", {"value": "@x"})), "out", attempt=3)
    assert [event.sequence for event in lab.events] == list(range(1, len(lab.events) + 1))
    assert isinstance(lab.events[0], JobStarted) and (lab.events[0].total, lab.events[0].attempt) == (3, 3)
    assert [type(event) for event in lab.events[1:-1]] == [NodeStarted, NodeFinished] * 3
    assert [event.node_id for event in lab.told(NodeStarted)] == ["a", "x", "out"]
    assert lab.told(NodeFinished)[-1].ui == {"text": ["2"]}
    assert (lab.events[-1].state, lab.events[-1].ran, lab.events[-1].cached) == ("succeeded", 3, 0)


def test_progress_and_previews(lab):
    lab.run(graph(a=("Watched",)), "a")
    assert lab.told(NodeProgress)[-1].value == 50 and lab.told(NodeProgress)[-1].total == 50
    previews = lab.told(Preview)
    assert 1 <= len(previews) < 50 and previews[-1].data == b"\xff\xd8last" and previews[-1].mime == "image/jpeg"
    assert [event.name for event in lab.events if event.kind == "custom"] == ["hello"]


def chain_of(length: int) -> Graph:
    nodes = {"0": Node("0", "Number", {"value": 0})}
    for place in range(1, length):
        nodes[str(place)] = Node(str(place), "Add", {"a": Link(str(place - 1), 0)})
    return Graph(nodes)


def test_a_long_chain_does_not_recurse_and_its_cost_is_linear(lab):
    def seconds(length: int) -> float:
        lab.executor.cache.clear()
        began = time.process_time()
        assert lab.value(chain_of(length), str(length - 1)) == length - 1
        return time.process_time() - began

    seconds(200)
    small = min(seconds(2_000) for _ in range(3)) / 2_000
    large = seconds(20_000) / 20_000
    assert large < 5 * small  # ten times where each node looks at all


def test_memory_stays_flat_over_many_runs(lab):
    def repeat(times: int) -> None:
        for value in range(times):
            lab.run(
                graph(a=("Number", {"value": value % 7}), x=("Add", {"a": "@a"}), out=("Show", {"value": "@x"})), "out", keep_values=False
            )

    def traced() -> int:
        lab.executor.cache.flush()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        repeat(200)
        before = traced()
        repeat(1_000)
        grown = traced() - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000


def test_a_value_is_dropped_when_its_last_reader_ran(lab):
    lab.renew(Cache(memory_bytes=0))
    nodes = {str(i): Node(str(i), "Hold", {"place": i, **({"previous": Link(str(i - 1), 0)} if i else {})}) for i in range(30)}
    assert lab.run(Graph(nodes), "29", keep_values=False).state == "succeeded"
    alive = [call[1] for call in lab.calls]
    assert len(alive) == 30 and max(alive) <= 2


@pytest.mark.parametrize("width", [1, 50])
def test_a_fan_gives_every_output(lab, width):
    nodes = {"a": Node("a", "Number", {"value": 1})}
    for place in range(width):
        nodes[f"x{place}"] = Node(f"x{place}", "Add", {"a": Link("a", 0), "b": place})
        nodes[f"o{place}"] = Node(f"o{place}", "Show", {"value": Link(f"x{place}", 0)})
    outcome = lab.run(Graph(nodes), *(f"o{place}" for place in range(width)))
    assert outcome.ui == {f"o{place}": {"text": [str(place + 1)]} for place in range(width)}


@pytest.mark.parametrize(
    ("kind", "inputs"), [("ShowNumber", "tensor"), ("ShowNumber", "nan"), ("EmitWrong", "object"), ("EmitWrong", "nan")]
)
def test_a_node_that_tells_what_is_no_json_fails_and_says_so(lab, kind, inputs):
    """Otherwise its event could not travel, and nobody would hear of the job's end."""
    outcome = lab.run(graph(bad=(kind, {"kind": inputs})), "bad")
    assert outcome.state == "failed" and "JSON" in outcome.error.message
    for event in lab.events:
        dump_json(event.to_json())


def test_progress_and_details_that_are_no_json_still_travel(lab):
    outcome = lab.run(graph(bad=("Odometer",)), "bad")
    assert outcome.state == "failed" and outcome.error.details["found"] == "object"
    for event in lab.events:
        dump_json(event.to_json())


@pytest.mark.parametrize(
    ("how", "kind"), [("python", OutOfMemory), ("numpy", OutOfMemory), ("cuda", OutOfMemory), ("cpu", OutOfMemory), ("none", NodeFailed)]
)
def test_a_node_that_runs_out_of_memory_has_an_error_of_its_own(lab, how, kind):
    error = lab.run(graph(a=("Exhausts", {"how": how})), "a").error
    assert type(error) is kind and error.node_id == "a" and error.details["traceback"]


def test_what_a_run_needed_is_freed_at_its_end_and_not_by_the_garbage_collector(lab):
    chain = {"n0": ("Number", {"value": 1}), **{f"n{i}": ("Add", {"a": f"@n{i - 1}", "b": i}) for i in range(1, 30)}}
    failing = graph(**chain, bad=("Fail",), after=("Add", {"a": "@bad", "b": 1}))
    token = CancelToken()
    token.cancel()
    for targets, options in ((("n29",), {}), (("n29",), {}), (("n29", "after"), {}), (("n29",), {"cancel": token})):
        gc.collect()
        before = _steps_and_runs()
        gc.disable()
        try:
            lab.run(failing, *targets, **options)
            lab.executor.cache.flush()
            deadline = time.monotonic() + 60  # the thread that ended the run may be about to leave it
            while (after := _steps_and_runs()) != before and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            gc.enable()
        assert after == before, (targets, options)


def _steps_and_runs() -> int:
    return sum(type(found) in (Step, Run) for found in gc.get_objects())


@pytest.mark.parametrize("error", [OSError("the terminal is gone"), SystemExit(1)])
def test_a_run_ends_though_who_watches_it_fails(lab, error):
    """rich raises SystemExit where its terminal is gone."""
    told = []

    def watch(event):
        told.append(event)
        if isinstance(event, NodeFinished):
            raise error

    outcome = lab.run(graph(a=("Number", {"value": 1}), b=("Add", {"a": "@a"}), out=("Show", {"value": "@b"})), "out", emit=watch)
    assert outcome.state == "succeeded" and isinstance(told[-1], NodeFinished)
    assert lab.value(graph(a=("Number", {"value": 3})), "a") == 3


def test_a_recipe_that_cannot_be_written_keeps_no_run_waiting(lab):
    records = lab.executor.cache.records
    records.remember("mine", lambda: {"a": [object()]})
    assert lab.run(graph(a=("Number", {"value": 1})), "a").state == "succeeded"
    assert records.last("mine") == {}

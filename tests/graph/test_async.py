"""Lanes: coroutines overlap, the device does one thing at a time, and nothing waits for what it does not need."""

from __future__ import annotations

import contextlib
import threading

from tests.graph import traced_nodes
from tests.graph.conftest import graph


def test_coroutines_overlap(lab):
    """Each of them waits until all have begun."""
    wanted = graph(
        **{f"n{i}": ("MeetAll", {"value": i, "count": 20}) for i in range(20)}, j=("Join", {f"words{i}": f"@n{i}" for i in range(20)})
    )
    assert lab.run(wanted, "j").state == "succeeded"


def test_the_items_of_a_list_overlap_in_a_coroutine(lab):
    wanted = graph(r=("Range", {"stop": 10}), n=("MeetAll", {"value": "@r", "count": 10}))
    assert lab.run(wanted, "n").values["n"] == (tuple(range(10)),)


def test_a_node_on_the_device_does_not_hold_up_coroutines_or_others(lab):
    """It waits for what comes of them."""
    traced_nodes.EVENTS["never mind"] = threading.Event()
    wanted = graph(
        w=("Occupy", {"name": "never mind"}),
        n=("Nap", {"seconds": 0.0}),
        a=("Add", {"a": "@n"}),
        s=("Release", {"after": "@a"}),
        out=("Pair", {"a": "@w", "b": "@s"}),
    )
    assert lab.value(wanted, "out") == "0-1"


def test_the_device_does_one_thing_at_a_time_in_order(lab):
    lab.run(graph(**{f"w{i}": ("Work", {"value": i, "seconds": 0.02}) for i in range(5)}), *(f"w{i}" for i in range(5)))
    assert lab.calls == [(kind, i) for i in range(5) for kind in ("Work", "Worked")]


def test_slow_cpu_nodes_run_beside_each_other(lab):
    """Each of them waits until the other has begun."""
    wanted = graph(a=("Meet", {"value": 1}), b=("Meet", {"value": 2}), out=("Pair", {"a": "@a", "b": "@b"}))
    assert lab.value(wanted, "out") == "1-2"


def test_waiting_for_files_does_not_hold_up_the_cpu(lab):
    traced_nodes.EVENTS["never mind"] = threading.Event()
    wanted = graph(w=("Wait", {"name": "never mind"}), a=("Release", {}), out=("Pair", {"a": "@w", "b": "@a"}))
    assert lab.value(wanted, "out") == "0-1"


def test_a_coroutine_that_fails_ends_its_siblings_and_its_branch_only(lab):
    wanted = graph(r=("Range", {"stop": 3}), bad=("MeetAndFail", {"value": "@r"}), fine=("Nap", {"value": 9, "seconds": 0.0}))
    outcome = lab.run(wanted, "bad", "fine")
    assert list(outcome.failures) == ["bad"] and "ValueError: 1" in outcome.error.message
    assert outcome.values["fine"] == ((9,),)
    assert ("cancelled", 2) in lab.calls


def test_a_coroutine_that_tries_to_end_the_process_fails(lab):
    outcome = lab.run(graph(bad=("LeaveLater",)), "bad")
    assert outcome.state == "failed"
    assert lab.value(graph(n=("Nap", {"value": 4, "seconds": 0.0})), "n") == 4


def test_a_coroutine_that_is_cancelled_but_not_by_the_job_fails(lab):
    outcome = lab.run(graph(bad=("Collapse",), after=("Add", {"a": "@bad"})), "after")
    assert outcome.state == "failed" and outcome.error.node_id == "bad"


def test_every_step_of_a_coroutine_and_no_other_lies_inside_the_context(lab):
    """Gradient mode belongs to the thread: what one coroutine switches off must not stay off while another runs."""
    inside = []

    @contextlib.contextmanager
    def around(info, arguments):
        assert not inside or info.id not in ("Nap",), "two coroutines inside at once"
        inside.append(info.id)
        try:
            yield
        finally:
            inside.pop()

    lab.renew(around=around)
    wanted = graph(
        **{f"n{i}": ("Nap", {"value": i, "seconds": 0.05}) for i in range(5)}, j=("Join", {f"words{i}": f"@n{i}" for i in range(5)})
    )
    assert lab.run(wanted, "j").state == "succeeded"
    assert inside == []


def test_two_runs_at_once_share_the_lanes(lab):
    import asyncio

    async def both():
        one = lab.executor.run(graph(**{f"n{i}": ("Nap", {"value": i}) for i in range(3)}), ["n0", "n1", "n2"])
        two = lab.executor.run(graph(a=("Slow", {"value": 1}), b=("Add", {"a": "@a"})), ["b"], keep_values=True)
        return await asyncio.gather(one, two)

    one, two = asyncio.run(both())
    assert one.state == two.state == "succeeded" and two.values["b"] == ((2,),)

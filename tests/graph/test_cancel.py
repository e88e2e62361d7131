"""Cancelling: acknowledged at once, effective at the next step, and nothing that was finished is lost."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import Cancelled, Preempted
from engine.graph.cancel import CancelToken
from engine.graph.events import JobFinished
from tests.graph.conftest import graph, reasons


def cancel_when(lab, kind, count, wanted, *targets):
    """Cancel when so many nodes of this kind were called; the outcome."""
    token = CancelToken()

    async def run():
        task = asyncio.create_task(lab.arun(wanted, *targets, cancel=token))
        await asyncio.sleep(0)  # the run has forgotten the calls of earlier tests
        while lab.called(kind) < count:
            await asyncio.sleep(0.01)
        token.cancel()
        return await task

    return asyncio.run(run())


def test_a_node_that_checks_stops_at_its_next_step(lab):
    outcome = cancel_when(lab, "Step", 3, graph(a=("Number", {"value": 5}), s=("Steps",), out=("Show", {"value": "@s"})), "a", "out")
    assert outcome.state == "cancelled" and isinstance(outcome.error, Cancelled)
    assert 3 <= lab.called("Step") < 300
    assert reasons(outcome)["s"] == "cancelled" and reasons(outcome)["out"] == "not reached"
    assert lab.told(JobFinished)[0].state == "cancelled" and isinstance(lab.events[-1], JobFinished)


def test_nothing_starts_after_cancelling(lab):
    wanted = graph(**{f"w{i}": ("Work", {"value": i, "seconds": 0.05}) for i in range(50)})
    outcome = cancel_when(lab, "Work", 2, wanted, *wanted.nodes)
    assert outcome.state == "cancelled" and lab.called("Work") < 40


def test_what_was_finished_is_kept(lab):
    wanted = graph(a=("Slow", {"value": 1}), w=("Work", {"value": "@a", "seconds": 0.4}), b=("Add", {"a": "@w"}))
    outcome = cancel_when(lab, "Work", 1, wanted, "b")
    assert outcome.state == "cancelled"
    assert lab.value(wanted, "b") == 2
    assert lab.called("Slow") == lab.called("Work") == 0


def test_coroutines_are_cancelled(lab):
    wanted = graph(**{f"n{i}": ("Nap", {"value": i, "seconds": 600.0}) for i in range(5)})
    outcome = cancel_when(lab, "Nap", 5, wanted, *wanted.nodes)
    assert outcome.state == "cancelled" and lab.called("Nap") == 5


def test_a_token_that_is_set_before_the_start(lab):
    token = CancelToken()
    token.cancel()
    outcome = lab.run(graph(a=("Number", {"value": 1}), b=("Add", {"a": "@a"})), "b", cancel=token)
    assert outcome.state == "cancelled" and lab.calls == []


def test_cancelling_the_waiting_task_cancels_the_run(lab):
    async def run():
        task = asyncio.create_task(lab.arun(graph(s=("Steps", {"count": 10_000_000})), "s"))
        await asyncio.sleep(0)
        while lab.called("Step") < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(60):  # the step at work ends first
            while not lab.told(JobFinished):
                await asyncio.sleep(0.01)
        assert lab.told(JobFinished)[0].state == "cancelled"

    asyncio.run(run())


def test_a_node_that_reports_cancelled_by_itself_has_failed(lab):
    outcome = lab.run(graph(c=("GiveUp",)), "c")
    assert outcome.state == "failed" and "Cancelled" in outcome.error.message


def test_the_next_run_is_not_cancelled(lab):
    cancel_when(lab, "Step", 1, graph(s=("Steps",)), "s")
    assert lab.value(graph(a=("Number", {"value": 3})), "a") == 3


def test_what_is_cancelled_does_not_make_way_instead():
    token = CancelToken()
    token.cancel()
    token.give_way()
    with pytest.raises(Cancelled) as caught:
        token.check()
    assert not isinstance(caught.value, Preempted)

"""A long node makes way in the middle and goes on from there: after another job, a restart, or never, when its plan has changed."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.errors import Preempted, Unstorable
from engine.graph.cache import Cache, _state_key
from engine.graph.cancel import CancelToken
from engine.graph.checkpoint import Checkpoint
from engine.graph.context import Context, JobInfo
from engine.graph.disk_tier import DiskTier
from engine.graph.events import GAVE_WAY, JobFinished
from engine.graph.items import Item, Result, item_key
from engine.graph.records import RecordStore
from tests.graph.conftest import graph, reasons
from tests.graph.traced_nodes import study


def learning(steps=10, **more):
    return graph(a=("Number", {"value": 3}), t=("Study", {"start": "@a", "steps": steps, **more}), out=("Add", {"a": "@t", "b": 1}))


def disk(path) -> Cache:
    return Cache(disk=DiskTier(path / "cache"), records=RecordStore(path / "records.sqlite"))


def interrupted(lab, wanted, at, ask, **options):
    """Run, with `ask(token)` when the node has begun `at` steps."""
    token = CancelToken()

    async def run():
        task = asyncio.create_task(lab.arun(wanted, "out", cancel=token, **options))
        await asyncio.sleep(0)  # the run has forgotten the calls of earlier tests
        while lab.called("Study") < at and not task.done():
            await asyncio.sleep(0.002)
        ask(token)
        return await task

    return asyncio.run(run())


def steps_of(lab):
    return [call[1] for call in lab.calls if call[0] == "Study"]


def expected(steps, start=3):
    value = start
    for step in range(steps):
        value = (value * 31 + step) % 1_000_003
    return value + 1


@pytest.mark.parametrize("restart", [False, True])
def test_it_goes_on_where_it_made_way_and_comes_to_the_same(lab, tmp_path, restart):
    cache = disk(tmp_path)
    lab.renew(cache)
    outcome = interrupted(lab, learning(), 4, CancelToken.give_way)
    assert (outcome.state, outcome.error) == (GAVE_WAY, None) and lab.told(JobFinished)[0].state == GAVE_WAY
    assert reasons(outcome)["t"] == "stopped to make way" and reasons(outcome)["out"] == "not reached"
    done = steps_of(lab)
    if restart:
        lab.executor.close()
        lab.executors.clear()
        lab.renew(disk(tmp_path))
    assert lab.value(learning(), "out") == expected(10)
    assert done + steps_of(lab) == list(range(10))
    lab.executor.cache.flush()
    assert lab.executor.cache.load_state(bytes.fromhex(outcome.records["t"].digest)) is None  # done: nothing to go on from


def test_without_a_disk_it_goes_on_in_the_same_process(lab):
    interrupted(lab, learning(), 2, CancelToken.give_way)
    done = steps_of(lab)
    assert lab.value(learning(), "out") == expected(10) and done + steps_of(lab) == list(range(10))


def test_another_plan_starts_anew(lab, tmp_path):
    lab.renew(disk(tmp_path))
    interrupted(lab, learning(), 4, CancelToken.give_way)
    assert lab.value(learning(steps=6), "out") == expected(6) and steps_of(lab) == list(range(6))
    assert lab.value(learning(), "out") == expected(10)
    assert steps_of(lab)[0] > 0


def test_a_cancelled_job_is_cancelled_though_it_was_about_to_make_way(lab):
    def both(token):
        token.give_way()
        token.cancel()
        token.give_way()

    assert interrupted(lab, learning(), 4, both).state == "cancelled"


def test_a_run_that_is_done_when_it_is_asked_has_succeeded(lab):
    outcome = interrupted(lab, graph(t=("Study", {"start": 3, "steps": 4}), out=("Number", {"value": 1})), 99, CancelToken.give_way)
    assert outcome.state == "succeeded"


def test_ending_early_is_used_in_the_run_and_not_kept(lab, tmp_path):
    lab.renew(disk(tmp_path))
    outcome = interrupted(lab, learning(), 4, CancelToken.finish)
    assert outcome.state == "succeeded" and outcome.values["out"] == ((expected(len(steps_of(lab))),),)
    early = len(steps_of(lab))
    assert 4 <= early < 10
    lab.executor.cache.flush()
    assert lab.value(learning(), "out") == expected(10)  # neither the node nor what came after it was kept
    assert lab.called("Add") == 1


def test_what_ends_early_inside_an_expansion_is_not_kept(lab, tmp_path):
    lab.renew(disk(tmp_path))
    wanted = graph(t=("StudyTwice", {"start": 3, "steps": 5}), out=("Add", {"a": "@t", "b": 1}))
    interrupted(lab, wanted, 2, CancelToken.finish)
    assert len(steps_of(lab)) < 10
    assert lab.value(wanted, "out") == expected_twice(5) and len(steps_of(lab)) == 10


def expected_twice(steps):
    return expected(steps, expected(steps) - 1)


def test_deleting_the_job_removes_what_it_would_go_on_from(lab, tmp_path):
    cache = disk(tmp_path)
    lab.renew(cache)
    outcome = interrupted(lab, learning(), 4, CancelToken.give_way, job=JobInfo("mine"))
    digest = bytes.fromhex(outcome.records["t"].digest)
    assert cache.load_state(digest) is not None
    cache.forget_jobs(["mine"])
    assert cache.load_state(digest) is None


def test_the_last_state_stays_when_a_new_one_cannot_be_kept(tmp_path):
    cache = disk(tmp_path)
    cache.save_state(b"d" * 16, {"step": 1})
    with pytest.raises(Unstorable):
        cache.save_state(b"d" * 16, object())
    assert cache.load_state(b"d" * 16) == {"step": 1}
    cache.save_state(b"d" * 16, {"step": 2})
    assert cache.load_state(b"d" * 16) == {"step": 2} and len(cache.disk) == 1
    cache.close()


def test_an_abandoned_state_leaves_with_time_and_one_in_use_does_not(tmp_path, monkeypatch):
    """States are not pinned: those of trainings that nobody goes on with would fill the disk."""
    cache = disk(tmp_path)
    cache.disk.limit = 100_000
    cache.save_state(b"abandoned", {"weights": "x" * 30_000})
    first = time.time()
    for day in (0, 3, 6, 8, 9):
        monkeypatch.setattr(time, "time", lambda day=day: first + day * 86_400)
        cache.save_state(b"in use", {"weights": "x" * 30_000})
        for number in range(4):
            digest = f"{day} {number}".encode()
            cache.disk.put(digest, Result(((Item("y" * 20_000, item_key(digest, 0)),),)), ("STRING",))
        cache.flush()
        assert cache.load_state(b"in use") is not None and cache.disk.bytes <= 100_000
        assert (_state_key(b"abandoned") in cache.disk) == (day < 7), day
    cache.close()


def test_states_alone_may_fill_the_disk_and_no_more(tmp_path):
    cache = disk(tmp_path)
    cache.disk.limit = 100_000
    for number in range(4):
        cache.save_state(f"{number}".encode(), {"weights": "x" * 48_000})
    assert [number for number in range(4) if cache.load_state(f"{number}".encode()) is not None] == [2, 3]
    cache.close()


def test_a_state_goes_only_when_the_result_is_on_the_disk(lab, tmp_path, monkeypatch):
    """So that a process that ends in between, or a full disk, costs nothing."""
    cache = disk(tmp_path)
    lab.renew(cache)
    outcome = interrupted(lab, learning(), 4, CancelToken.give_way)
    digest = bytes.fromhex(outcome.records["t"].digest)
    insert = cache.disk._insert

    def full(task):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.disk, "_insert", full)
    assert lab.value(learning(), "out") == expected(10)
    cache.flush()
    assert cache.load_state(digest) is not None
    monkeypatch.setattr(cache.disk, "_insert", insert)
    cache.clear(memory=True)
    assert lab.value(learning(), "out") == expected(10)
    cache.flush()
    assert cache.load_state(digest) is None and cache.where(digest)


def test_a_full_disk_leaves_the_state_that_was_kept(tmp_path, monkeypatch):
    cache = disk(tmp_path)
    cache.save_state(b"digest", {"step": 1})
    cache.disk._database.execute(f"PRAGMA max_page_count = {cache.disk._database.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(OSError, match="full"):
        cache.save_state(b"digest", {"step": 2, "weights": "x" * 1_000_000})
    assert cache.load_state(b"digest") == {"step": 1}
    cache.close()
    again = disk(tmp_path)
    assert again.load_state(b"digest") == {"step": 1}
    again.close()


def test_a_node_is_tested_by_calling_it():
    token, checkpoint = CancelToken(), Checkpoint()

    def on_progress(step, total, preview):
        if step == 2:
            token.give_way()

    with pytest.raises(Preempted):
        study(Context(cancel=token, checkpoint=checkpoint, on_progress=on_progress), 3, 5)
    assert checkpoint.load()[0] == 3
    assert study(Context(checkpoint=checkpoint), 3, 5) == expected(5) - 1

"""The queue with a worker process that is told what to do: order, cancel, crashes, parking, restarts of the server, events by number."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sqlite3
import sys

import pytest

from engine.errors import Conflict, MissingJob
from engine.graph.events import GAVE_WAY
from engine.graph.wire import Frame
from engine.jobs.jobs import Jobs
from engine.jobs.journal import ATTEMPT_SPAN
from engine.jobs.records import NewJob
from engine.jobs.states import State
from engine.jobs.store import JobStore
from engine.jobs.supervisor import Supervisor

COMMAND = (sys.executable, "-m", "tests.jobs.fake_worker")


class Heard:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.over: list[tuple[str, State]] = []
        self.remaining: list[int] = []

    def on_events(self, job, result, batch, previews):
        self.events += [(job.id, event["type"]) for event in batch]

    def on_queue(self, remaining):
        self.remaining.append(remaining)

    def on_over(self, job):
        self.over.append((job.id, job.state))


class Bench:
    def __init__(self, path, cancel_grace: float = 60.0) -> None:
        self.path = path
        self.cancel_grace = cancel_grace
        self.catalogues: list[bytes] = []
        self.heard = Heard()

    async def __aenter__(self) -> Bench:
        self.supervisor = Supervisor("{}", on_catalogue=self.catalogues.append, command=COMMAND)
        self.jobs = Jobs(JobStore(self.path), self.supervisor, cancel_grace=self.cancel_grace)
        self.jobs.listeners.append(self.heard)
        await self.jobs.start()
        return self

    async def __aexit__(self, *_) -> None:
        await self.jobs.stop()

    async def submit(self, name: str, **orders):
        digest = json.dumps(orders)
        new = NewJob(id=name, prompt=digest.encode(), graph=b"[]", targets=("1",), total=1, digest=digest)
        return (await self.jobs.submit(new))[0]

    async def over(self, name: str) -> None:
        """Until the listeners have heard that the job is over."""
        async with asyncio.timeout(60):
            while all(job_id != name for job_id, _ in self.heard.over):
                await asyncio.sleep(0.01)

    async def state(self, name: str, *wanted: State) -> State:
        async with asyncio.timeout(60):
            while (job := await self.jobs.store.get(name)).state not in wanted:
                await asyncio.sleep(0.01)
        return job.state


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
async def bench(path):
    async with Bench(path) as bench:
        yield bench


async def test_jobs_run_one_after_the_other_and_listeners_hear_in_order(bench):
    for name in ("a", "b"):
        await bench.submit(name)
    await bench.over("b")
    kinds = ["job_started", "node_started", "node_finished", "job_finished"]
    assert bench.heard.events == [(name, kind) for name in ("a", "b") for kind in kinds]
    assert bench.heard.over == [("a", State.SUCCEEDED), ("b", State.SUCCEEDED)]
    assert bench.heard.remaining[-1] == 0 and max(bench.heard.remaining) == 2
    assert bench.catalogues == [b'{"nodes": {}}']
    assert bench.supervisor.hello == {"device": {"name": "fake"}}


async def test_the_result_is_there_when_the_end_is_told(bench):
    seen = []

    told = bench.heard.on_over

    def on_over(job):
        seen.append(asyncio.create_task(bench.jobs.store.result(job)))
        told(job)

    bench.heard.on_over = on_over
    await bench.submit("a")
    await bench.over("a")
    assert (await seen[0]).ui == {"1": {"text": ["done"]}}


async def test_a_running_job_is_cancelled_by_its_token(bench):
    await bench.submit("a", wait=True)
    await bench.state("a", State.RUNNING)
    await bench.jobs.cancel("a")
    assert await bench.state("a", State.CANCELLED) is State.CANCELLED
    assert bench.supervisor.starts == 1
    with pytest.raises(Conflict):
        await bench.jobs.cancel("a")
    with pytest.raises(MissingJob):
        await bench.jobs.cancel("none")


async def test_a_node_that_does_not_listen_ends_with_its_process_and_the_next_job_runs(path):
    async with Bench(path, cancel_grace=0.3) as bench:
        await bench.submit("deaf", wait=True, deaf=True)
        await bench.submit("next")
        await bench.state("deaf", State.RUNNING)
        await bench.jobs.cancel("deaf")
        assert await bench.state("next", State.SUCCEEDED) is State.SUCCEEDED
        job = await bench.jobs.store.get("deaf")
        assert (job.state, job.crashes) == (State.CANCELLED, 0)
        assert bench.supervisor.starts == 2


async def test_a_job_that_is_cancelled_while_it_makes_way_does_not_run_again(bench, monkeypatch):
    await bench.submit("a", wait=True)
    await bench.state("a", State.RUNNING)
    interrupt = bench.jobs.store.interrupt

    async def cancelled_meanwhile(*args, **values):
        await bench.jobs.cancel("a")
        return await interrupt(*args, **values)

    monkeypatch.setattr(bench.jobs.store, "interrupt", cancelled_meanwhile)
    end = {"type": "job_finished", "state": GAVE_WAY, "sequence": 2 * ATTEMPT_SPAN - 1, "error": None}
    await bench.jobs._on_frame(Frame({"type": "events", "job": "a"}, (json.dumps([end]).encode(),)))
    assert await bench.state("a", State.CANCELLED, State.RUNNING, State.SUCCEEDED) is State.CANCELLED
    assert bench.jobs.remaining == 0


async def test_a_job_that_is_paused_while_it_makes_way_is_paused(bench, monkeypatch):
    await bench.submit("a", wait=True)
    await bench.state("a", State.RUNNING)
    interrupt = bench.jobs.store.interrupt

    async def paused_meanwhile(*args, **values):
        await bench.jobs.pause("a")
        return await interrupt(*args, **values)

    monkeypatch.setattr(bench.jobs.store, "interrupt", paused_meanwhile)
    end = {"type": "job_finished", "state": GAVE_WAY, "sequence": 2 * ATTEMPT_SPAN - 1, "error": None}
    await bench.jobs._on_frame(Frame({"type": "events", "job": "a"}, (json.dumps([end]).encode(),)))
    job = await bench.jobs.store.get("a")
    assert (job.state, job.reason, bench.jobs.waiting) == (State.PAUSED, "Paused", [])
    await bench.jobs.release("a")
    await bench.state("a", State.RUNNING)


async def test_a_waiting_job_is_cancelled_at_once(bench):
    await bench.submit("a", wait=True)
    await bench.submit("b")
    await bench.state("a", State.RUNNING)
    assert (await bench.jobs.cancel("b")).state is State.CANCELLED
    assert bench.jobs.remaining == 1
    _, events = await bench.jobs.events_after("b", 0)
    assert [event["type"] for event in events] == ["job_finished"]


@pytest.mark.parametrize(("asked", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)])
async def test_what_is_asked_while_the_end_of_the_worker_is_noted_is_done(bench, monkeypatch, asked, state):
    await bench.submit("a", wait=True)
    await bench.jobs.events_after("a", ATTEMPT_SPAN + 1, wait=60)  # its node has begun
    store, noting, looked = bench.jobs.store, asyncio.Event(), asyncio.Event()
    interrupt, get = store.interrupt, store.get

    async def slow(*arguments, **options):
        noting.set()
        await looked.wait()
        return await interrupt(*arguments, **options)

    async def watched(job_id):
        job = await get(job_id)
        looked.set()
        return job

    monkeypatch.setattr(store, "interrupt", slow)
    os.kill(bench.supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        await noting.wait()
        monkeypatch.setattr(store, "get", watched)
        asking = asyncio.create_task(getattr(bench.jobs, asked)("a"))
        if asked == "pause":  # it reads nothing before it may
            await asyncio.sleep(0)
            looked.set()
        await asking
    assert (await store.get("a")).state is state


async def test_a_worker_killed_in_the_middle_of_a_job_costs_one_attempt(bench):
    await bench.submit("a", wait=True)
    await bench.submit("b")
    await bench.jobs.events_after("a", ATTEMPT_SPAN + 1, wait=60)  # its node has begun
    first = bench.supervisor.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(60):
        while (await bench.jobs.store.get("a")).attempt != 2:
            await asyncio.sleep(0.02)
    assert bench.supervisor.pid != first
    await bench.jobs.cancel("a")
    assert await bench.state("b", State.SUCCEEDED) is State.SUCCEEDED
    _, events = await bench.jobs.events_after("a", 0)
    numbers = [event["sequence"] for event in events]
    assert numbers == sorted(set(numbers))
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["job_started", "node_started", "job_interrupted"] and kinds[-1] == "job_finished"
    assert "SIGKILL" in events[2]["reason"] and "node 1" in events[2]["reason"]


async def test_a_job_that_kills_its_worker_twice_is_parked_and_others_go_on(bench):
    await bench.submit("poison", die_before_attempt=3)
    await bench.submit("b")
    assert await bench.state("b", State.SUCCEEDED) is State.SUCCEEDED
    job = await bench.jobs.store.get("poison")
    assert (job.state, job.attempt, job.crashes) == (State.PARKED, 2, 2)
    assert "SIGKILL" in job.reason
    assert ("poison", State.PARKED) in bench.heard.over
    await bench.jobs.release("poison")
    assert await bench.state("poison", State.SUCCEEDED) is State.SUCCEEDED


async def test_a_job_that_was_sent_to_a_dying_worker_is_not_blamed(bench):
    await bench.submit("a", untaken_before_attempt=4)
    assert await bench.state("a", State.SUCCEEDED, State.PARKED) is State.SUCCEEDED
    job = await bench.jobs.store.get("a")
    assert (job.attempt, job.crashes) == (4, 0)


async def test_jobs_wait_over_a_restart_of_the_server(path):
    async with Bench(path) as bench:
        await bench.submit("a", wait=True)
        await bench.submit("b")
        await bench.state("a", State.RUNNING)
    async with Bench(path) as bench:
        await bench.state("a", State.RUNNING)
        job = await bench.jobs.store.get("a")
        assert (job.attempt, job.crashes) == (2, 0)
        await bench.jobs.cancel("a")
        assert await bench.state("b", State.SUCCEEDED) is State.SUCCEEDED


async def test_a_job_that_ran_when_the_server_died_runs_again(path):
    store = JobStore(path)
    await store.insert(NewJob(id="a", prompt=b"{}", graph=b"[]", targets=("1",), total=1))
    await store.start("a")
    store.close()
    async with Bench(path) as bench:
        assert await bench.state("a", State.SUCCEEDED) is State.SUCCEEDED
        job = await bench.jobs.store.get("a")
        assert (job.attempt, job.crashes) == (2, 1)


async def test_a_client_that_comes_back_gets_what_it_missed(path):
    async with Bench(path) as bench:
        await bench.submit("a")
        await bench.state("a", State.SUCCEEDED)
    async with Bench(path) as bench:
        _, events = await bench.jobs.events_after("a", 0)
        assert [event["sequence"] - ATTEMPT_SPAN for event in events] == [1, 2, 3, 4]
        _, rest = await bench.jobs.events_after("a", events[1]["sequence"])
        assert rest == events[2:]
        assert (await bench.jobs.events_after("a", events[-1]["sequence"], wait=5))[1] == []  # over: does not wait


async def test_a_poll_waits_for_the_next_event(bench, monkeypatch):
    await bench.submit("a", wait=True)
    await bench.state("a", State.RUNNING)
    _, events = await bench.jobs.events_after("a", 0, wait=5)
    looked, read = asyncio.Event(), bench.jobs.journal.read

    async def watched(*arguments):
        found = await read(*arguments)
        looked.set()
        return found

    monkeypatch.setattr(bench.jobs.journal, "read", watched)
    async with asyncio.timeout(60):
        poll = asyncio.create_task(bench.jobs.events_after("a", ATTEMPT_SPAN + 2, wait=60))
        await looked.wait()
        assert not poll.done()
        await bench.jobs.cancel("a")
        _, events = await poll
    assert events[0]["sequence"] > ATTEMPT_SPAN + 2


async def test_a_listener_that_fails_does_not_stop_the_queue(bench):
    def fail(*_):
        raise RuntimeError("a broken front end")

    bench.heard.on_events = fail
    await bench.submit("a")
    assert await bench.state("a", State.SUCCEEDED) is State.SUCCEEDED


async def test_a_worker_that_cannot_start_leaves_jobs_waiting(path):
    supervisor = Supervisor("{}", on_catalogue=lambda data: None, command=(sys.executable, "-c", "raise SystemExit(3)"))
    jobs = Jobs(JobStore(path), supervisor)
    await jobs.start()
    await jobs.submit(NewJob(id="a", prompt=b"{}", graph=b"[]", targets=("1",), total=1))
    async with asyncio.timeout(60):
        while supervisor.starts < 3:
            await asyncio.sleep(0.01)
    assert (await jobs.store.get("a")).state is State.QUEUED
    await jobs.stop()


async def test_a_silent_worker_is_replaced(path):
    script = "import sys,time; sys.stdin.buffer.read(1); time.sleep(60)"
    supervisor = Supervisor("{}", on_catalogue=lambda data: None, command=(sys.executable, "-c", script), silence=0.5)
    jobs = Jobs(JobStore(path), supervisor)
    await jobs.start()
    async with asyncio.timeout(60):
        while supervisor.starts < 2:
            await asyncio.sleep(0.05)
    await jobs.stop()


async def test_what_a_deleted_job_leaves_is_forgotten_though_the_server_dies_right_then(path, monkeypatch):
    monkeypatch.setenv("FAKE_WORKER_FORGETS", "no")  # as if the message were lost with the process
    async with Bench(path) as bench:
        await bench.submit("a")
        await bench.state("a", State.SUCCEEDED)
        assert await bench.jobs.delete(["a"]) == ["a"]
        await bench.submit("b")
        await bench.state("b", State.SUCCEEDED)  # the worker has read what came before it
        assert await bench.jobs.store.forgotten() == ["a"]
    monkeypatch.delenv("FAKE_WORKER_FORGETS")
    async with Bench(path) as bench, asyncio.timeout(60):
        while await bench.jobs.store.forgotten():
            await asyncio.sleep(0.01)


async def test_a_job_whose_start_could_not_be_written_is_started_later(bench, monkeypatch):
    start, failures = bench.jobs.store.start, []

    async def full(job_id):
        if not failures:
            failures.append(job_id)
            raise sqlite3.OperationalError("database or disk is full")
        return await start(job_id)

    monkeypatch.setattr(bench.jobs.store, "start", full)
    await bench.submit("a")
    async with asyncio.timeout(60):
        while not failures:
            await asyncio.sleep(0.01)
    await bench.submit("b")
    await bench.over("b")
    assert failures == ["a"] and bench.heard.over == [("a", State.SUCCEEDED), ("b", State.SUCCEEDED)]


async def test_a_task_that_failed_does_not_keep_the_queue_from_ending_well(path, monkeypatch):
    async with Bench(path) as bench:
        await bench.submit("a", wait=True)
        await bench.state("a", State.RUNNING)
        gone = asyncio.Event()

        async def broken():
            await gone.wait()
            raise OSError("the disk is gone")

        bench.jobs._tasks.begin(broken())
        gone.set()
    store = JobStore(path)
    job = await store.get("a")
    store.close()
    assert (job.state, job.crashes) == (State.QUEUED, 0)


async def test_polls_of_jobs_that_tell_nothing_leave_nothing_behind(bench):
    await bench.submit("a")
    await bench.over("a")
    await bench.jobs.events_after("a", 10 * ATTEMPT_SPAN, wait=60)
    for number in range(10):
        with pytest.raises(MissingJob):
            await bench.jobs.events_after(f"none {number}", 0)
    gc.collect()
    assert len(bench.jobs.journal._changed) <= 1  # that of the last one, as long as its exception is held


async def test_a_job_that_gets_another_place_while_it_starts_waits_no_more(bench, monkeypatch):
    start = bench.jobs.store.start

    async def moving(job_id):
        if job_id == "a":
            await bench.jobs.move("a", None)
        return await start(job_id)

    monkeypatch.setattr(bench.jobs.store, "start", moving)
    await bench.jobs.pause_queue(True)
    await bench.submit("a", wait=True)
    await bench.submit("b")
    await bench.jobs.pause_queue(False)
    async with asyncio.timeout(60):
        while bench.jobs.running is None:
            await asyncio.sleep(0.01)
    assert (bench.jobs.running.job.id, bench.jobs.waiting, bench.jobs.remaining) == ("a", ["b"], 2)

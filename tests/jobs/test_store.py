"""What the job database promises: order, guarded states, idempotent ids, nothing lost, no newer schema."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from engine.errors import Conflict, DatabaseError, MissingJob
from engine.jobs.database import Database
from engine.jobs.migrations import STEPS
from engine.jobs.records import NewJob, Result
from engine.jobs.states import OVER, SOURCES, TERMINAL, State
from engine.jobs.store import JobStore


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs.db", max_history=3, max_event_bytes=100)
    yield store
    store.close()


def new(name: str, **values) -> NewJob:
    return NewJob(**{"id": name, "prompt": b"{}", "graph": b"[]", "targets": ("1",), "total": 1, **values})


async def add(store: JobStore, name: str, **values):
    return (await store.insert(new(name, **values)))[0]


async def test_order_is_number_then_submission_and_front_comes_first(store):
    for name in ("a", "b"):
        await add(store, name)
    await add(store, "front", front=True)
    await add(store, "later front", front=True)
    await add(store, "low", number=0.5)
    await add(store, "low too", number=0.5)
    assert [job.id for job in await store.waiting()] == ["later front", "front", "low", "low too", "a", "b"]
    assert [job.id for job in await store.waiting(2)] == ["later front", "front"]


async def test_numbers_grow_over_restarts_and_deleted_jobs(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    first = await add(store, "a")
    await store.cancel_waiting()
    await store.delete_over()
    store.close()
    store = JobStore(tmp_path / "jobs.db")
    assert (await add(store, "b")).number > first.number
    store.close()


async def test_the_same_id_is_the_same_job_only_with_the_same_body(store):
    job, fresh = await store.insert(new("a", digest="1"))
    again, fresh_again = await store.insert(new("a", digest="1"))
    assert (fresh, fresh_again, again) == (True, False, job)
    with pytest.raises(Conflict, match="another body"):
        await store.insert(new("a", digest="2"))
    assert len(await store.waiting()) == 1


async def test_two_requests_with_one_id_at_the_same_time_make_one_job(store):
    answers = await asyncio.gather(*(store.insert(new("a", digest="1")) for _ in range(5)))
    assert [fresh for _, fresh in answers].count(True) == 1


async def test_nothing_leaves_a_terminal_state(store):
    for state in sorted(TERMINAL):
        assert all(state not in sources for sources in SOURCES.values())
    await add(store, "a")
    await store.start("a")
    await store.finish("a", State.SUCCEEDED, "", Result())
    with pytest.raises(Conflict, match="is succeeded"):
        await store.finish("a", State.CANCELLED, "", Result())
    with pytest.raises(Conflict):
        await store.start("a")
    with pytest.raises(MissingJob):
        await store.start("none")


async def test_a_finished_job_keeps_its_result_and_gives_up_its_graph(store):
    await add(store, "a", extra=b'{"x": 1}')
    job, body = await store.start("a")
    assert (job.state, job.attempt, body.graph) == (State.RUNNING, 1, b"[]")
    result = Result()
    result.add({"type": "node_finished", "node_id": "9", "display_id": "9", "parent_id": None, "ui": {"text": ["é\ud800"]}})
    job = await store.finish("a", State.SUCCEEDED, "", result, [(1, 2, b"[]")])
    assert (await store.result(job)).ui == {"9": {"text": ["é\ud800"]}}
    body = await store.body(job)
    assert (body.prompt, body.extra, body.graph) == (b"{}", b'{"x": 1}', None)
    assert job.finished is not None and job.started is not None


async def test_two_crashes_park_a_job_and_a_release_forgives_them(store):
    await add(store, "a")
    await store.start("a")
    job = await store.interrupt("a", "it died", Result(), crashed=True, park_after=2)
    assert (job.state, job.crashes, job.reason) == (State.QUEUED, 1, "it died")
    await store.start("a")
    job = await store.interrupt("a", "it died again", Result(), crashed=True, park_after=2)
    assert (job.state, job.attempt) == (State.PARKED, 2)
    assert "2 crashes" in job.reason and "it died again" in job.reason
    assert [job.id for job in await store.over()] == ["a"]
    job = await store.release("a")
    assert (job.state, job.crashes) == (State.QUEUED, 0)
    assert await store.over() == []
    assert (await store.start("a"))[1].graph == b"[]"


async def test_a_stop_is_no_crash(store):
    await add(store, "a")
    for _ in range(3):
        await store.start("a")
        job = await store.interrupt("a", "stopped", Result(), crashed=False, park_after=2)
    assert (job.state, job.crashes, job.attempt) == (State.QUEUED, 0, 3)


async def test_history_pages_and_forgets_the_oldest(store):
    for name in "abcde":
        await add(store, name)
        await store.start(name)
        await store.finish(name, State.SUCCEEDED, "", Result())
    assert [job.id for job in await store.over()] == ["c", "d", "e"]
    assert [job.id for job in await store.over(limit=2)] == ["d", "e"]
    assert [job.id for job in await store.over(limit=1, offset=1)] == ["d"]
    with pytest.raises(MissingJob):
        await store.get("a")


async def test_cancel_waiting_leaves_the_running_job_alone(store):
    for name in "abc":
        await add(store, name)
    await store.start("a")
    assert [job.id for job in await store.cancel_waiting(["a", "b", "unknown"])] == ["b"]
    assert [job.id for job in await store.cancel_waiting()] == ["c"]
    assert (await store.get("a")).state is State.RUNNING


async def test_kept_events_are_bounded_and_the_oldest_go(store):
    job = await add(store, "a")
    for number in range(10):
        await store.add_events(job, [(number, number, b"x" * 30)])
    assert len(await store.events(job, 0)) == 3
    assert len(await store.events(job, 8)) == 1


async def test_deleting_a_job_deletes_everything_of_it(store, tmp_path):
    job = await add(store, "a")
    await store.start("a")
    await store.finish("a", State.FAILED, "", Result(), [(1, 1, b"[]")])
    assert await store.delete_over(["a", "unknown"]) == ["a"]
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        for table in ("jobs", "job_bodies", "job_results", "job_events"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    with pytest.raises(MissingJob):
        await store.body(job)


async def test_events_of_a_job_that_was_deleted_meanwhile_are_dropped(store):
    job = await add(store, "a")
    await store.cancel_waiting()
    await store.delete_over()
    await store.add_events(job, [(1, 1, b"[]")])
    assert await store.events(job, 0) == []


async def test_the_history_is_bounded_in_bytes_but_keeps_the_last_job(tmp_path):
    store = JobStore(tmp_path / "jobs.db", max_history_bytes=25_000)
    try:
        for name in "abcd":
            await add(store, name, prompt=b"x" * 9_000, extra=b"{}")
            await store.start(name)
            await store.finish(name, State.SUCCEEDED, "", Result(), [(1, 1, b"e" * 1_000)])
        assert [job.id for job in await store.over()] == ["c", "d"]
        await add(store, "large", prompt=b"x" * 50_000)
        await store.cancel_waiting()
        assert [job.id for job in await store.page()] == ["large"]
    finally:
        store.close()


async def test_what_an_older_version_kept_is_measured(tmp_path):
    path = tmp_path / "jobs.db"
    Database(path, STEPS[:2]).close()
    with sqlite3.connect(path) as connection:
        row = "(id, number, state, targets, total, created, completion) VALUES ('a', 1, 'succeeded', '[]', 1, 0, 1)"
        connection.execute(f"INSERT INTO jobs {row}")
        connection.execute("INSERT INTO job_bodies VALUES (1, ?, ?, NULL)", (b"x" * 100, b"{}"))
    store = JobStore(path)
    try:
        assert await store.database.read(lambda connection: connection.execute("SELECT bytes FROM jobs").fetchone()[0]) == 102
    finally:
        store.close()


async def test_every_state_is_known_to_the_schema(store):
    await add(store, "a")
    for state in State:
        await store.database.write(lambda connection, state=state: connection.execute("UPDATE jobs SET state = ?", (state.value,)))
    assert TERMINAL < OVER


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "jobs.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(DatabaseError, match="newer Easel"):
        Database(path)


def test_a_migration_runs_once_and_keeps_a_copy(tmp_path):
    path = tmp_path / "jobs.db"
    Database(path).close()
    further = (*STEPS, "CREATE TABLE further (x)")
    Database(path, further).close()
    Database(path, further).close()
    assert (tmp_path / f"jobs.db.schema-{len(STEPS)}").is_file()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)


def test_a_failed_migration_changes_nothing(tmp_path):
    path = tmp_path / "jobs.db"
    Database(path).close()
    with pytest.raises(sqlite3.OperationalError):
        Database(path, (*STEPS, "CREATE TABLE half (x); CREATE NONSENSE"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchone() is None
    Database(path).close()


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "jobs.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseError, match=r"jobs\.db"):
        Database(path)

"""Requests that change the queue while others do: no job is lost from it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from engine.errors import Busy
from engine.jobs.jobs import Jobs
from engine.jobs.records import NewJob
from engine.jobs.store import JobStore
from engine.jobs.supervisor import MOST_QUESTIONS, Supervisor
from tests.server.serving import chain, make_data, serving

NOBODY = (sys.executable, "-c", "import sys; sys.stdin.read()")


class Hasty(JobStore):
    """While jobs get new places somebody cancels and deletes one of them."""

    async def renumber(self, numbers):
        await super().renumber(numbers)
        await self.cancel_waiting(["b"])
        await self.delete_over(["b"])


async def test_a_job_that_is_deleted_while_others_change_places_takes_none_with_it(tmp_path):
    jobs = Jobs(Hasty(tmp_path / "jobs.db"), Supervisor("{}", on_catalogue=lambda data: None, command=NOBODY))
    await jobs.start()
    try:
        for name in "abcde":  # all of one number, so that moving one of them gives new ones to all
            await jobs.submit(NewJob(id=name, prompt=b"{}", graph=b"[]", targets=("1",), total=1, number=1.0))
        await jobs.move("e", "c")
        assert {"a", "c", "d", "e"} <= {*jobs.waiting}
        assert [name for name in jobs.waiting if name != "b"] == ["a", "e", "c", "d"]
        assert [job.id for job in await jobs.store.waiting()] == ["a", "e", "c", "d"]
    finally:
        await jobs.stop()


@pytest.mark.parametrize("path", ["/history", "/queue"])
async def test_a_job_that_is_deleted_while_jobs_are_listed_hides_no_other(tmp_path, monkeypatch, path):
    async with serving(make_data(tmp_path / "data")) as api:
        if path == "/queue":
            await api.json("POST", "/api/v1/queue/pause")
        ids = [(await api.queue(chain(1, start)))["prompt_id"] for start in range(3)]
        if path == "/history":
            await api.entry(ids[-1])
        read = JobStore.body

        async def deleting(store, job):
            await store.cancel_waiting(ids[:1])
            await store.delete_over(ids[:1])
            return await read(store, job)

        monkeypatch.setattr(JobStore, "body", deleting)
        told = await api.json("GET", path)
        assert (list(told) if path == "/history" else [item[1] for item in told["queue_pending"]]) == ids[1:]


async def test_questions_that_are_not_answered_do_not_pile_up():
    supervisor = Supervisor("{}", on_catalogue=lambda data: None, command=NOBODY)
    waiting = [asyncio.create_task(supervisor.ask("tokens", {"text": "a"})) for _ in range(MOST_QUESTIONS)]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="questions wait"):
        await supervisor.ask("tokens", {"text": "a"})
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(Busy, match="did not answer"):
        await supervisor.ask("tokens", {"text": "a"}, wait=0.01)

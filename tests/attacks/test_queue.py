"""Requests that change the queue while others do: no job is lost from it."""

from __future__ import annotations

import sys

from engine.jobs.jobs import Jobs
from engine.jobs.records import NewJob
from engine.jobs.store import JobStore
from engine.jobs.supervisor import Supervisor

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

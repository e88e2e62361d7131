"""The queue at work: jobs come in, the worker runs them one after the other, listeners hear of it, and no crash loses one."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

from engine.errors import Conflict, MissingJob
from engine.graph import events
from engine.graph.events import GAVE_WAY
from engine.graph.wire import Frame
from engine.jobs.journal import ATTEMPT_SPAN, Journal, event_row
from engine.jobs.line import Line
from engine.jobs.records import Job, NewJob, Result
from engine.jobs.running import Listeners, Running
from engine.jobs.states import State
from engine.jobs.store import JobStore
from engine.jobs.supervisor import Supervisor
from engine.jobs.tasks import Tasks
from engine.log_lines import about

log = logging.getLogger("easel.jobs")

PARK_AFTER = 2


class Jobs:
    """Everything a front end may do with jobs. One job runs at a time; the order is (makes way, number, order of submission).

    A job that makes way for others is asked to when one that does not is waiting: it stops at its next step and waits again.
    """

    def __init__(self, store: JobStore, supervisor: Supervisor, *, cancel_grace: float = 10.0, max_waiting: int | None = None) -> None:
        self.store = store
        self.journal = Journal(store)
        self.listeners = Listeners()
        self._supervisor = supervisor
        self._cancel_grace = cancel_grace
        self._max_waiting = max_waiting
        self._line = Line()
        self._paused = False
        self._running: Running | None = None
        self._starting = False
        self._stopping = False
        self._tasks = Tasks()

    async def start(self) -> None:
        """Take up what the last run left: a job that was running is interrupted, and waits again or is parked."""
        for job in await self.store.running():
            with about(job.id):
                log.warning("The job was running when Easel ended")
            await self.store.interrupt(job.id, "Easel ended while the job ran", Result(), crashed=True, park_after=PARK_AFTER)
        self._line = Line(await self.store.waiting())
        self._paused = await self.store.queue_paused()
        await self._supervisor.start(on_frame=self._on_frame, on_ready=self._on_ready, on_death=self._on_death)

    async def stop(self) -> None:
        """End the worker. A job that runs waits again, without blame."""
        self._stopping = True
        await self._supervisor.stop()
        await self._tasks.ended()
        if self._running is not None:
            result = self._running.result
            await self.store.interrupt(self._running.job.id, "Easel was stopped", result, crashed=False, park_after=PARK_AFTER)
            self._running = None
        await self.journal.close()
        await asyncio.to_thread(self.store.close)

    @property
    def remaining(self) -> int:
        return len(self._line) + (self._running is not None)

    @property
    def waiting(self) -> list[str]:
        """Ids of the jobs that wait, in their order."""
        return self._line.ids

    @property
    def paused(self) -> bool:
        """No job starts until the queue goes on; the one that runs goes on."""
        return self._paused

    @property
    def running(self) -> Running | None:
        return self._running

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """The job, on disk, and whether it is new. Raises Conflict when the id is taken by another request, Busy when too many wait."""
        job, fresh = await self.store.insert(new, most_waiting=self._max_waiting)
        if fresh:
            self._wait(job)
        return job, fresh

    def _wait(self, job: Job) -> None:
        self._line.add(job)
        self._tell_queue()
        self._wake()

    async def pause_queue(self, paused: bool) -> None:
        """Start no further job until the queue goes on, also after a restart."""
        await self.store.pause_queue(paused)
        self._paused = paused
        self._tell_queue()
        self._wake()

    async def move(self, job_id: str, before: str | None) -> Job:
        """Put a waiting job before another one, or last (None). Raises MissingJob, or Conflict when one of them does not wait."""
        job = await self.store.get(job_id)
        for needed in (job_id, before):
            if needed is not None and needed not in self._line.ids:
                raise Conflict(f"The job {needed} does not wait", hint="Only waiting jobs have a place in the queue.")
        numbers = self._line.moved(job, before) if before != job_id else {}
        await self.store.renumber(numbers)
        self._line.renumber(numbers)
        self._tell_queue()
        return await self.store.get(job_id)

    async def pause(self, job_id: str) -> Job:
        """Keep a waiting job from starting, or stop the running one at its next step; `release` lets it go on from there.

        Raises MissingJob, Conflict.
        """
        await self._drain()
        running = self._running
        if running is not None and running.job.id == job_id:
            await self._give_way(running, "paused")
            return running.job
        self._line.remove({job_id})
        job = await self.store.pause(job_id)
        self._tell_queue()
        return job

    async def finish_early(self, job_id: str) -> Job:
        """Ask the nodes of the running job that can to end with what they have. Raises MissingJob, or Conflict when it does not run."""
        running = self._running
        if running is None or running.job.id != job_id:
            job = await self.store.get(job_id)
            raise Conflict(f"The job {job_id} is {job.state}, it does not run", details={"id": job_id, "state": job.state.value})
        await self._supervisor.send({"type": "finish", "job": job_id})
        return running.job

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits, runs, is paused or parked. Raises MissingJob, or Conflict when it is over."""
        running = self._running
        if running is not None and running.job.id == job_id and not running.ending:
            await self._cancel_running(running)
            return running.job
        job = await self.store.get(job_id)
        if job.state is State.RUNNING:  # it is just being started or just ending
            await self._drain()
            job = await self.store.get(job_id)
            lost = job.state is State.RUNNING and (self._running is None or self._running.job.id != job_id)
            return job if job.state.over or lost else await self.cancel(job_id)
        if not await self.cancel_waiting([job_id]):
            job = await self.store.get(job_id)
            raise Conflict(f"The job {job_id} is {job.state}, it cannot be cancelled", details={"id": job_id, "state": job.state.value})
        return await self.store.get(job_id)

    async def cancel_waiting(self, job_ids: Sequence[str] | None = None) -> list[Job]:
        """Cancel jobs that wait; all of them without ids. Others are passed over."""
        cancelled = await self.store.cancel_waiting(job_ids)
        self._line.remove({job.id for job in cancelled})
        for job in cancelled:
            self._publish(
                job, Result(), [self._event(job, events.JobFinished, (job.attempt + 1) * ATTEMPT_SPAN, state=State.CANCELLED.value)]
            )
            self._over(job)
        if cancelled:
            self._tell_queue()
        return cancelled

    async def release(self, job_id: str) -> Job:
        """A parked or paused job waits again. Raises MissingJob, Conflict."""
        job = await self.store.release(job_id)
        self._wait(job)
        return job

    async def delete(self, job_ids: Sequence[str] | None = None) -> list[str]:
        """Forget jobs that are over, all of them without ids, and what the worker keeps for them; returns the ids that are gone."""
        gone = await self.store.delete_over(job_ids)
        if gone:
            await self._supervisor.send({"type": "forget", "jobs": gone})
            self._tell_queue()
        return gone

    async def free(self, *, models: bool, cache: bool) -> None:
        """Ask the worker to let go of loaded models and kept results, after the job that runs."""
        await self._supervisor.send({"type": "free", "models": models, "cache": cache})

    async def events_after(self, job_id: str, after: int, wait: float = 0.0) -> tuple[Job, list[dict[str, Any]]]:
        """Events of a job with greater numbers; waits up to `wait` seconds for the first one while the job is not over."""
        deadline = time.monotonic() + wait
        while True:
            changed = self.journal.watch(job_id)
            job = await self.store.get(job_id)
            found = await self.journal.read(job, after)
            left = deadline - time.monotonic()
            if found or left <= 0 or job.state.over:
                return job, found
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)

    # What the worker does

    def _on_ready(self) -> None:
        self._tasks.begin(self._send_forgotten())
        self._wake()

    async def _send_forgotten(self) -> None:
        """What the last worker did not come to."""
        left = await self.store.forgotten()
        if left:
            await self._supervisor.send({"type": "forget", "jobs": left})

    def _wake(self) -> None:
        first = self._line.first()
        if first is None or not self._may_start:
            return
        running = self._running
        if running is None and not self._starting:
            self._starting = True
            self._tasks.begin(self._start_next())
        elif running is not None and running.job.preemptible and not first[0] and not running.giving_way:
            self._tasks.begin(self._give_way(running, "preempted"))

    @property
    def _may_start(self) -> bool:
        return self._supervisor.ready and not (self._stopping or self._paused)

    async def _give_way(self, running: Running, why: Literal["preempted", "paused"]) -> None:
        running.giving_way = why
        await self._supervisor.send({"type": "give_way", "job": running.job.id})

    async def _start_next(self) -> None:
        try:
            while (place := self._line.first()) and self._running is None and self._may_start:
                job_id = place[-1]
                life = self._supervisor.starts
                try:
                    job, body = await self.store.start(job_id)
                except (Conflict, MissingJob):
                    self._line.remove({job_id})  # cancelled or deleted at the same moment
                    continue
                self._line.remove({job_id})  # by its id: it may have been given another place meanwhile
                if not self._supervisor.ready or self._supervisor.starts != life:
                    reason = "The worker ended before the job began"
                    job = await self.store.interrupt(job_id, reason, Result(), crashed=False, park_after=PARK_AFTER)
                    self._line.add(job)
                    continue
                self._running = Running(job)
                self._tell_queue()
                header = {
                    "type": "run",
                    "job": {"id": job.id, "client_id": job.client_id, "attempt": job.attempt, "targets": list(job.targets)},
                    "sequence": job.attempt * ATTEMPT_SPAN,
                }
                await self._supervisor.send(header, (body.graph or b"[]", body.prompt, body.extra))
                self._wake()  # one that it must make way for may have come meanwhile
        finally:
            self._starting = False

    async def _on_frame(self, frame: Frame) -> None:
        if frame.header["type"] == "forgot":
            await self.store.worker_forgot(frame.header["jobs"])
            return
        running = self._running
        if running is None or running.job.id != frame.header["job"]:
            return  # of a job that is over already
        if frame.header["type"] == "taken":
            running.taken = True
            return
        if self._stopping:
            return  # a worker that is told to leave cancels its job; the job itself is not cancelled
        encoded, previews = frame.parts[0], frame.parts[1:]
        batch = json.loads(encoded)
        running.add(batch)
        last = batch[-1] if batch else None
        if last is None or last["type"] != "job_finished":
            self._publish(running.job, running.result, batch, previews, encoded)
            return
        self._publish(running.job, running.result, batch[:-1], previews)
        if last["state"] == GAVE_WAY and not running.cancelled:
            await self._gave_way(running)
        else:
            state = State.CANCELLED if last["state"] == GAVE_WAY else State(last["state"])
            await self._finish(running, state, {**last, "state": state.value})

    async def _gave_way(self, running: Running) -> None:
        """The running job stopped at a step, with what it needs to go on kept by its nodes."""
        job_id = running.job.id
        if running.giving_way != "paused":
            reason = "Made way for another job"
            job = await self.store.interrupt(job_id, reason, running.result, crashed=False, park_after=PARK_AFTER)
        if running.giving_way == "paused":  # perhaps only while the store wrote
            job = await self.store.pause(job_id, "Paused")
        changes = {"state": job.state.value, "reason": job.reason}
        self._publish(job, running.result, [self._event(job, events.JobInterrupted, running.sequence, **changes)])
        self._running = None
        if job.state is State.QUEUED:
            self._line.add(job)
        if running.cancelled:  # while the store wrote
            await self.cancel_waiting([job_id])
        self._tell_queue()
        self._wake()

    async def _finish(self, running: Running, state: State, last: dict[str, Any]) -> None:
        """Nobody reads the last event before the store has the job's end: who hears it may ask for the result at once."""
        running.ending = True
        reason = (last["error"] or {}).get("message", "")
        rows = [*self.journal.unsaved(running.job.id), event_row([last])]
        job = await self.store.finish(running.job.id, state, reason, running.result, rows)
        self.journal.saved(job.id)
        self._running = None
        with about(job.id):
            log.info("The job ended after %.1f s: %s", (job.finished or 0) - (job.started or 0), f"{state}, {reason}" if reason else state)
        self.listeners.tell(lambda listener: listener.on_events(job, running.result, [last], ()))
        self._tell_queue()
        self._over(job)
        self._wake()

    async def _on_death(self, reason: str) -> None:
        """The worker is gone, and with it the work on the running job."""
        running = self._running
        if running is None or self._stopping:
            return
        running.ending = True
        try:
            await self._note_death(running, reason)
        finally:
            self._running = None

    async def _note_death(self, running: Running, reason: str) -> None:
        job, node = running.job, running.result.last
        where = f" while node {node} ran" if node is not None else ""
        if running.cancelled:
            last = self._event(job, events.JobFinished, running.sequence + 1, state=State.CANCELLED.value)
            await self._finish(running, State.CANCELLED, last)
            return
        with about(job.id, node or ""):
            log.error("The job stopped: %s%s", reason, where)
        crashed = running.taken  # else it was sent to a worker that was dying already, which is not the job's doing
        job = await self.store.interrupt(job.id, f"{reason}{where}", running.result, crashed=crashed, park_after=PARK_AFTER)
        changes = {"state": job.state.value, "reason": job.reason}
        self._publish(job, running.result, [self._event(job, events.JobInterrupted, running.sequence + 1, **changes)])
        self._running = None
        if job.state is State.QUEUED:
            self._line.add(job)
        self._tell_queue()
        if job.state is State.PARKED:
            self._over(job)

    async def _cancel_running(self, running: Running) -> None:
        if running.cancelled:
            return
        running.cancelled = True
        await self._supervisor.send({"type": "cancel", "job": running.job.id})
        self._tasks.begin(self._kill_later(running))

    async def _kill_later(self, running: Running) -> None:
        """A node that does not look at the cancel token ends with its process."""
        end = time.monotonic() + self._cancel_grace
        while time.monotonic() < end and not self._stopping:
            if self._running is not running:
                return
            await asyncio.sleep(0.05)
        if self._running is running and not self._stopping:
            with about(running.job.id):
                log.warning("The job did not stop within %g s of being cancelled: its process is ended", self._cancel_grace)
            self._supervisor.kill()

    async def _drain(self) -> None:
        """Until no job is between two states."""
        while self._starting or (self._running is not None and self._running.ending):
            await asyncio.sleep(0.005)

    # Telling

    def _event(self, job: Job, kind: type[events.Event], sequence: int, **values: Any) -> dict[str, Any]:
        return kind(job_id=job.id, sequence=sequence, time=time.time(), **values).to_json()

    def _publish(
        self, job: Job, result: Result, batch: list[dict[str, Any]], previews: Sequence[bytes] = (), encoded: bytes | None = None
    ) -> None:
        if batch:
            self.journal.add(job, batch, encoded)
            self.listeners.tell(lambda listener: listener.on_events(job, result, batch, previews))

    def _over(self, job: Job) -> None:
        self.listeners.tell(lambda listener: listener.on_over(job))

    def _tell_queue(self) -> None:
        self.listeners.tell(lambda listener: listener.on_queue(self.remaining))

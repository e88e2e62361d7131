"""Jobs in SQLite. Every change of state is one guarded transaction; what a method returned is on disk."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import Busy, Conflict, MissingJob
from engine.jobs.database import Database
from engine.jobs.records import Body, Job, NewJob, Result
from engine.jobs.states import OVER, SOURCES, WAITING, State

EventRows = Sequence[tuple[int, int, bytes]]
"""(first sequence number, last one, JSON list of events)."""

_OVER = ", ".join(f"'{state}'" for state in sorted(OVER))
_WAITING = ", ".join(f"'{state}'" for state in sorted(WAITING))

_MEASURE = """
UPDATE jobs SET bytes = (SELECT length(prompt) + length(extra) FROM job_bodies WHERE job_bodies.row = jobs.row)
    + (SELECT length(result) FROM job_results WHERE job_results.row = jobs.row)
    + coalesce((SELECT sum(length(events)) FROM job_events WHERE job_events.row = jobs.row), 0) WHERE row = ?
"""
_TRIM = """
DELETE FROM jobs WHERE completion <= (
    SELECT max(completion) FROM (
        SELECT completion, row_number() OVER newest AS place, sum(bytes) OVER newest AS total
        FROM jobs WHERE completion IS NOT NULL WINDOW newest AS (ORDER BY completion DESC)
    ) WHERE place > 1 AND (place > ? OR total > ?)
)
"""
"""The newest one stays whatever its size: whoever asked for it must be able to read what came of it."""


class JobStore:
    """max_history, max_history_bytes: what is kept of jobs that are over. max_event_bytes: what is kept of the events of one job."""

    def __init__(
        self, path: Path, *, max_history: int = 10_000, max_history_bytes: int = 4 * 2**30, max_event_bytes: int = 4 * 2**20
    ) -> None:
        self.database = Database(path)
        self.max_history = max_history
        self.max_history_bytes = max_history_bytes
        self.max_event_bytes = max_event_bytes

    def close(self) -> None:
        self.database.close()

    async def insert(self, new: NewJob, *, most_waiting: int | None = None) -> tuple[Job, bool]:
        """The job and whether it is new. The same id with the same digest is the job that is there; with another one it is a Conflict.

        Raises Busy when `most_waiting` jobs wait already.
        """

        def work(connection: sqlite3.Connection) -> tuple[Job, bool]:
            present = connection.execute("SELECT * FROM jobs WHERE id = ?", (new.id,)).fetchone()
            if present is not None:
                if new.digest and present["body_digest"] == new.digest:
                    return _job(present), False
                raise Conflict(
                    f"A job with the id {new.id} exists already and was asked for with another body",
                    hint="Use a new id for another request; to ask again for the same one, send exactly the same.",
                    details={"id": new.id},
                )
            if most_waiting is not None:
                waiting = connection.execute(f"SELECT count(*) FROM jobs WHERE state IN ({_WAITING})").fetchone()[0]  # noqa: S608
                if waiting >= most_waiting:
                    raise Busy(
                        f"The queue is full: {waiting} of {most_waiting} jobs wait",
                        hint="Try again when some of them have run, or raise max_waiting.",
                    )
            cursor = connection.execute(
                "INSERT INTO jobs (id, number, state, client_id, body_digest, targets, total, created, preemptible) "
                "VALUES (?, 0, 'queued', ?, ?, ?, ?, ?, ?)",
                (new.id, new.client_id, new.digest, json.dumps(new.targets), new.total, time.time(), new.preemptible),
            )
            row = cursor.lastrowid or 0
            number = new.number if new.number is not None else -row if new.front else row
            connection.execute("UPDATE jobs SET number = ? WHERE row = ?", (number, row))
            connection.execute("INSERT INTO job_bodies VALUES (?, ?, ?, ?)", (row, new.prompt, new.extra, new.graph))
            return _get(connection, new.id), True

        return await self.database.write(work)

    async def get(self, job_id: str) -> Job:
        return await self.database.read(lambda connection: _get(connection, job_id))

    async def body(self, job: Job) -> Body:
        return await self.database.read(lambda connection: _body(connection, job))

    async def result(self, job: Job) -> Result | None:
        def work(connection: sqlite3.Connection) -> Result | None:
            found = connection.execute("SELECT result FROM job_results WHERE row = ?", (job.row,)).fetchone()
            return None if found is None else Result.load(found[0])

        return await self.database.read(work)

    async def waiting(self, limit: int | None = None) -> list[Job]:
        """Jobs that are to run, in the order in which they will; the first `limit` of them."""
        most = -1 if limit is None else limit
        return await self._list(f"state IN ({_WAITING}) ORDER BY preemptible, number, row LIMIT ?", (most,))

    async def running(self) -> list[Job]:
        return await self._list("state = 'running' ORDER BY number, row")

    async def over(self, *, limit: int | None = None, offset: int | None = None) -> list[Job]:
        """Jobs that began and are over, oldest first. Without `offset` the newest `limit` ones, with it those after the `offset` oldest."""
        began, most = "completion IS NOT NULL AND attempt > 0 ORDER BY completion", -1 if limit is None else limit
        if offset is not None:
            return await self._list(f"{began} LIMIT ? OFFSET ?", (most, offset))
        return (await self._list(f"{began} DESC LIMIT ?", (most,)))[::-1]

    async def page(
        self, *, states: Sequence[State] = (), client_id: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[Job]:
        """Jobs newest first, those submitted before row `before`."""
        conditions = ["1"]
        values: list[Any] = []
        if client_id is not None:
            conditions.append("client_id = ?")
            values.append(client_id)
        if states:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values += [state.value for state in states]
        if before is not None:
            conditions.append("row < ?")
            values.append(before)
        return await self._list(f"{' AND '.join(conditions)} ORDER BY row DESC LIMIT ?", (*values, limit))

    async def _list(self, tail: str, values: Iterable[Any] = ()) -> list[Job]:
        query = f"SELECT * FROM jobs WHERE {tail}"  # noqa: S608 (only texts of this module)
        return await self.database.read(lambda connection: [_job(row) for row in connection.execute(query, tuple(values))])

    async def start(self, job_id: str) -> tuple[Job, Body]:
        """The job runs now. The attempt is counted before the work begins, so that a job which kills its process is found out."""

        def work(connection: sqlite3.Connection) -> tuple[Job, Body]:
            job = _move(connection, job_id, State.RUNNING, "attempt = attempt + 1, started = ?, reason = ''", (time.time(),))
            return job, _body(connection, job)

        return await self.database.write(work)

    async def interrupt(self, job_id: str, reason: str, result: Result, *, crashed: bool, park_after: int) -> Job:
        """A running job lost its process: it waits again, or is parked with what it came to when that was its `park_after`th crash."""

        def work(connection: sqlite3.Connection) -> Job:
            job = _move(connection, job_id, State.INTERRUPTED, "crashes = crashes + ?, reason = ?", (int(crashed), reason))
            if job.crashes >= park_after:
                text = f"Parked after {job.crashes} crashes. The last one: {reason}"
                return _end(connection, job_id, State.PARKED, text, result)
            return _move(connection, job_id, State.QUEUED)

        return await self.database.write(work)

    async def pause(self, job_id: str, reason: str = "") -> Job:
        """A job that waits or runs does not, until it is released."""
        return await self.database.write(lambda connection: _move(connection, job_id, State.PAUSED, "reason = ?", (reason,)))

    async def renumber(self, numbers: Mapping[str, float]) -> None:
        """Give waiting jobs other numbers; those that do not wait any more are passed over."""
        query = f"UPDATE jobs SET number = ? WHERE id = ? AND state IN ({_WAITING})"  # noqa: S608
        rows = [(number, job_id) for job_id, number in numbers.items()]
        await self.database.write(lambda connection: connection.executemany(query, rows))

    async def queue_paused(self) -> bool:
        return await self.database.read(lambda connection: bool(connection.execute("SELECT paused FROM queue").fetchone()[0]))

    async def pause_queue(self, paused: bool) -> None:
        await self.database.write(lambda connection: connection.execute("UPDATE queue SET paused = ?", (paused,)))

    async def finish(self, job_id: str, state: State, reason: str, result: Result, events: EventRows = ()) -> Job:
        """The job is over; its result and the rest of its events are kept, and the oldest history beyond the limits goes."""

        def work(connection: sqlite3.Connection) -> Job:
            self._add_events(connection, _get(connection, job_id).row, events)
            job = _end(connection, job_id, state, reason, result)
            self._trim(connection)
            return job

        return await self.database.write(work)

    async def cancel_waiting(self, job_ids: Sequence[str] | None = None) -> list[Job]:
        """Cancel jobs that wait or are paused (all of them: None), by id also parked ones; ids of others are passed over."""

        def work(connection: sqlite3.Connection) -> list[Job]:
            parked = "" if job_ids is None else ", 'parked'"
            query = f"SELECT id FROM jobs WHERE state IN ({_WAITING}, 'paused'{parked})"  # noqa: S608
            present = [row[0] for row in connection.execute(query)]
            wanted = None if job_ids is None else set(job_ids)
            chosen = [job_id for job_id in present if wanted is None or job_id in wanted]
            cancelled = [_end(connection, job_id, State.CANCELLED, "Cancelled before it started", Result()) for job_id in chosen]
            self._trim(connection)
            return cancelled

        return await self.database.write(work)

    async def release(self, job_id: str) -> Job:
        """A parked or paused job waits again, with its crashes forgiven."""

        def work(connection: sqlite3.Connection) -> Job:
            job = _move(connection, job_id, State.QUEUED, "crashes = 0, reason = '', finished = NULL, completion = NULL")
            connection.execute("DELETE FROM job_results WHERE row = ?", (job.row,))
            return job

        return await self.database.write(work)

    async def delete_over(self, job_ids: Sequence[str] | None = None) -> list[str]:
        """Forget jobs that are over (all of them: None); returns the ids that were. They are `forgotten` until the worker has followed."""

        def work(connection: sqlite3.Connection) -> list[str]:
            if job_ids is None:
                gone = [row[0] for row in connection.execute("DELETE FROM jobs WHERE completion IS NOT NULL RETURNING id")]
            else:
                query = "DELETE FROM jobs WHERE completion IS NOT NULL AND id = ? RETURNING id"
                gone = [row[0] for job_id in job_ids for row in connection.execute(query, (job_id,)).fetchall()]
            connection.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", [(job_id,) for job_id in gone])
            return gone

        return await self.database.write(work)

    async def forgotten(self) -> list[str]:
        """Ids of deleted jobs whose results the worker still keeps."""
        return await self.database.read(lambda connection: [row[0] for row in connection.execute("SELECT id FROM forgotten")])

    async def worker_forgot(self, job_ids: Sequence[str]) -> None:
        rows = [(job_id,) for job_id in job_ids]
        await self.database.write(lambda connection: connection.executemany("DELETE FROM forgotten WHERE id = ?", rows))

    async def add_events(self, job: Job, events: EventRows) -> None:
        await self.database.write(lambda connection: self._add_events(connection, job.row, events))

    async def events(self, job: Job, after: int) -> list[bytes]:
        """The kept lists of events that hold a number greater than `after`, in order."""
        query = "SELECT events FROM job_events WHERE row = ? AND last > ? ORDER BY first"
        return await self.database.read(lambda connection: [row[0] for row in connection.execute(query, (job.row, after))])

    def _trim(self, connection: sqlite3.Connection) -> None:
        """Remove the oldest history beyond the limits, and a hundredth more: to look which it is takes longer than to count."""
        count, size = connection.execute("SELECT count(*), sum(bytes) FROM jobs WHERE completion IS NOT NULL").fetchone()
        if count > self.max_history or (size or 0) > self.max_history_bytes:
            kept = [most - most // 100 for most in (self.max_history, self.max_history_bytes)]
            connection.execute(_TRIM, kept)

    def _add_events(self, connection: sqlite3.Connection, row: int, events: EventRows) -> None:
        if not events:
            return
        query = "INSERT OR REPLACE INTO job_events SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM jobs WHERE row = ?)"
        connection.executemany(query, [(row, *event, row) for event in events])  # the job may have been deleted meanwhile
        kept = 0
        sizes = connection.execute("SELECT first, length(events) FROM job_events WHERE row = ? ORDER BY first DESC", (row,)).fetchall()
        for first, size in sizes:
            kept += size
            if kept > self.max_event_bytes:
                connection.execute("DELETE FROM job_events WHERE row = ? AND first <= ?", (row, first))
                return


def _job(row: sqlite3.Row) -> Job:
    return Job(
        row=row["row"],
        id=row["id"],
        number=int(row["number"]) if row["number"] == int(row["number"]) else row["number"],
        state=State(row["state"]),
        attempt=row["attempt"],
        crashes=row["crashes"],
        client_id=row["client_id"],
        digest=row["body_digest"],
        targets=tuple(json.loads(row["targets"])),
        total=row["total"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        reason=row["reason"],
        preemptible=bool(row["preemptible"]),
    )


def _get(connection: sqlite3.Connection, job_id: str) -> Job:
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise MissingJob(f"There is no job {job_id}", hint="It never was, or it was deleted from the history.", details={"id": job_id})
    return _job(row)


def _body(connection: sqlite3.Connection, job: Job) -> Body:
    row = connection.execute("SELECT prompt, extra, graph FROM job_bodies WHERE row = ?", (job.row,)).fetchone()
    if row is None:
        raise MissingJob(f"The job {job.id} was deleted")
    return Body(*row)


def _move(connection: sqlite3.Connection, job_id: str, state: State, changes: str = "", values: tuple[Any, ...] = ()) -> Job:
    sources = ", ".join(f"'{source}'" for source in sorted(SOURCES[state]))
    assignments = f"state = ?, {changes}" if changes else "state = ?"
    query = f"UPDATE jobs SET {assignments} WHERE id = ? AND state IN ({sources}) RETURNING *"  # noqa: S608 (only texts of this module)
    row = connection.execute(query, (state.value, *values, job_id)).fetchone()
    if row is None:
        present = _get(connection, job_id)
        details = {"id": job_id, "state": present.state.value}
        raise Conflict(f"The job {job_id} is {present.state}, so it cannot become {state}", details=details)
    return _job(row)


def _end(connection: sqlite3.Connection, job_id: str, state: State, reason: str, result: Result) -> Job:
    changes = "finished = ?, reason = ?, completion = (SELECT coalesce(max(completion), 0) + 1 FROM jobs)"
    job = _move(connection, job_id, state, changes, (time.time(), reason))
    connection.execute("INSERT OR REPLACE INTO job_results VALUES (?, ?)", (job.row, result.dump()))
    if state.terminal:
        connection.execute("UPDATE job_bodies SET graph = NULL WHERE row = ?", (job.row,))
    connection.execute(_MEASURE, (job.row,))
    return job

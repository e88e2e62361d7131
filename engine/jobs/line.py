"""The jobs that wait, in the order in which they will run."""

from __future__ import annotations

from bisect import insort
from collections.abc import Container, Iterable, Mapping

from engine.jobs.records import Job

Place = tuple[bool, float, int, str]
"""The job's order, and its id."""


class Line:
    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._places: list[Place] = sorted(_place(job) for job in jobs)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def ids(self) -> list[str]:
        return [place[-1] for place in self._places]

    def first(self) -> Place | None:
        return self._places[0] if self._places else None

    def add(self, job: Job) -> None:
        insort(self._places, _place(job))

    def remove(self, job_ids: Container[str]) -> None:
        self._places = [place for place in self._places if place[-1] not in job_ids]

    def renumber(self, numbers: Mapping[str, float]) -> None:
        """Give jobs other numbers; those that do not wait any more are passed over."""
        self._places = sorted((first, numbers.get(job_id, number), row, job_id) for first, number, row, job_id in self._places)

    def moved(self, job: Job, before: str | None) -> dict[str, float]:
        """The numbers that put a waiting job before another one, or last: its own, or where there is no room those of all its class.

        Classes are the jobs that make way for others and those that do not; a place among the other class means its own class's end.
        """
        own = [place for place in self._places if place[0] == job.preemptible and place[-1] != job.id]
        ids = [place[-1] for place in own]
        index = ids.index(before) if before in ids else 0 if before is not None and job.preemptible else len(own)
        if not own:
            return {}
        if index == 0:
            return {job.id: own[0][1] - 1}
        if index == len(own):
            return {job.id: own[-1][1] + 1}
        low, high = own[index - 1][1], own[index][1]
        middle = (low + high) / 2
        if low < middle < high:
            return {job.id: middle}
        start = own[0][1]
        return {job_id: start + offset for offset, job_id in enumerate([*ids[:index], job.id, *ids[index:]])}


def _place(job: Job) -> Place:
    return (*job.order, job.id)

"""What several routes of /api/v1 take or give. Forms of one subject stand in its module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from engine.graph.model_folders import kind_of
from engine.jobs.records import Job
from engine.server.responses import LARGEST_INT
from engine.server.v1.routing import Answer, Query

StateName = Literal["queued", "running", "paused", "interrupted", "parked", "succeeded", "failed", "cancelled"]
FileKind = Literal["image", "latent", "audio", "video", "model", "other"]


class Paged(Query):
    limit: Annotated[int, Field(ge=1, le=10_000, description="Most entries to list.")] = 1_000
    start: Annotated[int, Field(ge=0, le=LARGEST_INT, description="How many to pass over before.")] = 0


class JobFile(Answer):
    """A file that a job wrote. `/api/v1/files/{root}/{name}` is the file, `/api/v1/thumbnails/{root}/{name}` a small picture of it."""

    node_id: str
    root: Literal["input", "output", "temp"]
    name: str
    kind: FileKind


class JobAnswer(Answer):
    id: str
    state: StateName
    number: float = Field(description="Priority: lower runs first.")
    attempt: int = Field(description="How often it was started.")
    crashes: int
    targets: list[str]
    total: int = Field(description="Nodes in the graph.")
    created: float = Field(description="Seconds since 1970.")
    started: float | None
    finished: float | None
    reason: str = Field(description="Why it is in this state, where that needs saying.")
    client_id: str
    preemptible: bool = Field(description="It trains: it makes way for jobs that do not, and goes on afterwards.")
    progress: dict[str, Any] | None = Field(
        None,
        description="While it runs: nodes done, nodes in all, progress of each node at work, and as `stopping` what it was asked to become "
        "at its next step: cancelled, paused, preempted, or nothing.",
    )
    outputs: dict[str, dict[str, Any]] | None = Field(None, description="When it is over: what each output node shows.")
    files: list[JobFile] | None = Field(None, description="When it is over: the files among them.")
    failures: list[dict[str, Any]] | None = Field(None, description="When it is over: the error of each node that failed.")

    @classmethod
    def of(cls, job: Job, **more: Any) -> JobAnswer:
        return cls.model_validate({**job.to_json(), **more})


def job_files(outputs: Mapping[str, Mapping[str, Any]]) -> list[JobFile]:
    """The files among what output nodes show."""
    found = []
    for node_id, shown in outputs.items():
        records = [record for items in shown.values() if isinstance(items, list) for record in items if isinstance(record, dict)]
        for record in records:
            name, root = record.get("filename"), record.get("type", "output")
            if isinstance(name, str) and root in ("input", "output", "temp"):
                full = f"{record['subfolder']}/{name}" if record.get("subfolder") else name
                found.append(JobFile.model_validate({"node_id": node_id, "root": root, "name": full, "kind": kind_of(name)}))
    return found


class Problem(Answer):
    code: str
    message: str
    hint: str
    node_id: str | None
    details: dict[str, Any]


class ErrorAnswer(Answer):
    """Every answer with a status from 400 on."""

    error: Problem

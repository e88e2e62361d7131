"""What /api/v1 takes and gives."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.jobs.records import Job
from engine.server.responses import LARGEST_INT
from engine.server.v1.routing import Answer, Query, Strict

StateName = Literal["queued", "running", "paused", "interrupted", "parked", "succeeded", "failed", "cancelled"]


class JobRequest(Strict):
    """A workflow to run."""

    workflow: dict[str, Any] = Field(description="A workflow in the format easel/1, or a bare API prompt.")
    id: str | None = Field(
        None, min_length=1, max_length=200, description="A name for the job: asking again with the same body gives the same job."
    )
    targets: list[str] | None = Field(None, description="Ids of the nodes to run up to; without it, all output nodes.")
    front: bool = Field(False, description="Run before everything that waits.")
    client_id: str = Field("", max_length=200, description="The WebSocket client that is to hear of the job.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Kept with the job; savers embed `extra_pnginfo`.")


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
    progress: dict[str, Any] | None = Field(None, description="While it runs: nodes done, nodes in all, and progress of each node at work.")
    outputs: dict[str, dict[str, Any]] | None = Field(None, description="When it is over: what each output node shows.")
    failures: list[dict[str, Any]] | None = Field(None, description="When it is over: the error of each node that failed.")

    @classmethod
    def of(cls, job: Job, **more: Any) -> JobAnswer:
        return cls.model_validate({**job.to_json(), **more})


class JobList(Answer):
    jobs: list[JobAnswer]
    next: int | None = Field(description="Give it as `before` for the next page; null on the last one.")


class JobQuery(Query):
    state: Annotated[str | None, Field(description="States, separated by commas.")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    before: Annotated[int | None, Field(ge=0, le=LARGEST_INT, description="`next` of the page before.")] = None


class EventQuery(Query):
    after: Annotated[int, Field(ge=0, le=LARGEST_INT, description="Only events with a greater sequence number.")] = 0
    wait: Annotated[float, Field(ge=0, le=60, description="Seconds to wait for the first one.")] = 0.0


class EventList(Answer):
    state: StateName
    events: list[dict[str, Any]] = Field(description="In order of `sequence`; `type` says what each is. Gaps between numbers mean nothing.")


class NodeRecords(Answer):
    nodes: list[dict[str, Any]] = Field(description="Why each node ran or did not.")


class WorkflowEntry(Answer):
    name: str
    writable: bool = Field(description="False for the examples that come with Easel.")
    title: str


class WorkflowList(Answer):
    workflows: list[WorkflowEntry]


class FileEntry(Answer):
    name: str
    size: int
    modified: float


class FileList(Answer):
    files: list[FileEntry]


class FileRecord(Answer):
    filename: str
    subfolder: str
    type: str


class PutQuery(Query):
    overwrite: Annotated[bool, Field(description="Replace a file of this name; else the new one gets a free name.")] = False


class Version(Answer):
    easel: str
    api: int
    python: str
    torch: str
    worker: Literal["ready", "starting"]
    device: dict[str, Any] | None


class Problem(Answer):
    code: str
    message: str
    hint: str
    node_id: str | None
    details: dict[str, Any]


class ErrorAnswer(Answer):
    """Every answer with a status from 400 on."""

    error: Problem

"""Every error that Easel raises on purpose.

EaselError
 +- InvalidWorkflow    a graph that cannot run; carries every problem found, not only the first
 +- MissingNode        a node class that no installed module declares
 +- MissingFile        a model, picture or workflow that is not where its name says
 +- UnsafePath         a file name from outside that leaves its folder
 +- ModelFormatError   a weights file that is damaged or of an unknown kind
 +- InvalidInput       a value that a node cannot work with, found when the node runs
 +- NodeFailed         a node raised; carries the node and the original message
 +- OutOfMemory        a node did not fit, also after the memory manager's smaller retry
 +- Cancelled          the job was cancelled while it ran
 |   +- Preempted      it stops at this step to make way, and goes on later
 +- QuotaExceeded      an input or a job is over a limit; carries the limit
 +- Busy               the server cannot take this now; try again
 +- Conflict           the request contradicts something that exists
 +- InvalidNode        a node or port type whose declaration cannot be used; found when its module is imported
 +- Unstorable         a value that its codec cannot write to the store; it stays in memory only
 +- Forbidden          the request comes from an origin, host or holder that is not allowed
 +- InvalidSettings    a setting with a value that it cannot have
 +- BadRequest         a request whose form is wrong, whatever it is about
 +- Unauthorized       the request lacks the token that this server asks for
 +- MissingJob         a job that does not exist, or no longer
 +- DatabaseError      the job database cannot be used

A message says what happened and where; `hint` says what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar


class EaselError(Exception):
    """Base of all; `code` is stable and machine-readable, `http_status` is what a route answers."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", node_id: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node_id = node_id
        self.details = details or {}

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "hint": self.hint, "node_id": self.node_id, "details": self.details}


def named(path: Path) -> str:
    """A file as messages call it: with the folder it lies in, and not where that is on this machine."""
    return "/".join(path.parts[-2:])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python, NumPy or torch says that memory ran out; torch has a type of its own for graphics devices only."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a workflow. `code` is stable; `node_id` and `input` say where (None: the workflow as a whole)."""

    code: str
    message: str
    node_id: str | None = None
    input: str | None = None
    hint: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class InvalidWorkflow(EaselError):
    code = "invalid_workflow"
    http_status = 400

    def __init__(self, problems: Sequence[Problem], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        first = self.problems[0].message if self.problems else "no reason given"
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"The workflow cannot run: {first}{more}", hint=hint, details={"problems": [p.to_json() for p in self.problems]})


class MissingNode(EaselError):
    code = "missing_node"
    http_status = 404


class MissingFile(EaselError):
    code = "missing_file"
    http_status = 404


class UnsafePath(EaselError):
    code = "unsafe_path"
    http_status = 400


class ModelFormatError(EaselError):
    code = "model_format"
    http_status = 422


class InvalidInput(EaselError):
    code = "invalid_input"
    http_status = 422


class NodeFailed(EaselError):
    code = "node_failed"


class OutOfMemory(EaselError):
    code = "out_of_memory"
    http_status = 507


class Cancelled(EaselError):
    code = "cancelled"
    http_status = 409


class Preempted(Cancelled):
    code = "preempted"


class QuotaExceeded(EaselError):
    code = "quota_exceeded"
    http_status = 413


class Busy(EaselError):
    code = "busy"
    http_status = 503


class Conflict(EaselError):
    code = "conflict"
    http_status = 409


class Forbidden(EaselError):
    code = "forbidden"
    http_status = 403


class InvalidNode(EaselError):
    code = "invalid_node"


class Unstorable(EaselError):
    code = "unstorable"


class InvalidSettings(EaselError):
    code = "invalid_settings"
    http_status = 400


class MissingJob(EaselError):
    code = "missing_job"
    http_status = 404


class DatabaseError(EaselError):
    code = "database"


class Unauthorized(EaselError):
    code = "unauthorized"
    http_status = 401


class BadRequest(EaselError):
    code = "bad_request"
    http_status = 400

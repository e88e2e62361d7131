"""What a run tells, as ComfyUI's clients hear it over the WebSocket."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.graph.wire import dump_json
from engine.jobs.records import Job, Result

STATE_SECONDS = 0.1
"""`progress_state` goes at most this often per job; it carries nodes that run and nodes that just ended."""

_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_FORMATS = {"image/jpeg": 1, "image/png": 2}


class Message(NamedTuple):
    """One frame. A text frame is `text`; a picture is `plain` (type 1) or, for clients that asked for it, `rich` (type 4).

    public: goes to everybody when the job has no client; droppable: may be left out for a slow client.
    """

    text: bytes = b""
    plain: bytes = b""
    rich: bytes = b""
    public: bool = False
    droppable: bool = False


def message(kind: str, data: Any) -> bytes:
    return dump_json({"type": kind, "data": data})


def status(remaining: int, sid: str | None = None) -> bytes:
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    return message("status", data if sid is None else {**data, "sid": sid})


def run_is_over(job_id: str) -> bytes:
    """The last message of every job with a client: API clients wait for it."""
    return message("executing", {"node": None, "prompt_id": job_id})


def execution_start(job_id: str, when: float) -> tuple[str, dict[str, Any]]:
    return "execution_start", {"prompt_id": job_id, "timestamp": milliseconds(when)}


def execution_cached(job_id: str, nodes: Sequence[str], when: float) -> tuple[str, dict[str, Any]]:
    return "execution_cached", {"nodes": list(nodes), "prompt_id": job_id, "timestamp": milliseconds(when)}


def execution_end(job_id: str, state: str, when: float, result: Result, reason: str) -> tuple[str, dict[str, Any]]:
    """The one message that says how a run ended: execution_success, execution_interrupted or execution_error."""
    timestamp = milliseconds(when)
    if state == "succeeded":
        return "execution_success", {"prompt_id": job_id, "timestamp": timestamp}
    if state == "cancelled":
        node = {"node_id": result.last, "node_type": result.last_type}
        data = {"prompt_id": job_id, **node, "executed": list(result.executed), "timestamp": timestamp}
        return "execution_interrupted", data
    return "execution_error", {"prompt_id": job_id, **_failure(result, reason), "timestamp": timestamp}


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _failure(result: Result, reason: str) -> dict[str, Any]:
    done = list(result.executed)
    if not result.failures:
        return {
            "node_id": result.last,
            "node_type": result.last_type,
            "executed": done,
            "exception_message": f"{reason}\n",
            "exception_type": "EngineError" if result.last is None else "WorkerCrashed",
            "traceback": [],
            "current_inputs": {},
            "current_outputs": done,
        }
    first, *others = result.failures
    error = first["error"] or {}
    text = "\n".join(part for part in (error.get("message", ""), error.get("hint", "")) if part)
    if others:
        text += f"\n{len(others)} more node{'s' if len(others) > 1 else ''} failed: {', '.join(other['node_id'] for other in others[:20])}"
    return {
        "node_id": first["display_id"] or first["node_id"],
        "node_type": first["class_type"],
        "executed": done,
        "exception_message": f"{text}\n",
        "exception_type": first["exception_type"],
        "traceback": list(first["traceback"]),
        "current_inputs": {name: [value] for name, value in (first["inputs"] or {}).items()},
        "current_outputs": done,
    }


class RunMessages:
    """Turns the events of one job into messages. `pending` says that a `progress_state` waits for its time; `tick` gives it."""

    def __init__(self, job: Job, result: Result) -> None:
        self.job = job
        self._result = result
        self._targets = frozenset(job.targets)
        self._running: dict[str, dict[str, Any]] = {}
        self._ended: dict[str, dict[str, Any]] = {}
        self._told_at = 0.0
        self._owes_cached = False
        self.pending = False

    @property
    def at_work(self) -> str | None:
        """The node that a client which connects now should highlight."""
        return next(reversed(self._running.values()))["display_node_id"] if self._running else None

    def at_work_message(self) -> bytes:
        """What such a client is told; as in ComfyUI it does not say of which job."""
        return message("executing", {"node": self.at_work})

    def translate(self, batch: Sequence[dict[str, Any]], previews: Sequence[bytes]) -> list[Message]:
        found: list[Message] = []
        for event in batch:
            if self._owes_cached and event["type"] != "nodes_cached":
                self._on_nodes_cached({"nodes": [], "time": event["time"]}, found, previews)
            getattr(self, f"_on_{event['type']}", _nothing)(event, found, previews)
        if self.pending and time.monotonic() - self._told_at >= STATE_SECONDS:
            found += self.tick()
        return found

    def tick(self) -> list[Message]:
        """What runs and what just ended, if there is news."""
        if not self.pending:
            return []
        nodes = {**self._ended, **self._running}
        self._ended = {}
        self._told_at = time.monotonic()
        self.pending = False
        return [Message(message("progress_state", {"prompt_id": self.job.id, "nodes": nodes}), public=True)]

    def _on_job_started(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._running, self._ended = {}, {}
        self._owes_cached = True  # ComfyUI tells it always, also when nothing is
        found.append(Message(message(*execution_start(self.job.id, event["time"]))))

    def _on_nodes_cached(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._owes_cached = False
        found.append(Message(message(*execution_cached(self.job.id, event["nodes"], event["time"]))))

    def _on_node_started(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        node, shown = event["node_id"], event["display_id"] or event["node_id"]
        self._running[node] = self._state(event, 0, 1, "running")
        self.pending = True
        found.append(Message(message("executing", {"node": node, "display_node": shown, "prompt_id": self.job.id})))

    def _on_node_progress(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._running[event["node_id"]] = self._state(event, event["value"], event["total"], "running")
        self.pending = True
        data = {"value": event["value"], "max": event["total"], "prompt_id": self.job.id, "node": event["node_id"]}
        found.append(Message(message("progress", data), public=True, droppable=True))

    def _on_preview(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        node, picture, mime = event["node_id"], previews[event["part"]], event["mime"]
        metadata = {**self._place(event), "node_id": node, "prompt_id": self.job.id, "image_type": mime}
        found.append(
            Message(plain=preview_frame(mime, picture), rich=preview_with_metadata_frame(metadata, picture), public=True, droppable=True)
        )

    def _on_node_finished(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        node, ui = event["node_id"], event["ui"]
        if ui is not None or (event["cached"] and node in self._targets):
            data = {"node": node, "display_node": event["display_id"] or node, "output": ui, "prompt_id": self.job.id}
            found.append(Message(message("executed", data)))
        self._end(event)

    def _on_node_failed(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._end(event)

    def _on_node_blocked(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._running.pop(event["node_id"], None)
        if not event["message"]:
            return
        data = {
            "prompt_id": self.job.id,
            "node_id": event["display_id"] or event["node_id"],
            "node_type": event["class_type"],
            "executed": list(self._result.executed),
            "exception_message": f"Execution Blocked: {event['message']}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        found.append(Message(message("execution_error", data), public=True))

    def _on_custom(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        found.append(Message(message(event["name"], event["data"])))

    def _on_job_interrupted(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._running = {}
        if event["state"] == "parked":
            self._tell_end("parked", event, event["reason"], found)

    def _on_job_finished(self, event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
        self._running = {}
        self.pending = self.pending or bool(self._ended)
        found += self.tick()
        self._tell_end(event["state"], event, (event["error"] or {}).get("message", ""), found)

    def _tell_end(self, state: str, event: dict[str, Any], reason: str, found: list[Message]) -> None:
        kind, data = execution_end(self.job.id, state, event["time"], self._result, reason)
        found.append(Message(message(kind, data), public=kind == "execution_interrupted"))

    def _end(self, event: dict[str, Any]) -> None:
        running = self._running.pop(event["node_id"], None)
        if running is None:  # it was cached
            return
        self._ended[event["node_id"]] = {**running, "value": running["max"], "state": "finished"}
        self.pending = True

    def _state(self, event: dict[str, Any], value: float, most: float, state: str) -> dict[str, Any]:
        node = event["node_id"]
        return {"value": value, "max": most, "state": state, "node_id": node, "prompt_id": self.job.id, **self._place(event)}

    def _place(self, event: dict[str, Any]) -> dict[str, Any]:
        shown = event["display_id"] or event["node_id"]
        return {"display_node_id": shown, "parent_node_id": event["parent_id"], "real_node_id": shown}


def _nothing(event: dict[str, Any], found: list[Message], previews: Sequence[bytes]) -> None:
    """An event that ComfyUI has no word for."""


def preview_frame(mime: str, picture: bytes) -> bytes:
    """Binary frame of type 1: format number, then the file."""
    return struct.pack("!II", _PREVIEW, _FORMATS.get(mime, _FORMATS["image/png"])) + picture


def preview_with_metadata_frame(metadata: dict[str, Any], picture: bytes) -> bytes:
    """Binary frame of type 4: length of the metadata, the metadata as JSON, then the file."""
    text = json.dumps(metadata).encode()
    return struct.pack("!II", _PREVIEW_WITH_METADATA, len(text)) + text + picture

"""What a run tells: events as they happen, records in batches, and the recipes that the next run compares with."""

from __future__ import annotations

import io
import logging
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engine.errors import Cancelled, EaselError, NodeFailed, OutOfMemory, is_out_of_memory
from engine.graph.context import JobInfo
from engine.graph.digest import explain, recipe
from engine.graph.events import (
    Custom,
    Event,
    NodeBlocked,
    NodeEvent,
    NodeFailedEvent,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeStarted,
    Preview,
)
from engine.graph.records import Record, RecordStore
from engine.graph.steps import Step
from engine.graph.wire import json_fault
from engine.log_lines import log_id

log = logging.getLogger("easel.run")

_BATCH = 5_000
_BATCH_SECONDS = 2.0
_PROGRESS_SECONDS = 0.02
_PREVIEW_SECONDS = 0.1
_LONGEST_TEXT = 200
_OWN_FOLDER = str(Path(__file__).parent)


def _unheard(event: Event) -> None:
    """For a run that nobody watches any more."""


class Report:
    """One run's voice. Call everything but `progress` with the run's lock held: sequence numbers are in the order of emission."""

    def __init__(self, job: JobInfo, emit: Callable[[Event], None], store: RecordStore, workflow: str, numerics: str) -> None:
        self.records: dict[str, Record] = {}
        self._job_id = job.id
        self._preview_size = job.preview_size
        self._emit = emit
        self._store = store
        self._workflow = workflow
        self._numerics = numerics
        self._last = store.last(workflow)
        self._sequence = 0
        self._batch: list[Record] = []
        self._batch_time = time.monotonic()
        self._shown_at: dict[tuple[str, type], float] = {}

    def emit(self, kind: type[Event], **fields: Any) -> None:
        self._sequence += 1
        self._tell(kind(job_id=self._job_id, sequence=self._sequence, time=time.time(), **fields))

    def _node(self, kind: type[NodeEvent], step: Step, **fields: Any) -> None:
        node = step.node
        self._sequence += 1
        self._tell(
            kind(
                job_id=self._job_id, sequence=self._sequence, time=time.time(), node_id=node.id, display_id=node.display_id,
                parent_id=node.parent, **fields,
            )
        )  # fmt: skip

    def _tell(self, event: Event) -> None:
        try:
            self._emit(event)
        except (Exception, SystemExit):  # rich raises the latter where its terminal is gone; a second Ctrl+C still ends all
            self._emit = _unheard
            log.warning("Who watched the run failed, and hears no more of it", exc_info=True)

    # -- events

    def cached(self, steps: Iterable[Step]) -> None:
        self.emit(NodesCached, nodes=tuple(step.node.id for step in steps))

    def started(self, step: Step) -> None:
        self._node(NodeStarted, step, class_type=_class_type(step))

    def finished(self, step: Step, *, reason: str, cached: bool, seconds: float, ui: dict[str, Any] | None) -> None:
        self._node(NodeFinished, step, cached=cached, reason=reason, seconds=seconds, ui=ui)
        self.record(step, reason, cached=cached, seconds=seconds)

    def failed(self, step: Step, error: EaselError) -> None:
        """A node failed, or could not begin; `log_id` is under what this stands in the log."""
        error.details = details = {"log_id": log_id(), **error.details}
        self._node(
            NodeFailedEvent, step, class_type=_class_type(step), error=error.to_json(),
            exception_type=details.get("exception_type", type(error).__name__), traceback=tuple(details.get("traceback", ())),
            inputs=details.get("inputs"),
        )  # fmt: skip

    def blocked(self, step: Step, message: str) -> None:
        self._node(NodeBlocked, step, class_type=_class_type(step), message=message)

    def custom(self, step: Step, name: str, data: dict[str, Any]) -> None:
        self._node(Custom, step, name=name, data=data)

    def progress(self, step: Step, lock: Any, value: float, total: float, preview: Any) -> None:
        """At most fifty a second per node, and ten previews; the last step is always told."""
        last = value >= total
        told = self._due(step, NodeProgress, _PROGRESS_SECONDS) or last
        wanted = preview is not None and self._preview_size > 0 and (self._due(step, Preview, _PREVIEW_SECONDS) or last)
        picture = _encoded(preview, self._preview_size) if wanted else None
        with lock:
            if told:
                self._node(NodeProgress, step, value=value, total=total)
            if picture is not None:
                self._node(Preview, step, mime=picture[0], data=picture[1])

    def _due(self, step: Step, kind: type[Event], interval: float) -> bool:
        now = time.monotonic()
        key = (step.node.id, kind)
        if now - self._shown_at.get(key, 0.0) < interval:
            return False
        self._shown_at[key] = now
        return True

    # -- records

    def record(self, step: Step, reason: str, *, cached: bool, seconds: float = 0.0) -> None:
        node = step.node
        record = Record(node.id, node.display_id, node.type, reason, cached, seconds, step.digest.hex(), step.memory)
        self.records[node.id] = record
        self._batch.append(record)
        if len(self._batch) >= _BATCH or time.monotonic() - self._batch_time > _BATCH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._batch_time = time.monotonic()
        self._store.append(self._job_id, batch)

    def close(self, steps: dict[str, Step]) -> None:
        """Write what is left; the records are on disk before anybody hears that the job is over.

        Recipes of nodes that did not change stay the objects they were, and nothing is written if none did.
        """
        self._flush()
        self._store.flush()
        last = self._last
        if any(node_id not in last or last[node_id][0] != step.digest.hex() for node_id, step in steps.items() if step.kept):
            self._store.remember(self._workflow, lambda: self._recipes(steps))

    def _recipes(self, steps: dict[str, Step]) -> dict[str, list[Any]]:
        kept = self._last if len(self._last) <= 2 * len(steps) + 1_000 else {}
        return {**kept, **{node_id: self._recipe(step) for node_id, step in steps.items()}}

    def _recipe(self, step: Step) -> list[Any]:
        info = step.kind.info
        return recipe(
            digest=step.digest, node_type=info.id, version=info.version, code=step.kind.code_version, numerics=self._numerics,
            literals=step.literals, links={name: (source.step.node.id, source.slot) for name, source in step.links.items()},
            fingerprints=step.fingerprints,
        )  # fmt: skip

    def why(self, step: Step, steps: dict[str, Step]) -> str:
        """Why a step runs although it may have run before."""
        if step.fresh:
            return "always runs"
        old = self._last.get(step.node.id)
        if old is None:
            return "first run"
        if old[0] == step.digest.hex():
            return "not in cache"

        def changed(node_id: str) -> bool:
            before, now = self._last.get(node_id), steps.get(node_id)
            return before is None or now is None or before[0] != now.digest.hex()

        return explain(old, self._recipe(step), changed) or "upstream changed"


def _class_type(step: Step) -> str:
    """The node's class as it was submitted."""
    return step.node.submitted_type or step.node.type


def failure_of(step: Step, error: BaseException, values: dict[str, Any]) -> EaselError:
    """The typed error of a node that raised: its own if it is one, else NodeFailed with what was raised, where, and with what inputs."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None and place.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
        place = place.tb_next
    lines = traceback.format_exception(type(error), error, place)
    _let_go_of_frames(error)
    name = step.kind.info.display_name
    typed: EaselError
    if is_out_of_memory(error) and not isinstance(error, EaselError):
        typed = OutOfMemory(f"{name} ran out of memory: {error}", hint="Use a smaller picture or batch.")
        typed.__cause__ = error
    elif not isinstance(error, EaselError) or isinstance(error, Cancelled):
        text = str(error)
        typed = NodeFailed(f"{name} failed: {type(error).__name__}{': ' if text else ''}{text}")
        typed.__cause__ = error
    else:
        typed = error
    typed.node_id = typed.node_id or step.node.id
    typed.details = {
        "exception_type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
        "traceback": lines,
        "inputs": {key: short_text(value) for key, value in values.items()},
        **{key: short_text(value) if json_fault(value) else value for key, value in typed.details.items()},
    }
    return typed


def _let_go_of_frames(error: BaseException) -> None:
    """What a failed call worked on, tensors and the whole run among it, must not live as long as somebody keeps its error."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            found.__traceback__ = None
            waiting += [found.__cause__, found.__context__]


def short_text(value: Any) -> str:
    """A value in at most 200 characters; tensors and arrays by type, shape and dtype."""
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return f"{type(value).__name__}({', '.join(map(str, shape))}) {value.dtype}"
    if isinstance(value, str | bytes):
        text = repr(value[:_LONGEST_TEXT])
    elif value is None or isinstance(value, bool | int | float):
        text = repr(value)
    elif isinstance(value, list | tuple | dict):
        text = f"{type(value).__name__} of {len(value)}"
    else:
        text = type(value).__name__
    return text[:_LONGEST_TEXT]


def _encoded(preview: Any, size: int) -> tuple[str, bytes] | None:
    """The type and bytes of a preview: bytes as they are, a picture as a JPEG of at most `size` pixels a side."""
    if callable(preview):
        preview = preview()
    if preview is None:
        return None
    if isinstance(preview, bytes):
        return ("image/png" if preview.startswith(b"\x89PNG") else "image/jpeg"), preview
    if max(preview.size) > size:
        preview = preview.copy()
        preview.thumbnail((size, size))
    buffer = io.BytesIO()
    preview.save(buffer, format="JPEG", quality=85)
    return "image/jpeg", buffer.getvalue()

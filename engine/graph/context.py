"""What a node sees of the world: the one parameter annotated `Context`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import NodeFailed
from engine.graph.cancel import CancelToken
from engine.graph.checkpoint import Checkpoint
from engine.graph.wire import json_fault

if TYPE_CHECKING:
    from engine.graph.folders import Folders


@dataclass(frozen=True)
class JobInfo:
    """The job that a node runs in.

    prompt: the flat graph with the ids as files keep them. extra: what the client sent beside it (`extra_pnginfo`, and `easel`, the
    workflow in Easel's own format). metadata: whether savers may embed these.
    max_pixels: most pixels in one picture that is read. preview_size: longest side of a preview in pixels, 0 for none.
    """

    id: str = ""
    client_id: str = ""
    prompt: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    metadata: bool = True
    max_pixels: int = 100_000_000
    preview_size: int = 512

    def texts(self) -> dict[str, Any]:
        """What savers embed in a file, JSON-able, by name of the text chunk; nothing when metadata is off."""
        if not self.metadata:
            return {}
        sent = self.extra.get("extra_pnginfo")
        texts: dict[str, Any] = {"prompt": self.prompt, **(sent if isinstance(sent, dict) else {})}
        if "easel" in self.extra:
            texts["easel"] = self.extra["easel"]
        return texts


class Context:
    """The only door of a node to the world. A test passes `Context()`, with what it wants to observe.

    log, folders, device, memory, job, node_id, checkpoint are plain attributes; `device` is a name such as "cpu" or "cuda:0",
    `memory` the memory manager of the device's worker, `folders` the data folder, `checkpoint` how a long node makes way and goes on.
    """

    def __init__(
        self,
        *,
        folders: Folders | None = None,
        device: Any = "cpu",
        memory: Any = None,
        job: JobInfo | None = None,
        node_id: str = "",
        temp: Path | None = None,
        log: logging.Logger | None = None,
        on_progress: Callable[[float, float, Any], None] | None = None,
        on_emit: Callable[[str, dict[str, Any]], None] | None = None,
        cancel: CancelToken | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._folders = folders
        self.device = device
        self.memory = memory
        self.job = job or JobInfo()
        self.node_id = node_id
        self.log = log or logging.getLogger("easel.node")
        self._temp = temp
        self._on_progress = on_progress
        self._on_emit = on_emit
        self._cancel = cancel or CancelToken()
        self.checkpoint = checkpoint or Checkpoint()

    @property
    def folders(self) -> Folders:
        if self._folders is None:
            raise RuntimeError("This context has no data folder. Give it one: Context(folders=Folders(path)).")
        return self._folders

    @property
    def temp(self) -> Path:
        """A folder for files that may vanish after the job; made when first asked for."""
        if self._temp is None:
            self._temp = Path(tempfile.mkdtemp(prefix="easel-"))
        self._temp.mkdir(parents=True, exist_ok=True)
        return self._temp

    def progress(self, step: float, total: float, preview: Any = None) -> None:
        """Report work done; raises what `check_cancelled` raises.

        preview: encoded bytes, a picture, or a function without arguments that makes one; called only if somebody watches.
        """
        self.check_cancelled()
        if self._on_progress is not None:
            self._on_progress(_finite(step), _finite(total), preview)

    def check_cancelled(self) -> None:
        """Raise Cancelled if the job was cancelled, Preempted if it makes way; a node that works long calls this at every step."""
        self._cancel.check(self.node_id or None)

    def warn(self, message: str, hint: str = "") -> None:
        """Tell whoever watches of something that was done otherwise than asked; the node goes on."""
        self.log.warning("%s %s", message, hint)
        self.emit("warning", {"message": message, "hint": hint})

    def emit(self, name: str, data: dict[str, Any]) -> None:
        """Send something to the node's own front end. Raises NodeFailed for what is no JSON."""
        if fault := json_fault(data):
            raise NodeFailed(f"The node emits something that is no JSON ({fault}).", hint="Correct the node.", node_id=self.node_id or None)
        if self._on_emit is not None:
            self._on_emit(name, data)


def _finite(number: float) -> float:
    """A number that JSON has: a tensor or an array of one number counts, what is not finite is 0."""
    number = number if isinstance(number, int) else float(number)
    return number if isfinite(number) else 0

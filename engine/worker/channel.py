"""The worker's end of the pipe: frames in, batches of events out."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, BinaryIO

from engine.graph.events import Event, NodeProgress, Preview
from engine.graph.wire import Frame, dump_json, pack, read_frame

BATCH_SECONDS = 0.01
BATCH_EVENTS = 2_000


class Channel:
    """Takes over stdin and stdout. Whatever else writes to stdout in this process lands on stderr, so it cannot damage a frame."""

    def __init__(self) -> None:
        self._input: BinaryIO = sys.stdin.buffer
        self._output: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def receive(self) -> Frame:
        """The next frame; EOFError when the server is gone."""
        return read_frame(self._exactly)

    def send(self, header: dict[str, Any], parts: Iterable[bytes] = ()) -> None:
        data = memoryview(pack(header, parts))
        with self._lock:
            while data:
                data = data[self._output.write(data) :]

    def _exactly(self, count: int) -> bytes:
        data = self._input.read(count)
        if len(data) != count:
            raise EOFError
        return data


class EventSender:
    """Events of one job in few messages: at once when the line was quiet, else every 10 ms; of progress and previews each node's latest."""

    def __init__(self, channel: Channel, job_id: str, first_sequence: int) -> None:
        self._channel = channel
        self._job_id = job_id
        self._offset = first_sequence
        self._pending: list[Event] = []
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="easel-events", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """From any thread, in order of sequence."""
        with self._condition:
            self._pending.append(event)
            if len(self._pending) == 1:
                self._condition.notify()

    def close(self) -> None:
        """Send what is left."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._closed:
                    self._condition.wait()
                batch, self._pending = self._pending, []
                closed = self._closed
            for start in range(0, len(batch), BATCH_EVENTS):
                self._send(batch[start : start + BATCH_EVENTS])
            if closed:
                return
            with self._condition:
                if not self._closed:
                    self._condition.wait_for(lambda: self._closed, BATCH_SECONDS)

    def _send(self, batch: list[Event]) -> None:
        latest = {(type(event), event.node_id): index for index, event in enumerate(batch) if isinstance(event, NodeProgress | Preview)}
        rows: list[dict[str, Any]] = []
        pictures: list[bytes] = []
        for index, event in enumerate(batch):
            if isinstance(event, NodeProgress | Preview) and latest[type(event), event.node_id] != index:
                continue
            row = event.to_json()
            row["sequence"] += self._offset
            if isinstance(event, Preview):
                row["part"] = len(pictures)
                pictures.append(row.pop("data"))
            rows.append(row)
        self._channel.send({"type": "events", "job": self._job_id}, (dump_json(rows), *pictures))


class Alive(threading.Thread):
    """A sign of life with a few figures, every two seconds."""

    def __init__(self, channel: Channel, stats: Any) -> None:
        super().__init__(name="easel-alive", daemon=True)
        self._channel = channel
        self._stats = stats

    def run(self) -> None:
        while True:
            self._channel.send({"type": "alive", "stats": self._stats()})
            time.sleep(2)

"""The last lines of the log, of the server and of its worker, for those who look at the page and not at the terminal."""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from engine.log_lines import Subject, read_line, subject

Level = Literal["debug", "info", "warning", "error"]

MOST_LINES = 2_000
LONGEST_LINE = 4_000
_LEVELS: dict[str, Level] = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}


@dataclass(frozen=True)
class LogLine:
    """number: grows by one with each line. name: of the logger, empty for what was merely printed. job, node: what it is about, empty
    for none."""

    number: int
    time: float
    source: Literal["server", "worker"]
    level: Level
    name: str
    job: str
    node: str
    text: str


class LogBook(logging.Handler):
    """Hears what this process logs; `worker_said` takes what the worker process writes to its standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._numbers = itertools.count(1)
        self._rest = ""
        self._level: Level = "info"
        self._name = ""
        self._subject = Subject()

    @property
    def last(self) -> int:
        """The number of the last line, 0 before the first."""
        return self._lines[-1].number if self._lines else 0

    def after(self, number: int, job: str = "", node: str = "") -> list[LogLine]:
        """Lines with a greater number, in their order; only those about a job, about a node or what lies in it."""
        return [
            line
            for line in list(self._lines)
            if line.number > number and job in ("", line.job) and (node in ("", line.node) or line.node.startswith(f"{node}:"))
        ]

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # its arguments do not fit: whoever logs must not fail by it
            text = f"{record.msg} {record.args!r}"
        if record.exc_info:
            text = f"{text}\n{(self.formatter or logging.Formatter()).formatException(record.exc_info)}"
        self._add(record.created, "server", _LEVELS.get(record.levelname, "info"), record.name, subject(), text)

    def worker_said(self, text: str) -> None:
        """A piece of the worker's output, cut anywhere. A line of a logger begins an entry; what follows it has its level, and if it is
        indented, such as a traceback, it is about the same; of a line that is written over and over (a progress bar) the last state is
        kept."""
        *lines, rest = (self._rest + text).split("\n")
        self._rest = rest[-LONGEST_LINE:]
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2].rstrip()
            head = read_line(shown)
            if head:
                self._level, self._name, self._subject = _LEVELS[head.level], head.name, head.subject
            elif not shown.startswith("  "):
                self._subject = Subject()  # somebody printed it
            if shown:
                self._add(time.time(), "worker", self._level, self._name, self._subject, head.text if head else shown)

    def _add(self, moment: float, source: Literal["server", "worker"], level: Level, name: str, about: Subject, text: str) -> None:
        self._lines.append(LogLine(next(self._numbers), moment, source, level, name, *about, text[:LONGEST_LINE]))

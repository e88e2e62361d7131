"""How both processes write their log, and what a line is about."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TextIO
from urllib.parse import quote, unquote

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE = re.compile(r"[\d-]{10} [\d:,]{8,12} (DEBUG|INFO|WARNING|ERROR|CRITICAL) (\S+)(?: job=(\S+))?(?: node=(\S+))?: (.*)", re.DOTALL)


class Subject(NamedTuple):
    """The job and the node that a line is about, empty for none. node: as it was submitted, also inside a run-time expansion."""

    job: str = ""
    node: str = ""


_NONE = Subject()
_subject: ContextVar[Subject] = ContextVar("subject", default=_NONE)


@contextmanager
def about(job: str, node: str = "") -> Iterator[None]:
    """What is logged inside, by this thread or this coroutine and what it awaits, is about a job, or a node of it."""
    before = _subject.set(Subject(job, node))
    try:
        yield
    finally:
        _subject.reset(before)


def subject() -> Subject:
    """What is logged now is about it."""
    return _subject.get()


def log_id() -> str:
    """A name for one failure: it stands in the log and in what people are told, who can look for it there."""
    return secrets.token_hex(4)


class Head(NamedTuple):
    """What a line of `Lines` begins with, read again; `text` is the rest."""

    level: str
    name: str
    subject: Subject
    text: str


def read_line(line: str) -> Head | None:
    """None for a line that begins no record."""
    found = _LINE.fullmatch(line)
    return found and Head(found[1], found[2], Subject(unquote(found[3] or ""), unquote(found[4] or "")), found[5])


class Lines(logging.Formatter):
    """`TIME LEVEL name job=ID node=ID: text`, the ids percent-encoded and left out where a line is about none.

    Names and captions of strangers stand in the log: what follows a line break is indented, so that it cannot pass for another record,
    and other control characters, which could steer a terminal, are written as escapes.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(subject)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        fields = subject()._asdict()
        record.subject = "".join(f" {name}={quote(id, safe=':', errors='replace')}" for name, id in fields.items() if id)
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record)).replace("\n", "\n  ")


def log_to(stream: TextIO, level: str) -> None:
    """Write what this process logs from this level on ("info") to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler])

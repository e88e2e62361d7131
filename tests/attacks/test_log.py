"""Texts of strangers in the log: none of them steers the terminal of the person who reads it, or passes for a line of its own."""

from __future__ import annotations

import io
import logging

from engine.log_lines import Lines, log_to
from engine.server.log_book import LogBook

FORGED = "a.png\n2026-01-01 00:00:00,000 ERROR easel.server: the disk is full\x1b]0;mine\x07\x1b[31m\x9b2J\r"


def written(record: logging.LogRecord) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    handler.emit(record)
    return stream.getvalue()


def test_a_name_with_control_characters_is_one_entry_without_them():
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        reason = (ValueError, error, error.__traceback__)
    for text in (
        written(logging.LogRecord("easel.node", logging.INFO, "", 1, "Left out: %s", (FORGED,), None)),
        written(logging.LogRecord("easel.node", logging.INFO, "", 1, "It failed", (), reason)),
    ):
        assert all(character.isprintable() or character == "\n" for character in text)
        assert "the disk is full\\x1b]0;mine\\x07" in text
        book = LogBook()
        book.worker_said(text)
        lines = book.after(0)
        assert {(line.level, line.name) for line in lines} == {("info", "easel.node")}


def test_both_processes_write_so(monkeypatch):
    root, stream = logging.RootLogger(logging.WARNING), io.StringIO()
    monkeypatch.setattr(logging, "root", root)
    log_to(stream, "info")
    root.info("%s", FORGED)
    assert stream.getvalue().count("\n") == 2 and "\x1b" not in stream.getvalue()

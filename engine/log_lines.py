"""How both processes write their log."""

from __future__ import annotations

import logging
import re
from typing import TextIO

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Lines(logging.Formatter):
    """Names and captions of strangers stand in the log: what follows a line break is indented, so that it cannot pass for another record,
    and other control characters, which could steer a terminal, are written as escapes."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record)).replace("\n", "\n  ")


def log_to(stream: TextIO, level: str) -> None:
    """Write what this process logs from this level on ("info") to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler])

"""What the server asks the worker beside jobs: things that need the numeric libraries and take no time to speak of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tokens(data: dict[str, Any]) -> dict[str, Any]:
    """The chunks in which a text encoder reads a prompt: the token ids of each, without start, end and padding."""
    from engine.diffusion.text.chunks import chunk
    from engine.diffusion.text.tokenizer import EOS

    rows = [[token.id for token in row[1:]] for row in chunk(data["text"])]
    return {"chunks": [row[: row.index(EOS)] for row in rows]}


QUESTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"tokens": tokens}

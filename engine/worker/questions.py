"""What the server asks the worker beside jobs: things that need the numeric libraries and take no time to speak of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import InvalidInput


def tokens(data: dict[str, Any]) -> dict[str, Any]:
    """The chunks in which a text encoder reads a prompt: the token ids of each, without start, end and padding."""
    from engine.diffusion.text.chunks import chunk
    from engine.diffusion.text.tokenizer import EOS

    rows = [[token.id for token in row[1:]] for row in chunk(data["text"])]
    return {"chunks": [row[: row.index(EOS)] for row in rows]}


def buckets(data: dict[str, Any]) -> dict[str, Any]:
    """For each size (width, height) of a picture its bucket as (width, height, resized width, resized height), or why it has none.

    plan: the fields of a BucketPlan.
    """
    from engine.diffusion.training.buckets import BucketPlan

    plan = BucketPlan(**data["plan"])
    chosen: list[Any] = []
    for width, height in data["sizes"]:
        try:
            bucket = plan.choose(width, height)
        except InvalidInput as error:
            chosen.append(error.message)
        else:
            chosen.append([bucket.width, bucket.height, bucket.resized_width, bucket.resized_height])
    return {"chosen": chosen}


QUESTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"tokens": tokens, "buckets": buckets}

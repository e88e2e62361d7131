"""AND: several prompts for one picture, each with a weight (Liu et al. 2022, "Compositional Visual Generation")."""

from __future__ import annotations

import re
from typing import NamedTuple

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*\Z")
MOST_PARTS = 100
LARGEST_WEIGHT = 1000.0


class Part(NamedTuple):
    """A prompt and how strongly it draws: D = U + the sum of weight * cfg * (C - U) over all parts."""

    text: str
    weight: float


def split_and(text: str) -> list[Part]:
    """The prompts between the words AND; a number after the last colon of each is its weight, also where there is only one."""
    return [_part(part) for part in _AND.split(text, maxsplit=MOST_PARTS - 1)]


def _part(text: str) -> Part:
    start = max(0, len(text.rstrip()) - 64)  # so that a long run of digits does not take quadratic time
    weight = _WEIGHT.search(text, start)
    if weight is None:
        return Part(text, 1.0)
    return Part(text[: weight.start()], max(-LARGEST_WEIGHT, min(LARGEST_WEIGHT, float(weight[1]))))

r"""ComfyUI's prompt syntax: `(text)` weighs 1.1 times its surroundings, `(text:1.3)` weighs 1.3, `\(` and `\)` are literal.

Rules a reader may not expect, kept because prompts in circulation rely on them: an explicit weight replaces the weights around it;
only what follows the last colon of a group can be its weight; brackets left open at the end are plain text, unless the prompt ends
in a closing one; a surplus closing bracket disarms the next opening one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import NamedTuple

LARGEST_WEIGHT = 1000.0
_LONGEST_NUMBER = 64


class Segment(NamedTuple):
    """A piece of a prompt and its weight."""

    text: str
    weight: float


def parse_prompt(text: str) -> list[Segment]:
    """Cut a prompt into segments of one weight each, in order; time grows linearly with its length.

    Weights are limited to +-1000, which only absurd nesting reaches.
    """
    return _Parser(text).segments()


class _Parser:
    """Works on positions of the text, with an explicit stack, so that a million brackets neither recurse nor take quadratic time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.closes: dict[int, int] = {}
        """Position of an opening bracket -> position of the closing one that matches it (absent: never closed)."""
        self.opens: list[int] = []
        """Positions of the opening brackets that may start a group, ascending."""
        self.closing: set[int] = set()
        """Positions of the closing brackets that may end one."""
        self._match()

    def _match(self) -> None:
        waiting: list[int] = []
        surplus = 0
        for position, character in enumerate(self.text):
            if character not in "()" or (position and self.text[position - 1] == "\\"):
                continue
            if character == "(":
                if surplus:
                    surplus -= 1
                    continue
                waiting.append(position)
                self.opens.append(position)
            elif waiting:
                self.closes[waiting.pop()] = position
                self.closing.add(position)
            else:
                surplus += 1

    def segments(self) -> list[Segment]:
        found: list[Segment] = []
        todo = [(0, len(self.text), 1.0)]
        while todo:
            start, end, weight = todo.pop()
            opening = self._next_opening(start, end)
            if opening > start:
                found.append(self._plain(start, opening, weight))
            if opening == end:
                continue
            closing = self.closes.get(opening, end)
            if closing < end:
                todo.append((closing + 1, end, weight))
                todo.append(self._group(opening + 1, closing, weight))
            elif end - 1 in self.closing:
                todo.append(self._group(opening + 1, end - 1, weight))
            else:
                found.append(self._plain(opening, end, weight))
        return found

    def _next_opening(self, start: int, end: int) -> int:
        index = bisect_left(self.opens, start)
        return min(self.opens[index], end) if index < len(self.opens) else end

    def _group(self, start: int, end: int, weight: float) -> tuple[int, int, float]:
        """The inside of a group and its weight, without the number at its end."""
        colon = self.text.rfind(":", max(start, end - _LONGEST_NUMBER), end)
        number = _number(self.text[colon + 1 : end]) if colon > start else None
        if number is None:
            return start, end, _limited(weight * 1.1)
        return start, colon, _limited(number)

    def _plain(self, start: int, end: int, weight: float) -> Segment:
        return Segment(self.text[start:end].replace("\\(", "(").replace("\\)", ")"), weight)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _limited(weight: float) -> float:
    return max(-LARGEST_WEIGHT, min(LARGEST_WEIGHT, weight))

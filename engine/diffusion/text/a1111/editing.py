r"""Prompt editing: texts that change while a picture is drawn.

`[a:b:when]` is a, then b; `[b:when]` adds b; `[a::when]` takes a away; `[a|b|c]` changes at every step. Such groups nest; brackets
that form none of them stay as they are, for `emphasis` to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from engine.errors import QuotaExceeded

MOST_NESTED = 64
LONGEST, LONGEST_RUN = 2_000_000, 100_000_000
"""Characters of all different texts that one prompt becomes, and of its texts at all steps."""
MOST_PIECES = 20_000_000
"""Pieces that are put together for the texts at all steps, also those that come to nothing."""
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*\Z")


class Stage(NamedTuple):
    """A text and the last step that it holds for, counted from 1."""

    end: int
    text: str


@dataclass(frozen=True)
class _Edit:
    before: Sequence[_Piece]
    after: Sequence[_Piece]
    when: int


@dataclass(frozen=True)
class _Cycle:
    options: Sequence[Sequence[_Piece]]


_Piece = str | _Edit | _Cycle


def stages(text: str, steps: int, first_pass_steps: int = 0) -> list[Stage]:
    """What a prompt is at each of `steps` steps, as the text and the last step of each stretch; the last one ends at `steps`.

    when: a whole number is a step; a number with a point is a fraction of all steps. first_pass_steps: steps of the pass before this
    one (0: this is the first); whole numbers are then counted from the first pass on, and 1.0 to 2.0 is this pass.
    Raises QuotaExceeded if it becomes more text than anybody wants.
    """

    def when(number: str) -> int:
        if "." in number:
            value = (float(number) - (1.0 if first_pass_steps else 0.0)) * steps
        else:
            value = float(number) - first_pass_steps
        return int(min(steps, max(-1.0, value)))

    pieces = _Parser(text, when).pieces(0, len(text))
    ends = sorted({steps, *_changes(pieces, steps)})
    if len(ends) * _count(pieces) > MOST_PIECES:
        raise QuotaExceeded("The prompt changes in too many places at too many steps.", hint="Use fewer edits, or fewer steps.")
    found: list[Stage] = []
    distinct: dict[str, str] = {}
    different = in_all = 0
    for step in ends:
        now = _at(pieces, step)
        different += len(now) if now not in distinct else 0
        in_all += len(now)
        if different > LONGEST or in_all > LONGEST_RUN:
            raise QuotaExceeded("The prompt changes into too many long texts.", hint="Use fewer alternatives, or a shorter prompt.")
        found.append(Stage(step, distinct.setdefault(now, now)))
    return found


def ranges(found: Sequence[Stage]) -> dict[str, list[tuple[int, int]]]:
    """Each text of `stages` with the evaluations of the network that it holds for, counted from 0, both ends included.

    The first stage lasts one evaluation longer than it says: A1111 compares its steps, counted from 1, with evaluations counted from 0.
    """
    starts = [0, *(stage.end + 1 for stage in found[:-1])]
    texts: dict[str, list[tuple[int, int]]] = {}
    for start, stage in zip(starts, found, strict=True):
        own = texts.setdefault(stage.text, [])
        if own and own[-1][1] == start - 1:
            own[-1] = (own[-1][0], stage.end)
        else:
            own.append((start, stage.end))
    return texts


def _count(pieces: Sequence[_Piece]) -> int:
    """How many pieces there are, those of groups included."""
    inner = [piece.options if isinstance(piece, _Cycle) else (piece.before, piece.after) for piece in pieces if not isinstance(piece, str)]
    return len(pieces) + sum(_count(option) for options in inner for option in options)


def _changes(pieces: Sequence[_Piece], steps: int) -> set[int]:
    """The steps after which something changes."""
    found: set[int] = set()
    for piece in pieces:
        if isinstance(piece, _Edit):
            found |= {piece.when} if piece.when >= 1 else set()
            found |= _changes(piece.before, steps) | _changes(piece.after, steps)
        elif isinstance(piece, _Cycle):
            return set(range(1, steps + 1))
    return found


def _at(pieces: Sequence[_Piece], step: int) -> str:
    return "".join(piece if isinstance(piece, str) else _at(_chosen(piece, step), step) for piece in pieces)


def _chosen(piece: _Edit | _Cycle, step: int) -> Sequence[_Piece]:
    if isinstance(piece, _Cycle):
        return piece.options[(step - 1) % len(piece.options)]
    return piece.before if step <= piece.when else piece.after


class _Parser:
    """closes: position of an opening bracket -> position of the one that matches it. A bracket that closes nothing breaks all that are
    open, so that no group contains a stray one."""

    def __init__(self, text: str, when: Callable[[str], int]) -> None:
        self.text, self.when = text, when
        self.closes: dict[int, int] = {}
        waiting: list[int] = []
        for position in self._marks(0, len(text), "()[]"):
            if text[position] in "([" and len(waiting) < MOST_NESTED:
                waiting.append(position)
            elif waiting and text[waiting[-1]] + text[position] in ("()", "[]"):
                self.closes[waiting.pop()] = position
            else:
                waiting.clear()

    def _marks(self, start: int, end: int, marks: str) -> list[int]:
        """Positions of these characters, those after a backslash left out."""
        found, position = [], start
        while position < end:
            if self.text[position] == "\\":
                position += 1
            elif self.text[position] in marks:
                found.append(position)
            position += 1
        return found

    def pieces(self, start: int, end: int) -> list[_Piece]:
        found: list[_Piece] = []
        plain = position = start
        for mark in self._marks(start, end, "["):
            if mark < position or (group := self._group(mark)) is None:
                continue
            found += [self.text[plain:mark]] if mark > plain else []
            found.append(group)
            plain = position = self.closes[mark] + 1
        return [*found, self.text[plain:end]] if end > plain else found

    def _group(self, opening: int) -> _Edit | _Cycle | None:
        """What a square bracket means for the schedule; None if it means nothing."""
        closing = self.closes.get(opening)
        if closing is None:
            return None
        marks = self._outer_marks(opening + 1, closing)
        parts = list(pairwise([opening, *marks, closing]))
        kinds = {self.text[mark] for mark in marks}
        if kinds == {"|"}:
            return _Cycle([self.pieces(left + 1, right) for left, right in parts])
        if kinds == {":"} and len(parts) in (2, 3) and (number := _NUMBER.match(self.text[parts[-1][0] + 1 : closing])):
            before = self.pieces(parts[0][0] + 1, parts[0][1]) if len(parts) == 3 else []
            return _Edit(before, self.pieces(parts[-2][0] + 1, parts[-2][1]), self.when(number[1]))
        return None

    def _outer_marks(self, start: int, end: int) -> list[int]:
        """Positions of colons and bars that stand in no bracket of their own."""
        found, position = [], start
        for mark in self._marks(start, end, "([:|"):
            if mark < position:
                continue
            if self.text[mark] in ":|":
                found.append(mark)
            elif mark in self.closes:
                position = self.closes[mark] + 1
        return found

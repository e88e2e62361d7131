r"""Emphasis: `(a)` counts 1.1 times, `[a]` 1/1.1 times, `(a:1.2)` 1.2 times what surrounds it; `\(` and the like are plain brackets.

Unlike in ComfyUI's syntax weights multiply, `[` is one of them, a bracket left open counts to the end of the prompt, a bracket that
closes nothing is text, and the word BREAK begins a new chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from engine.diffusion.text.prompt import LARGEST_WEIGHT, Segment

BREAK = Segment("BREAK", -1.0)
"""Stands for a chunk's end."""
ROUND = 1.1
MOST_NESTED = 64
"""Brackets that are open at a time; 1.1 to this power is a weight that nobody can want, and time stays linear."""

_PIECES = re.compile(r"\\[()\[\]\\]|[()\[\]]|:\s*([+-]?[.\d]+)\s*\)|[^\\()\[\]:]+|[\\:]")
_BREAK = re.compile(r"(?:(?<!\s)\s+)?\bBREAK\b\s*")  # white space is scanned from its start only, else its time is quadratic


def parse_emphasis(text: str) -> list[Segment]:
    """Cut a prompt into segments of one weight each, in order; never empty. BREAK stands between segments where it does in the text."""
    found: list[list] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _PIECES.finditer(text):
        piece = match[0]
        weight = _number(match[1]) if match[1] else None
        if piece in opened and sum(map(len, opened.values())) < MOST_NESTED:
            opened[piece].append(len(found))
        elif weight is not None and opened["("]:
            _multiply(found, opened["("].pop(), weight)
        elif piece == ")" and opened["("]:
            _multiply(found, opened["("].pop(), ROUND)
        elif piece == "]" and opened["["]:
            _multiply(found, opened["["].pop(), 1 / ROUND)
        else:
            found.extend(_plain(piece))
    for start in opened["("]:
        _multiply(found, start, ROUND)
    for start in opened["["]:
        _multiply(found, start, 1 / ROUND)
    return _merged(found) or [Segment("", 1.0)]


def _plain(piece: str) -> Iterator[list]:
    text = piece[1] if len(piece) == 2 and piece[0] == "\\" else piece
    for number, part in enumerate(_BREAK.split(text)):
        if number:
            yield [None, 1.0]
        yield [part, 1.0]


def _multiply(found: list[list], start: int, factor: float) -> None:
    for piece in found[start:]:
        piece[1] *= factor


def _merged(found: list[list]) -> list[Segment]:
    """Neighbours of one weight as one segment."""
    segments: list[Segment] = []
    for (broken, weight), pieces in groupby(found, key=lambda piece: (piece[0] is None, piece[1])):
        if broken:
            segments += [BREAK for _ in pieces]
        else:
            text = "".join(text for text, _ in pieces)
            segments.append(Segment(text, max(-LARGEST_WEIGHT, min(LARGEST_WEIGHT, weight))))
    return segments


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

r"""Variants and wildcards, as the extension sd-dynamic-prompts writes them: a prompt that is another one for another seed.

`{a|b|c}` is one of them, `{2$$a|b|c}` two different ones, `{1-2$$ and $$a|b|c}` one or two with " and " between them, `{3::a|b}`
gives a three times the chance; `__name__` is a line of the wildcard file `name`, `__folder/*__` one of several files'. All of these
nest, also in the files. `\{`, `\|` and `\}` are plain characters; braces without a partner are plain too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

from engine.errors import InvalidInput, QuotaExceeded

LONGEST = 1_000_000
"""Characters of a prompt after everything is filled in; pieces of it that stay empty count as one, so that they end too."""
MOST_DRAWS = 10_000_000
"""Options that are looked at to draw several of them."""
MOST_NESTED = 64
MOST_CALLS = 20
"""Wildcards in lines of wildcard files in lines of wildcard files."""

LinesOf = Callable[[str], Sequence[str]]
"""The name of a wildcard -> its lines, at least one; raises MissingFile for a name that there is no file for."""

_WILDCARD = re.compile(r"__([\w*](?:[\w*./ -]{0,200}?[\w*])?)__")
_COUNT = re.compile(r"\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*\Z")
_CHANCE = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*\Z")
_ESCAPED = re.compile(r"\\([{}|])")


def fill_in(text: str, random: Random, lines_of: LinesOf) -> str:
    """Choose: the same text and the same state of `random` give the same result.

    Raises MissingFile for unknown wildcards, InvalidInput where wildcards call themselves, QuotaExceeded for a text that becomes too long.
    """
    return _ESCAPED.sub(r"\1", _Filler(random, lines_of).fill(text, 0))


class _Filler:
    def __init__(self, random: Random, lines_of: LinesOf) -> None:
        self.random, self.lines_of = random, lines_of
        self.characters = self.draws = 0

    def fill(self, text: str, calls: int) -> str:
        """calls: how many wildcards this text stands in."""
        if calls > MOST_CALLS:
            raise InvalidInput("Wildcards call each other without end.", hint="Look for a wildcard file that has its own name in it.")
        return self._range(text, 0, len(text), _partners(text), calls)

    def _range(self, text: str, start: int, end: int, partners: dict[int, int], calls: int) -> str:
        found: list[str] = []
        position = start
        for opening in _marks(text, start, end, "{"):
            if opening < position or opening not in partners:
                continue
            found.append(self._wildcards(text[position:opening], calls))
            closing = partners[opening]
            found.append(self._variant(text, opening, closing, partners, calls))
            position = closing + 1
        found.append(self._wildcards(text[position:end], calls))
        return "".join(found)

    def _wildcards(self, plain: str, calls: int) -> str:
        filled = _WILDCARD.sub(lambda match: self.fill(self._one(self.lines_of(match[1])), calls + 1), plain)
        self._count(max(1, len(filled)))
        return filled

    def _count(self, characters: int) -> None:
        self.characters += characters
        if self.characters > LONGEST:
            raise QuotaExceeded(f"The prompt becomes longer than {LONGEST:,} characters.", hint="Look for wildcards that grow.")

    def _variant(self, text: str, opening: int, closing: int, partners: dict[int, int], calls: int) -> str:
        bars = _outer_bars(text, opening + 1, closing, partners)
        spans = list(zip([opening + 1, *(bar + 1 for bar in bars)], [*bars, closing], strict=True))
        start, low, high, joint = _head(text, *spans[0])
        spans[0] = (start, spans[0][1])
        options = [_chance(text, *span) for span in spans]
        count = low + int(self.random.random() * (high - low + 1))
        count = min(count, len(options))
        self.draws += count * len(options)
        if self.draws > MOST_DRAWS:
            raise QuotaExceeded("The prompt draws too many of too many variants.", hint="Draw fewer, or offer fewer.")
        self._count(len(joint) * max(0, count - 1))
        chosen = self._several([chance for chance, _ in options], count)
        return joint.join(self._range(text, *options[number][1], partners, calls) for number in chosen)

    def _one(self, lines: Sequence[str]) -> str:
        return lines[int(self.random.random() * len(lines))]

    def _several(self, chances: list[float], count: int) -> list[int]:
        """Different numbers, each drawn with its chance among those that are left; where none has a chance, all have the same."""
        left = list(range(len(chances)))
        chosen = []
        for _ in range(count):
            weights = [chances[number] for number in left]
            weights = weights if sum(weights) else [1.0] * len(left)
            at = self.random.random() * sum(weights)
            place = 0
            while place < len(left) - 1 and at >= weights[place]:
                at -= weights[place]
                place += 1
            chosen.append(left.pop(place))
        return chosen


def _marks(text: str, start: int, end: int, marks: str) -> Iterator[int]:
    """Positions of these characters, those after a backslash left out."""
    position = start
    while position < end:
        if text[position] == "\\":
            position += 1
        elif text[position] in marks:
            yield position
        position += 1


def _partners(text: str) -> dict[int, int]:
    partners: dict[int, int] = {}
    waiting: list[int] = []
    for position in _marks(text, 0, len(text), "{}"):
        if text[position] == "{":
            waiting.append(position)
        elif waiting:
            opening = waiting.pop()
            if len(waiting) < MOST_NESTED:
                partners[opening] = position
    return partners


def _outer_bars(text: str, start: int, end: int, partners: dict[int, int]) -> list[int]:
    found, position = [], start
    for mark in _marks(text, start, end, "{|"):
        if mark < position:
            continue
        if text[mark] == "|":
            found.append(mark)
        elif mark in partners:
            position = partners[mark] + 1
    return found


def _head(text: str, start: int, end: int) -> tuple[int, int, int, str]:
    """What stands before `$$` in a variant: where its first option begins, how few and how many to take, what joins them."""
    first = text.find("$$", start, end)
    count = _COUNT.match(text[start:first]) if first >= 0 else None
    if count is None:
        return start, 1, 1, ", "
    low, high = sorted((int(count[1]), int(count[2] or count[1])))
    second = text.find("$$", first + 2, end)
    if second < 0:
        return first + 2, low, high, ", "
    return second + 2, low, high, text[first + 2 : second]


def _chance(text: str, start: int, end: int) -> tuple[float, tuple[int, int]]:
    """`3::a` -> its chance and where the option itself begins."""
    mark = text.find("::", start, min(end, start + 20))
    number = _CHANCE.match(text[start:mark]) if mark >= 0 else None
    return (1.0, (start, end)) if number is None else (float(number[1]), (mark + 2, end))

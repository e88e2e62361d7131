"""Rules that give modules numbers of their own: lines `regex = number`, matched against a module's path; the first that fits counts."""

from __future__ import annotations

import math

import regex

from engine.errors import InvalidInput

MATCH_SECONDS = 1.0
LARGEST_RANK = 1024


class Rules:
    """whole: the numbers are whole. Raises InvalidInput for a line that cannot be read."""

    def __init__(self, text: str, name: str, *, whole: bool = False) -> None:
        self._name = name
        self._rules: list[tuple[str, regex.Pattern[str], float]] = []
        self._used: set[str] = set()
        for line in filter(None, map(str.strip, text.splitlines())):
            expression, equals, number = (part.strip() for part in line.rpartition("="))
            try:
                value = int(number) if whole else float(number)
                if not equals or not math.isfinite(value) or not 0 <= value <= (LARGEST_RANK if whole else math.inf):
                    raise ValueError
                if "{" in expression:  # counts within counts make a pattern that fills the memory
                    raise ValueError
                self._rules.append((line, regex.compile(expression), value))
            except (ValueError, OverflowError, RecursionError, regex.error) as error:
                raise InvalidInput(
                    f"{name}: {line[:80]!r} is no rule.",
                    hint="Write `expression = number` without braces, such as `mid_block = 4` or `attn2 = 0`.",
                ) from error

    def of(self, path: str) -> float | None:
        """The number of the first rule whose expression occurs in the path."""
        for line, expression, value in self._rules:
            try:
                found = expression.search(path, timeout=MATCH_SECONDS)
            except TimeoutError as error:
                raise InvalidInput(f"{self._name}: {line[:80]!r} takes too long to match.", hint="Write a simpler expression.") from error
            if found:
                self._used.add(line)
                return value
        return None

    def check_used(self) -> None:
        """Raise InvalidInput for a rule that no module came to."""
        for line, _, _ in self._rules:
            if line not in self._used:
                raise InvalidInput(
                    f"{self._name}: {line[:80]!r} fits no module.", hint="Module paths look like down_blocks.0.attentions.1."
                )

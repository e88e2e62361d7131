"""Strings: joining, cutting, comparing, searching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, NamedTuple

import regex
from pydantic import Field

from engine.errors import InvalidInput, QuotaExceeded
from engine.graph import Widget, node

MATCH_SECONDS = 2.0  # a pattern from outside may ask for exponential time
LONGEST = 10_000_000  # characters of a text that is made here: thirty texts joined with themselves would fill any memory

Text = Annotated[str, Widget(multiline=True)]
Line = Annotated[str, Widget(multiline=False)]


def _allowed(characters: int) -> None:
    if characters > LONGEST:
        message = f"The text would have over {LONGEST:,} characters"
        raise QuotaExceeded(message, hint="Look for a loop or a chain of nodes that makes a text longer each time.")


class Length(NamedTuple):
    length: int


class Contains(NamedTuple):
    contains: bool


class Matches(NamedTuple):
    matches: bool


@node("StringConcatenate", category="text", display_name="Concatenate")
def concatenate(string_a: Text, string_b: Text, delimiter: Line = "") -> str:
    """Join two texts with a delimiter between them."""
    _allowed(len(string_a) + len(delimiter) + len(string_b))
    return delimiter.join((string_a, string_b))


@node("StringSubstring", category="text", display_name="Substring")
def substring(string: Text, start: int, end: int) -> str:
    """The characters from `start` up to, not including, `end`. Negative numbers count from the end of the text."""
    return string[start:end]


@node("StringLength", category="text", display_name="Length")
def length(string: Text) -> Length:
    """The number of characters."""
    return Length(len(string))


@node("CaseConverter", category="text", display_name="Case Converter")
def convert_case(string: Text, mode: Literal["UPPERCASE", "lowercase", "Capitalize", "Title Case"]) -> str:
    """Change the case of all letters."""
    return {"UPPERCASE": string.upper, "lowercase": string.lower, "Capitalize": string.capitalize, "Title Case": string.title}[mode]()


@node("StringTrim", category="text", display_name="Trim")
def trim(string: Text, mode: Literal["Both", "Left", "Right"]) -> str:
    """Remove white space from the ends."""
    return {"Both": string.strip, "Left": string.lstrip, "Right": string.rstrip}[mode]()


@node("StringReplace", category="text", display_name="Replace")
def replace(string: Text, find: Text, replace: Text) -> str:
    """Replace every occurrence of a text."""
    _allowed(len(string) + string.count(find) * (len(replace) - len(find)))
    return string.replace(find, replace)


@node("StringContains", category="text", display_name="Contains")
def contains(string: Text, substring: Text, case_sensitive: bool = True) -> Contains:
    """Whether a text occurs in another."""
    return Contains(substring in string if case_sensitive else substring.lower() in string.lower())


@node("StringCompare", category="text", display_name="Compare")
def compare(string_a: Text, string_b: Text, mode: Literal["Starts With", "Ends With", "Equal"], case_sensitive: bool = True) -> bool:
    """Whether the first text equals the second, or starts or ends with it."""
    a, b = (string_a, string_b) if case_sensitive else (string_a.lower(), string_b.lower())
    if mode == "Equal":
        return a == b
    return a.startswith(b) if mode == "Starts With" else a.endswith(b)


@contextmanager
def _bounded(pattern: str) -> Iterator[None]:
    """Turn a bad or a too slow pattern into an error that shows it."""
    try:
        yield
    except regex.error as error:
        raise InvalidInput(f"The regular expression {pattern!r} is not valid: {error}", hint="Correct regex_pattern.") from error
    except TimeoutError as error:
        message = f"The regular expression {pattern!r} took over {MATCH_SECONDS:g} s on this text"
        raise InvalidInput(message, hint="Avoid nested repetitions such as (a+)+.") from error


def _compile(pattern: str, case_insensitive: bool, multiline: bool, dotall: bool) -> regex.Pattern[str]:
    flags = regex.IGNORECASE * case_insensitive | regex.MULTILINE * multiline | regex.DOTALL * dotall
    return regex.compile(pattern, flags)


@node("RegexMatch", category="text", display_name="Regex Match")
def regex_match(string: Text, regex_pattern: Text, case_insensitive: bool = True, multiline: bool = False, dotall: bool = False) -> Matches:
    """Whether a regular expression matches anywhere in the text."""
    with _bounded(regex_pattern):
        return Matches(_compile(regex_pattern, case_insensitive, multiline, dotall).search(string, timeout=MATCH_SECONDS) is not None)


@node("RegexExtract", category="text", display_name="Regex Extract")
def regex_extract(
    string: Text,
    regex_pattern: Text,
    mode: Literal["First Match", "All Matches", "First Group", "All Groups"],
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    group_index: Annotated[int, Field(ge=0, le=100)] = 1,
) -> str:
    """What a regular expression matches: the first match or all (a line each), whole or one group of it; empty when nothing matches.

    `All Matches` of a pattern with groups gives the first group of each match.
    """
    with _bounded(regex_pattern):
        pattern = _compile(regex_pattern, case_insensitive, multiline, dotall)
        if mode == "First Match":
            group = 0
        elif mode == "All Matches":
            group = min(1, pattern.groups)
        else:
            group = group_index
        if group > pattern.groups:
            return ""
        found: list[str] = []
        characters = 0
        for match in pattern.finditer(string, timeout=MATCH_SECONDS):
            found.append(match.group(group) or "")
            characters += len(found[-1]) + 1
            _allowed(characters)  # matches may overlap where the pattern looks ahead
            if mode.startswith("First"):
                break
    return "\n".join(found)


@node("RegexReplace", category="text", display_name="Regex Replace")
def regex_replace(
    string: Text,
    regex_pattern: Text,
    replace: Text,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    count: Annotated[int, Field(ge=0, le=100)] = 0,
) -> str:
    r"""Replace what a regular expression matches. `\1` or `\g<name>` in the replacement stand for groups; `count` 0 replaces all."""
    characters = len(string)

    def replaced(match: regex.Match[str]) -> str:
        nonlocal characters
        text = match.expand(replace)
        characters += len(text) - len(match[0])
        _allowed(characters)
        return text

    with _bounded(regex_pattern):
        return _compile(regex_pattern, case_insensitive, multiline, dotall).sub(replaced, string, count=count, timeout=MATCH_SECONDS)

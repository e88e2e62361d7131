"""Infotext, the chunk `parameters` of AUTOMATIC1111's pictures: prompt, negative prompt, and a line of settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import QuotaExceeded

LONGEST = 1_000_000
"""Characters of an infotext."""
NEGATIVE = "Negative prompt:"
FEWEST = 3
"""Settings that a last line must have; one with fewer belongs to the prompt."""
_SETTING = re.compile(r'(\w[\w \-/]{1,60}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|\Z)')


@dataclass(frozen=True)
class Infotext:
    """settings: as texts, in the order of the line."""

    prompt: str = ""
    negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def parse_infotext(text: str) -> Infotext:
    """Read an infotext; any text is one, if only a prompt. Raises QuotaExceeded for one over the limit."""
    if len(text) > LONGEST:
        raise QuotaExceeded(f"The text has {len(text):,} characters, over the limit of {LONGEST:,}.", hint="This is no infotext.")
    *lines, last = text.strip().split("\n")
    settings = {name.strip(): _unquoted(value.strip()) for name, value in _SETTING.findall(last)}
    if len(settings) < FEWEST:
        lines, settings = [*lines, last], {}
    parts: tuple[list[str], list[str]] = ([], [])
    side = 0
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            side = 1
            line = line.removeprefix(NEGATIVE).strip()
        parts[side].append(line)
    return Infotext("\n".join(parts[0]).strip(), "\n".join(parts[1]).strip(), settings)


def write_infotext(info: Infotext) -> str:
    """The text as AUTOMATIC1111 writes it; `parse_infotext` gives back what went in, except for white space at the ends of lines."""
    line = ", ".join(f"{name}: {_quoted(value)}" for name, value in info.settings.items())
    negative = f"{NEGATIVE} {info.negative}" if info.negative else ""
    return "\n".join(part for part in (info.prompt, negative, line) if part)


def _quoted(value: str) -> str:
    plain = not re.search(r'[,:\n\r]|^["\s]|\s$', value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value

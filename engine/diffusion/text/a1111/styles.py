"""Styles: pieces of prompts by name, in a table styles.csv with the columns name, prompt, negative_prompt."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from engine.errors import InvalidInput, QuotaExceeded

LONGEST = 1_000_000
"""Characters of a prompt with its styles."""


class Style(NamedTuple):
    prompt: str
    negative: str


def read_styles(text: str) -> dict[str, Style]:
    """The styles of a table as AUTOMATIC1111 writes it, older ones with a column `text` too. Raises InvalidInput for what is no table."""
    try:
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    except csv.Error as error:
        raise InvalidInput(f"The table of styles cannot be read: {error}.", hint="Write it as CSV: name,prompt,negative_prompt.") from error
    if rows and "name" not in rows[0]:
        raise InvalidInput("The table of styles has no column `name`.", hint="Its first line is name,prompt,negative_prompt.")
    return {
        row["name"]: Style(row.get("prompt", row.get("text")) or "", row.get("negative_prompt") or "") for row in rows if row.get("name")
    }


def with_styles(prompt: str, negative: str, names: Sequence[str], known: Mapping[str, Style]) -> Style:
    """Both prompts with these styles on them, in order. `{prompt}` in a style is where the prompt goes, else the style comes after it.

    Raises InvalidInput with the near names for a style that there is not.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(name[:100], known, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(list(known)[:20]) or 'none'}."
            raise InvalidInput(f"There is no style {name[:100]!r}.", hint=hint)
        prompt, negative = _joined(prompt, known[name].prompt), _joined(negative, known[name].negative)
    return Style(prompt, negative)


def _joined(prompt: str, style: str) -> str:
    if len(style) + style.count("{prompt}") * len(prompt) > LONGEST:
        raise QuotaExceeded(f"With its styles the prompt is longer than {LONGEST:,} characters.", hint="Look for a style that doubles it.")
    if "{prompt}" in style:
        return style.replace("{prompt}", prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)

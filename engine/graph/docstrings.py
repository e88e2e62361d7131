"""A node's docstring as help texts: the first paragraph for the node, `Args:` for its inputs, `Returns:` for its outputs."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"(Args|Returns|Raises|Source|Notes?|Example)s?:\s*(.*)")
_ITEM = re.compile(r"(\w+)(?:, (\w+))*:\s+(.*)")


@dataclass
class Help:
    summary: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    returns: str = ""


def parse(docstring: str | None) -> Help:
    """Reads the layout that Google's style names: indented `name: text` lines below `Args:` and `Returns:`; `a, b: text` describes both."""
    found = Help()
    text = inspect.cleandoc(docstring or "")
    found.summary = " ".join(text.split("\n\n", 1)[0].split())
    section = ""
    names: list[str] = []
    for line in text.splitlines():
        heading = _SECTION.fullmatch(line)
        if heading:
            section, names = heading[1], []
            if section == "Returns":
                found.returns = heading[2]
        elif line and not line[0].isspace():
            section = ""
        elif section in ("Args", "Returns") and line.strip():
            names = _item(found.inputs if section == "Args" else found.outputs, line, names)
            if section == "Returns" and not names:
                found.returns = f"{found.returns} {line.strip()}".strip()
    return found


def _item(texts: dict[str, str], line: str, names: list[str]) -> list[str]:
    """Add a line to the item that it opens or continues; returns the names of that item."""
    indent, words = len(line) - len(line.lstrip()), line.strip()
    opened = _ITEM.fullmatch(words)
    if opened and (not names or indent <= 4):
        names = [name.strip() for name in words.split(":", 1)[0].split(",")]
        texts.update(dict.fromkeys(names, opened[3]))
    else:
        texts.update({name: f"{texts[name]} {words}" for name in names})
    return names

"""Inputs saved by an older version of a node, made into today's by what the node declares beside itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.graph.catalogue import MigrationInfo, NodeInfo

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")


@dataclass(frozen=True, slots=True)
class InputChange:
    """What today's version of a node makes of one input: its name and value as saved (no name: it is new), and as they are read now."""

    saved: str | None
    name: str
    old: Any
    new: Any


def migrate(inputs: dict[str, Any], info: NodeInfo, saved: str | None) -> dict[str, Any]:
    """`inputs` (canonical names) as version `saved` wrote them -> as `info.version` reads them. Without a readable version: as they are."""
    for step in _newer(info, saved):
        inputs = {step.rename.get(name, name): value for name, value in inputs.items()}
        for name, spellings in step.values.items():
            if isinstance(inputs.get(name), str):
                inputs[name] = spellings.get(inputs[name], inputs[name])
        inputs = {**step.defaults, **inputs}
    return inputs


def changes(inputs: dict[str, Any], info: NodeInfo, saved: str | None) -> list[InputChange]:
    """What `migrate` does to them, input by input; nothing for those that stay as they are."""
    names = {name: name for name in inputs}
    for step in _newer(info, saved):
        names = {before: step.rename.get(name, name) for before, name in names.items()}
    after = migrate(inputs, info, saved)
    found = [
        InputChange(before, name, inputs[before], after[name])
        for before, name in names.items()
        if before != name or inputs[before] != after[name]
    ]
    kept = set(names.values())
    return found + [InputChange(None, name, None, value) for name, value in after.items() if name not in kept]


def _newer(info: NodeInfo, saved: str | None) -> Iterator[MigrationInfo]:
    """The steps from version `saved` to today's."""
    since = version_key(saved) if saved else None
    if since is not None:
        yield from (step for step in info.migrations if since < (version_key(step.version) or ()))


def version_key(version: str) -> tuple[int, int, int] | None:
    """ "1.10.0" -> (1, 10, 0); None for what is no version."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None

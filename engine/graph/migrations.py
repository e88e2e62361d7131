"""Inputs saved by an older version of a node, made into today's by what the node declares beside itself."""

from __future__ import annotations

import re
from typing import Any

from engine.graph.catalogue import NodeInfo

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")


def migrate(inputs: dict[str, Any], info: NodeInfo, saved: str | None) -> dict[str, Any]:
    """`inputs` (canonical names) as version `saved` wrote them -> as `info.version` reads them. Without a readable version: as they are."""
    since = version_key(saved) if saved else None
    if since is None:
        return inputs
    for step in info.migrations:
        if since < (version_key(step.version) or ()):
            inputs = {step.rename.get(name, name): value for name, value in inputs.items()}
            for name, spellings in step.values.items():
                if isinstance(inputs.get(name), str):
                    inputs[name] = spellings.get(inputs[name], inputs[name])
            inputs = {**step.defaults, **inputs}
    return inputs


def version_key(version: str) -> tuple[int, int, int] | None:
    """ "1.10.0" -> (1, 10, 0); None for what is no version."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None

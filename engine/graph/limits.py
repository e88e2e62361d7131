"""Limits on what comes from outside. The settings model offers each of these numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class LimitSettings(Protocol):
    """The settings that these limits come from."""

    @property
    def max_body(self) -> int: ...
    @property
    def max_nodes(self) -> int: ...
    @property
    def max_depth(self) -> int: ...
    @property
    def max_text(self) -> int: ...


@dataclass(frozen=True)
class Limits:
    """body_bytes: a whole document; nodes: after subgraphs are laid flat; depth: nesting of JSON and of subgraphs;
    text_chars: one text value; problems: how many are listed one by one."""

    body_bytes: int = 100_000_000
    nodes: int = 200_000
    depth: int = 64
    text_chars: int = 1_000_000
    problems: int = 1_000

    @classmethod
    def of(cls, settings: LimitSettings) -> Limits:
        return cls(body_bytes=int(settings.max_body), nodes=settings.max_nodes, depth=settings.max_depth, text_chars=settings.max_text)


DEFAULT_LIMITS = Limits()

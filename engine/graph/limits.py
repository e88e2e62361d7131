"""Limits on what comes from outside. The settings model offers each of these numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.errors import QuotaExceeded

SERIES_ITEMS = 1_000_000
"""Items of one list while a graph runs: lists of lists multiply."""


def check_items(count: int) -> None:
    """Raises QuotaExceeded for a list that no graph should make."""
    if count > SERIES_ITEMS:
        raise QuotaExceeded(f"A list would have over {SERIES_ITEMS:,} items.", hint="Look for lists that are joined or multiplied.")


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

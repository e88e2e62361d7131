"""Limits on what comes from outside. The settings model offers each of these numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """body_bytes: a whole document; nodes: after subgraphs are laid flat; depth: nesting of JSON and of subgraphs;
    text_chars: one text value; problems: how many are listed one by one."""

    body_bytes: int = 100_000_000
    nodes: int = 200_000
    depth: int = 64
    text_chars: int = 1_000_000
    problems: int = 1_000


DEFAULT_LIMITS = Limits()

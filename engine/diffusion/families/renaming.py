"""Tensor and module names of one layout in terms of another, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Renaming:
    """Pairs of module paths: what lies under the stored path lies under the module path. The longest path that fits decides.

    stored names are those of the single-file format of a family, module names those of the diffusers or transformers module.
    """

    to_module_paths: Mapping[str, str]
    to_stored_paths: Mapping[str, str]

    @staticmethod
    def of(pairs: Iterable[tuple[str, str]]) -> Renaming:
        pairs = list(pairs)
        return Renaming(dict(pairs), {module: stored for stored, module in pairs})

    def to_module(self, stored: str) -> str | None:
        """The module's name for a stored name (of a tensor or a module), None if it belongs to nothing."""
        return _replace(stored, self.to_module_paths)

    def to_stored(self, module: str) -> str | None:
        """The stored name for a module's name."""
        return _replace(module, self.to_stored_paths)


def _replace(name: str, paths: Mapping[str, str]) -> str | None:
    head = name
    while head not in paths:
        head, dot, _ = head.rpartition(".")
        if not dot:
            return None
    return paths[head] + name[len(head) :]

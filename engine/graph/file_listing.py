"""Names of the files below a folder, read again only when a directory in it has changed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UnsafePath
from engine.graph.paths import parts_of

log = logging.getLogger("easel.files")

_SETTLED_NS = 2_000_000_000  # a directory changed more recently may change again under the same time stamp
_MOST_DIRECTORIES = 100_000
_MOST_TOLD = 20


@dataclass
class _Listing:
    names: tuple[str, ...]
    directories: dict[str, int] = field(default_factory=dict)  # path -> mtime_ns
    settled: bool = True
    refused: tuple[str, ...] = ()  # names that nobody could ask for, such as those with a question mark or a mark of direction


class FileListing:
    """Listings of folders, cached by the times of the directories that they consist of."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Listing] = {}

    def names(self, folder: Path, rule: str, accepts: Callable[[os.DirEntry[str]], bool], allowed: Iterable[Path] = ()) -> tuple[str, ...]:
        """Relative names with `/`, sorted, of the entries below `folder` that `accepts` takes; `rule` names it in the cache.

        Symbolic links are followed into `folder` and the `allowed` folders only. What cannot be read is left out; the log
        says what was left out for its name or its link.
        """
        key = (str(folder), rule)
        known = self._known.get(key)
        if known is None or not known.settled or any(_time_of(path) != time_ns for path, time_ns in known.directories.items()):
            before = known.refused if known is not None else ()
            self._known[key] = known = _read(folder, accepts, [home.resolve() for home in (folder, *allowed)])
            if known.refused and known.refused != before:
                told = ", ".join(repr(name) for name in known.refused[:_MOST_TOLD])
                log.warning("Left out of %s, for their names or where they lead: %s. Rename or move them.", folder, told)
        return known.names


def _read(folder: Path, accepts: Callable[[os.DirEntry[str]], bool], homes: list[Path]) -> _Listing:
    found: list[str] = []
    refused: list[str] = []
    directories: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    pending = [(str(folder), "")]
    while pending and len(directories) < _MOST_DIRECTORIES:
        path, prefix = pending.pop()
        directories[path] = _time_of(path)
        try:
            stat = os.stat(path)
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            continue
        if (stat.st_dev, stat.st_ino) in seen:  # a link to a folder that is listed already, or a ring
            continue
        seen.add((stat.st_dev, stat.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            if not _can_be_asked_for(entry.name) or (entry.is_symlink() and not _stays(entry.path, homes)):
                refused.append(name)
                continue
            if accepts(entry):
                found.append(name)
            elif _is_directory(entry):
                pending.append((entry.path, f"{name}/"))
    newest = max(directories.values(), default=0)
    return _Listing(tuple(sorted(found)), directories, newest < time.time_ns() - _SETTLED_NS, tuple(refused))


def _stays(path: str, homes: list[Path]) -> bool:
    try:
        real = Path(path).resolve()
    except (OSError, RuntimeError):
        return False
    return any(real == home or home in real.parents for home in homes)


def _can_be_asked_for(name: str) -> bool:
    try:
        return parts_of(name) == (name,)
    except UnsafePath:
        return False


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _time_of(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1

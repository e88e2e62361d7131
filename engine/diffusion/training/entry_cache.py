"""Prepared tensors on the disk, each under a key that says everything it was made from. So none is ever stale: a change asks for
another key."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.values.checksum import sum_of
from engine.values.dataset import TrainingSet
from engine.whole_files import replacing

log = logging.getLogger("easel.training")
VERSION = 1  # of what the entries hold
_living: weakref.WeakSet[TrainingSet] = weakref.WeakSet()


def key_of(*parts: Any) -> str:
    """The key for what is made from these JSON-able parts."""
    return hashlib.sha256(json.dumps([VERSION, *parts], sort_keys=True).encode()).hexdigest()


def hold(training_set: TrainingSet) -> None:
    """Keep this set's entries for as long as it is in memory."""
    _living.add(training_set)


def paths_of(training_set: TrainingSet) -> set[str]:
    """The files of all its entries."""
    return {path for files in training_set.latents for path in files} | set((training_set.texts or {}).values())


class EntryCache:
    """A folder of safetensors files. made, found: how many entries were made, and how many were there."""

    def __init__(self, folder: Path, limit: int = 20 << 30) -> None:
        """limit: bytes; what is in use may exceed it."""
        self.folder = folder
        self.limit = limit
        self.made = 0
        self.found = 0

    def get(self, key: str, make: Callable[[], dict[str, Tensor]]) -> Path:
        """The file of an entry, made if it is not there or damaged. Raises OSError if it cannot be written."""
        path = self.folder / key[:2] / f"{key}.safetensors"
        if _is_whole(path):
            os.utime(path)
            self.found += 1
            return path
        self.made += 1
        _write(path, make())
        return path

    def trim(self, keep: Iterable[str]) -> None:
        """Remove the entries that were not used for longest, down to the limit, but none of `keep` or of a set in memory."""
        kept = {*keep, *(path for training_set in _living for path in paths_of(training_set))}
        entries = sorted(((path.stat(), path) for path in self.folder.glob("??/[!.]*.safetensors")), key=lambda entry: entry[0].st_mtime_ns)
        excess = sum(status.st_size for status, _ in entries) - self.limit
        for status, path in entries:
            if excess <= 0:
                return
            if str(path) not in kept:
                path.unlink(missing_ok=True)
                excess -= status.st_size


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(path) as part:
            save_file(plain, part, {"sum": sum_of(plain)})
    except SafetensorError as error:
        raise OSError(f"{path.name} cannot be written: {error}") from error


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            whole = (file.metadata() or {}).get("sum") == sum_of({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError):
        whole = False
    if not whole:
        log.warning("The prepared entry %s is damaged and is made again.", path.name)
    return whole

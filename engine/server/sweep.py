"""What would grow without end in the data folder is cleared away: when the server starts, and every few hours."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.graph.folders import LAYOUT, Folders
from engine.whole_files import is_part

log = logging.getLogger("easel.files")

EVERY_SECONDS = 6 * 3600.0
LEFT_SECONDS = 24 * 3600.0
"""A file that is half written and has not grown for a day was left by a process that was killed."""
COPY_SECONDS = 30 * 24 * 3600.0
"""How long the copy stays that a newer version makes of the job database before it changes it."""
YOUNG_SECONDS = 3600.0
"""Files younger than this stay, however many there are: a job may be about to use them."""


@contextmanager
def sweeping(folders: Folders, max_temp: int) -> Iterator[None]:
    """Sweep now and every few hours, inside of this. By a daemon: a folder of a million files must not keep a server from stopping."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                sweep(folders, max_temp)
            except OSError as error:
                log.warning("The data folder could not be swept: %s", error)
            over.wait(EVERY_SECONDS)

    threading.Thread(target=work, name="sweep", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def sweep(folders: Folders, max_temp: int) -> None:
    """Remove what killed processes left half written, old copies of the job database, and the oldest files of temp and of the pictures
    made for trainings over `max_temp` bytes.

    What is remembered of such pictures is dropped when they are asked for, and they are made again.
    """
    now = time.time()
    entries = _below([folders.data / name for name in LAYOUT])
    for status, path in _with_status(entry for entry in entries if is_part(entry.name)):
        if status.st_mtime < now - LEFT_SECONDS:
            log.info("Removed %s, which was never finished", os.path.relpath(path, folders.data))
            _remove(path)
    for copy in folders.state.glob("jobs.db.schema-*"):
        if copy.stat().st_mtime < now - COPY_SECONDS:
            _remove(str(copy))
    for folder in (folders.temp, folders.state / "made_pictures"):
        _trim(folder, max_temp, now - YOUNG_SECONDS)


def _trim(folder: Path, limit: int, before: float) -> None:
    files = sorted(_with_status(_below([folder])), key=lambda file: file[0].st_mtime)
    excess = sum(status.st_size for status, _ in files) - limit
    for status, path in files:
        if excess <= 0 or status.st_mtime >= before:
            return
        _remove(path)
        excess -= status.st_size


def _below(folders: list[Path]) -> Iterator[os.DirEntry[str]]:
    """All files below these folders; links are not followed."""
    pending = [str(folder) for folder in folders]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue  # it is not there, or gone since it was listed
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                yield entry


def _with_status(entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[os.stat_result, str]]:
    """Each file with its path; jobs go on meanwhile, so that some are gone since they were listed."""
    for entry in entries:
        with suppress(FileNotFoundError):
            yield entry.stat(follow_symlinks=False), entry.path


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:  # gone already, or in use on Windows
        log.info("%s stays: %s", Path(path).name, error.strerror)

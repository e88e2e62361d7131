"""Output files, never half written, never outside the folder: `<prefix>_<counter>_.<suffix>`, and those with a name of their own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain, count, islice
from pathlib import Path

from engine.errors import Conflict
from engine.graph.paths import inside, parts_of
from engine.whole_files import part_in, replacing

_MOST_TRIES = 10_000
_DATE = re.compile(r"yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s")


def expand_prefix(prefix: str, tokens: Mapping[str, object], now: datetime) -> str:
    """Put values in place of `%name%`: year, month, day, hour, minute, second (padded), `%date:yyyy-MM-dd%`, and `tokens`. Others stay."""
    values = {name: f"{getattr(now, name):02d}" for name in ("year", "month", "day", "hour", "minute", "second")}
    values.update({name: str(value) for name, value in tokens.items()})

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        return _formatted(name[5:], now) if name.startswith("date:") else values.get(name, match[0])

    return re.sub(r"%([^%]+)%", replace, prefix)


def _formatted(layout: str, now: datetime) -> str:
    parts = {"y": now.year, "M": now.month, "d": now.day, "h": now.hour, "m": now.minute, "s": now.second}

    def digits(match: re.Match[str]) -> str:
        code = match[0]
        number = parts[code[0]] % 100 if code == "yy" else parts[code[0]]
        return str(number).zfill(len(code))

    return _DATE.sub(digits, layout)


def save_new(root: Path, prefix: str, suffix: str, write: Callable[[Path], None]) -> Path:
    """Call `write` with a path beside the new file, then move it there at once; returns the path.

    prefix: may name sub-folders, which are made. suffix: with its dot. The counter is one above the highest that the prefix has there.
    Raises UnsafePath when the prefix leaves `root`; what `write` raises passes, and nothing stays behind.
    """
    *folders, name = parts_of(prefix)
    folder = inside(root, "/".join(folders)) if folders else root
    inside(root, f"{prefix}_00000_{suffix}")
    folder.mkdir(parents=True, exist_ok=True)
    if folders:
        inside(root, "/".join(folders))
    first = _highest(folder, name) + 1
    return _write_new(part_in(folder, suffix), (folder / f"{name}_{counter:05}_{suffix}" for counter in count(first)), write)


def save_named(root: Path, name: str, suffix: str, write: Callable[[Path], None], *, replace: bool) -> Path:
    """As `save_new`, but the file is `name` with the suffix.

    replace: in place of one that is there, which stays when `write` raises; else such a one stays and the new name has a number: `name_2`.
    """
    stem = name.removesuffix(suffix)
    final = inside(root, stem + suffix)
    final.parent.mkdir(parents=True, exist_ok=True)
    inside(root, name)
    if not replace:
        numbered = (inside(root, f"{stem}_{number}{suffix}") for number in count(2))
        return _write_new(part_in(final.parent, suffix), chain([final], numbered), write)
    with replacing(final) as part:
        write(part)
    return final


def _write_new(part: Path, paths: Iterable[Path], write: Callable[[Path], None]) -> Path:
    """Write a file and give it the first of these names that is free then; two writers never get the same."""
    try:
        write(part)
        for path in islice(paths, _MOST_TRIES):
            if put_new(part, path):
                return path
    finally:
        part.unlink(missing_ok=True)
    raise Conflict(f"{part.parent.name} has no free number for a file of this name.", hint="Use another name.")


def put_new(source: Path, target: Path) -> bool:
    """Move a file to a name that nothing has, whole from the first moment on; False when something has it."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # another file system, or one without hard links
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            return False
        try:
            shutil.move(source, target)
        except BaseException:  # the name was only taken
            target.unlink(missing_ok=True)
            raise
        return True
    source.unlink()
    return True


def _highest(folder: Path, name: str) -> int:
    pattern = re.compile(rf"{re.escape(os.path.normcase(name))}_(\d{{1,18}})_")
    matches = (pattern.match(os.path.normcase(entry)) for entry in os.listdir(folder))
    return max((int(match[1]) for match in matches if match), default=0)

"""Captions from one JSON file for a whole folder: kohya's `{"name": {"caption": ..., "tags": ...}}`, and one JSON object a line with
`image_path` or `file_name`, as kohya and the libraries of Hugging Face write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import InvalidInput

MOST_BYTES = 100_000_000
CAPTION_BYTES = 100_000
"""Of all lines of one picture together, with the tags that each of them gets."""
NAMES = ("image_path", "file_name")
CAPTIONS = ("caption", "text")


class FileCaptions:
    """The captions of a metadata file by picture; remembers which were asked for."""

    def __init__(self, name: str, captions: dict[str, tuple[str, ...]]) -> None:
        self._name = name
        self._captions = captions
        self._asked: set[str] = set()

    def of(self, picture: str) -> tuple[str, ...]:
        """The lines for a picture by its name below the folder; nothing if the file does not have it."""
        for key in (picture, picture[: -len(PurePosixPath(picture).suffix)]):
            if key in self._captions:
                self._asked.add(key)
                return self._captions[key]
        return ()

    def unused(self) -> list[str]:
        """Entries that no picture asked for."""
        return [key for key in self._captions if key not in self._asked]


def read_metadata(path: Path, name: str, root: Path) -> FileCaptions:
    """The captions of a JSON or JSONL file. name: what it is called to people. root: of the pictures, which its names may begin with.

    Tags follow the caption, after a comma, in each of its lines. Raises InvalidInput for a file of another form.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"The metadata file {name} cannot be read: {error.strerror}.", hint="Check its name.") from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"The metadata file {name} has more than {MOST_BYTES:,} bytes.", hint="Split the folder.")
    captions: dict[str, tuple[str, ...]] = {}
    try:
        for key, entry in _entries(path.suffix.lower(), data.decode("utf-8-sig")):
            captions[_relative(key, root)] = _lines(entry)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise InvalidInput(
            f"The metadata file {name} is not of a known form: {error}.",
            hint='Write {"a.png": {"caption": "..."}}, or in a .jsonl file {"file_name": "a.png", "caption": "..."} a line.',
        ) from error
    return FileCaptions(name, captions)


def _entries(suffix: str, text: str) -> Iterator[tuple[str, Any]]:
    if suffix != ".jsonl":
        yield from json.loads(text).items()
        return
    for line in filter(None, map(str.strip, text.splitlines())):
        entry = json.loads(line)
        key = next((entry[name] for name in NAMES if name in entry), None)
        if not isinstance(key, str):
            raise ValueError(f"{line[:80]} names no picture")
        yield key, entry


def _relative(key: str, root: Path) -> str:
    return key.replace("\\", "/").removeprefix(f"{root.as_posix()}/")


def _lines(entry: Any) -> tuple[str, ...]:
    caption = next((entry[name] for name in CAPTIONS if name in entry), "")
    tags = entry.get("tags", "")
    if not isinstance(caption, str) or not isinstance(tags, str):
        raise ValueError(f"a caption is {caption!r:.60}, its tags are {tags!r:.60}")
    lines = [line.strip() for line in caption.splitlines() if line.strip()] or [""]
    if len(caption.encode()) + len(lines) * len(tags.encode()) > CAPTION_BYTES:
        raise ValueError(f"a caption with its tags has more than {CAPTION_BYTES:,} bytes")
    joined = [", ".join(part for part in (line, tags.strip()) if part) for line in lines]
    return tuple(line for line in joined if line)

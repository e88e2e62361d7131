"""Files that go out and come in, for both faces: media types, headers, uploads that never overwrite by accident."""

from __future__ import annotations

import hashlib
import mimetypes
import shutil
from pathlib import Path
from urllib.parse import quote

from aiohttp import BodyPartReader, StreamReader, web

from engine.errors import BadRequest, Conflict, MissingFile, QuotaExceeded
from engine.graph.folders import Folders
from engine.graph.paths import inside, parts_of
from engine.graph.saving import put_new
from engine.server.pictures import open_picture
from engine.server.responses import SANDBOX
from engine.whole_files import part_in

SHOWN_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif", "video/mp4", "video/webm"}
    | {"audio/flac", "audio/x-flac", "audio/mpeg", "audio/ogg", "audio/wav", "audio/x-wav", "text/plain", "application/json"}
)
"""What a browser may show; anything else (SVG and HTML above all) is downloaded."""

CHUNK = 1 << 20
LONGEST_NAME = 255
"""Bytes of a name on most file systems."""


def find(folders: Folders, root: str, name: str) -> Path:
    """`Folders.resolve` for clients: where the folder lies on this machine is not told."""
    try:
        return folders.resolve(root, name)
    except MissingFile as error:
        raise MissingFile(error.message, details=error.details) from error


def file_response(path: Path) -> web.FileResponse:
    """With ranges and ETag. The type comes from the name; the content can do nothing in a browser."""
    guessed = mimetypes.guess_type(path.name)[0]
    shown = guessed in SHOWN_TYPES
    response = web.FileResponse(path, headers={"Content-Security-Policy": SANDBOX, "Cache-Control": "no-cache"})
    response.content_type = guessed if guessed is not None and shown else "application/octet-stream"
    response.headers["Content-Disposition"] = disposition(path.name, inline=shown)
    return response


def disposition(name: str, *, inline: bool) -> str:
    plain = "".join(character if character.isascii() and character.isprintable() and character not in '"\\' else "_" for character in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{"inline; " if inline else "attachment; "}filename="{plain}"{extended}'


class Incoming:
    """A body on its way to a file: written beside its place under a name of its own, moved there when it is whole."""

    def __init__(self, folder: Path, limit: int) -> None:
        make_folder(folder)
        self._path = part_in(folder)
        self._file = self._path.open("xb")
        self._hash = hashlib.sha256()
        self._limit = limit
        self._size = 0

    async def read(self, source: BodyPartReader | StreamReader) -> None:
        """Raises QuotaExceeded when the body is longer than the limit."""
        while chunk := await (source.read_chunk(CHUNK) if isinstance(source, BodyPartReader) else source.read(CHUNK)):
            self.write(chunk)

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise QuotaExceeded(f"The file is larger than {self._limit} bytes", details={"limit": self._limit})
        self._hash.update(chunk)
        self._file.write(chunk)

    def content(self) -> bytes:
        self._file.flush()
        return self._path.read_bytes()

    def check_picture(self, max_pixels: int) -> None:
        """Raises InvalidInput or QuotaExceeded for what is no picture that can be decoded."""
        self._file.flush()
        open_picture(self._path, max_pixels)

    @property
    def size(self) -> int:
        return self._size

    @property
    def digest(self) -> bytes:
        """SHA-256 of what came so far."""
        return self._hash.digest()

    def place(self, path: Path, *, overwrite: bool) -> Path:
        """Move it to `path`. Where another file is, it stays: `name (1).ext` is taken, or the present one if it has the same content."""
        self._file.close()
        make_folder(path.parent)
        if path.is_dir():
            raise Conflict(f"There is a folder of the name {path.name}", hint="Use another name.")
        if overwrite:
            shutil.move(self._path, path)
            return path
        for number in range(10_000):
            target = path if number == 0 else _numbered(path, number)
            if put_new(self._path, target) or same_content(target, self._size, self.digest):
                return target
        raise Conflict(f"There are too many files named like {path.name}")

    def discard(self) -> None:
        """Remove what is left of it; harmless after `place`."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def new_file(root: Path, name: str) -> Path:
    """Where a file of this name from a client goes. Raises UnsafePath, BadRequest for a name that no list would show."""
    path = inside(root, name)
    if any(part.startswith(".") for part in parts_of(name)):
        raise BadRequest("A part of the name starts with a dot: such files are hidden", hint="Use another name.")
    return path


def make_folder(folder: Path) -> None:
    """Raises Conflict where a file stands in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise Conflict("A part of the folder's name is a file", hint="Use another folder.") from error


def _numbered(path: Path, number: int) -> Path:
    """`name (1).ext`; a long name gives up its end, so that no file system refuses the new one."""
    end = f" ({number}){path.suffix}"
    return path.with_name(path.stem.encode()[: LONGEST_NAME - len(end.encode())].decode(errors="ignore").rstrip() + end)


def same_content(path: Path, size: int, digest: bytes) -> bool:
    """Whether a file has this size and this SHA-256."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == digest

"""Small pictures of pictures, made when they are first asked for and kept in memory within a bound."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.errors import InvalidInput, MissingFile, UnsafePath
from engine.graph.folders import Folders
from engine.server.pictures import DAMAGED, open_picture

KEPT_BYTES = 64 * 2**20
QUALITY = 80
MEDIA = "image/webp"

BESIDE = (".preview.png", ".png", ".jpg", ".jpeg", ".webp", ".preview.jpg", ".preview.jpeg", ".preview.webp")
"""Ends of the names of pictures that lie beside a model or a workflow, after its name without its own end."""

Key = tuple[str, int, int, int]


class Thumbnails:
    """`max_pixels`: of a picture that is decoded. Two are made at a time; the same one is made once for all who ask."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._bytes = 0
        self._making: dict[Key, asyncio.Future[bytes]] = {}
        self._threads = ThreadPoolExecutor(2, "thumbnails")

    async def of(self, path: Path, side: int) -> tuple[bytes, str]:
        """A WebP whose longer side has at most `side` pixels, and its ETag. Raises InvalidInput, QuotaExceeded, OSError."""
        status = await asyncio.to_thread(path.stat)
        key = (str(path), status.st_mtime_ns, status.st_size, side)
        data = self._kept.get(key)
        if data is None:
            if key not in self._making:
                loop = asyncio.get_running_loop()
                self._making[key] = loop.run_in_executor(self._threads, small, path, side, self._max_pixels)
            try:
                data = await asyncio.shield(self._making[key])
            finally:
                self._making.pop(key, None)
            self._keep(key, data)
        else:
            self._kept.move_to_end(key)
        return data, hashlib.sha256(repr(key).encode()).hexdigest()[:32]

    def _keep(self, key: Key, data: bytes) -> None:
        if key in self._kept:
            return
        self._kept[key] = data
        self._bytes += len(data)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


def small(source: Path | io.BytesIO, side: int, max_pixels: int) -> bytes:
    """A picture made small, upright as its EXIF says, as WebP."""
    from PIL import ImageOps

    picture = open_picture(source, max_pixels, draft=side)
    picture.thumbnail((side, side))
    try:
        picture = ImageOps.exif_transpose(picture)
    except DAMAGED as error:
        raise InvalidInput("The picture's EXIF cannot be read", hint="Save it anew without its metadata.") from error
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()


def pictures_beside(path: Path) -> dict[str, Path]:
    """The pictures that lie beside a model or a workflow and have its name, by their ends."""
    found = {end: path.with_name(path.stem + end) for end in BESIDE}
    return {end: picture for end, picture in found.items() if picture.is_file()}


def picture_beside(folders: Folders, key: str, name: str) -> Path | None:
    """The picture that lies beside a model or a workflow and has its name."""
    stem = name.rpartition(".")[0] or name
    for end in BESIDE:
        try:
            return folders.resolve(key, stem + end)
        except (MissingFile, UnsafePath):
            continue
    return None
